"""What the user hears of audits of the node's own rounds."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from chain.receipts import AuditEnded
from chain.state import ACQUITTED, PASSED, UNCHECKED
from tests.node.test_jobs import watched


async def test_that_nobody_could_check_a_round_is_said_once_and_other_endings_each_time(tmp_path: Path) -> None:
    async with watched(tmp_path) as (node, _):
        said: list[str] = []
        part = node.audits
        part.watch = said.append
        for number, outcome in enumerate((UNCHECKED, PASSED, UNCHECKED, ACQUITTED, ACQUITTED), 1):
            applied: Any = SimpleNamespace(receipts=[AuditEnded(number, part.driver.node, outcome, 1)])
            part.hear_block(applied)
        assert [words.split(" has ended")[0][-1] for words in said] == ["1", "4", "5"]
        assert part.ended[UNCHECKED] == 2
