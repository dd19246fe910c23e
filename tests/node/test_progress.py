"""What a start says where there is no terminal to draw on."""

import asyncio
import io
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from node.progress import Screen
from node.status import status_of
from tests.node.served import serving


async def test_without_a_terminal_it_is_said_once_which_network_this_is_and_that_it_verifies_itself(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path / "home") as served:
        for validators, words in ((1, " · self-verified"), (2, "")):
            console = Console(width=100, file=io.StringIO(), force_terminal=False)
            served.node.facts = replace(served.node.facts, validators=validators)
            screen = asyncio.create_task(Screen(served.node, console).run())
            await asyncio.sleep(0)
            screen.cancel()
            status = status_of(served.node)
            expected = f"NeuroShard {status.chain_id[:12]} · {status.phase}{words}\n"
            assert console.file.getvalue() == expected  # type: ignore[attr-defined]
