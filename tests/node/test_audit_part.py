"""What the user hears of audits of the node's own rounds."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chain.audit_messages import MISMATCH, PASS, PlantReveal
from chain.receipts import AuditEnded
from chain.state import ACQUITTED, AUDITING, PASSED, UNCHECKED
from node.audit_words import Word
from tests.node.audited import a_secret, an_audit, an_auditor, put_audit
from tests.node.lone_node import IDENTITY
from tests.node.test_jobs import watched


async def test_that_nobody_could_check_a_round_is_said_once_and_other_endings_each_time(tmp_path: Path) -> None:
    async with watched(tmp_path) as (node, _):
        said: list[str] = []
        part = node.audits
        part.watch = said.append
        for number, outcome in enumerate((UNCHECKED, PASSED, UNCHECKED, ACQUITTED, ACQUITTED), 1):
            block = SimpleNamespace(body=SimpleNamespace(rounds=()))
            applied: Any = SimpleNamespace(block=block, receipts=[AuditEnded(number, part.driver.node, outcome, 1)])
            part.hear_block(applied)
        assert [words.split(" has ended")[0][-1] for words in said] == ["1", "4", "5"]
        assert part.ended[UNCHECKED] == 2


@pytest.mark.parametrize(
    ("finding", "is_planted", "tells"), [(MISMATCH, True, 1), (MISMATCH, False, 0), (PASS, True, 0), (None, True, 0)]
)
async def test_who_told_of_a_mismatch_is_told_when_it_was_a_planted_fault(
    tmp_path: Path, finding: int | None, is_planted: bool, tells: int
) -> None:
    async with watched(tmp_path) as (node, _):
        said: list[str] = []
        part, state = node.audits, node.store.state().fork()
        part.watch = said.append
        number = state.ledger.round
        current = state.round(number)
        assert current is not None
        secret = a_secret(state, number, node.network, is_planted)
        put_audit(state, number, an_audit(AUDITING, an_auditor(0, finding=MISMATCH), secret=secret))
        if finding is not None:
            part.words.keep(Word(number, IDENTITY.node, AUDITING, 1, finding, current.mix, b"", True, ""))
        body = SimpleNamespace(rounds=(PlantReveal(number, IDENTITY.node, secret, bytes(64)),))
        applied: Any = SimpleNamespace(block=SimpleNamespace(body=body), receipts=[], state=state)
        part.hear_block(applied)
        assert len(said) == tells and all("it was a planted fault" in words for words in said)
