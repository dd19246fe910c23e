"""`neuroshard audit`: asked of a running node, answered in words or as JSON, refused in words that help."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from click.testing import CliRunner, Result

from chain.audit_messages import PASS
from chain.genesis import Network
from chain.state import AUDITING, PASSED
from node.cli import cli
from node.commands.audit import plain, wrapped
from node.errors import NodeError
from tests.node.audited import an_audit, an_auditor, closed_rounds, forget_audits, put_audit, seat_auditors, write
from tests.node.lone_node import IDENTITY
from tests.node.served import Served, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")
OWN = IDENTITY.node.hex()


def past(folder: Path) -> Network:
    """Round 2 has passed its audit, round 3 is being audited."""
    node = closed_rounds(folder)
    draft = node.state.fork()
    seat_auditors(draft)
    forget_audits(draft)
    put_audit(draft, 2, an_audit(PASSED, an_auditor(1, finding=PASS)))
    put_audit(draft, 3, an_audit(AUDITING, an_auditor(0, committed=False)))
    write(node, draft)
    node.database.close()
    return node.network


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with serving(tmp_path_factory.mktemp("audit") / "home", past=past) as found:
        yield found


async def run(served: Served, *words: str) -> Result:
    arguments = ["audit", *words, "--data-dir", str(served.node.home.directory.root)]
    return await asyncio.to_thread(CliRunner().invoke, cli, arguments)


async def test_a_proof_is_told_in_words_each_with_what_it_is_worth(served: Served) -> None:
    result = await run(served, "show", "2", OWN[:6])
    assert result.exit_code == 0, result.exception
    assert result.output.startswith(f"Round 2, node {OWN}\nAudited and passed: segment 2 of 4")
    for kind in ("claimed", "checked", "still only claimed", "not checkable"):
        assert f"\n{kind} " in result.output
    assert max(map(len, result.output.splitlines())) <= 100


async def test_json_is_what_the_api_answers_and_the_node_may_be_named(served: Served) -> None:
    result = await run(served, "show", "2", OWN.upper(), "--json", "--api", served.address)
    assert json.loads(result.output) == await served.get(f"/v1/rounds/2/proofs/{OWN}")


async def test_the_open_audits_and_those_of_a_round_are_listed(served: Served) -> None:
    opened = (await run(served, "list")).output.splitlines()
    assert len(opened) == 2 and opened[1].split() == ["3", OWN[:16], "2", "auditing", "1", "20", "140"]
    ended = (await run(served, "list", "--round", "2")).output.splitlines()
    assert ended[1].split() == ["2", OWN[:16], "2", "passed", "1", "20", "-"]
    assert (await run(served, "list", "--round", "4")).output == "Round 4 has no audits.\n"
    told = json.loads((await run(served, "list", "--json")).output)
    assert told == {"audits": (await served.get("/v1/audits"))["audits"]}


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["show", "2", "ffff"], "no node whose id begins with ffff has proven work in round 2"),
        (["show", "99", "ffff"], "round 99 has not opened"),
        (["show", "7", OWN], "round 7 is not over"),
        (["show", "2", "xyz"], "NODE is 'xyz': a node's id is wanted"),
        (["show", "2", OWN[:3]], "the first 4 of them or more"),
        (["list", "--round", "99"], "round 99 has not opened"),
    ],
)
async def test_what_cannot_be_answered_is_refused_with_the_reason(
    served: Served, words: list[str], answer: str
) -> None:
    result = await run(served, *words)
    assert isinstance(result.exception, NodeError) and answer in str(result.exception)


async def test_without_a_running_node_it_says_how_to_start_one(tmp_path: Path) -> None:
    result = await asyncio.to_thread(CliRunner().invoke, cli, ["audit", "list", "--data-dir", str(tmp_path)])
    assert isinstance(result.exception, NodeError) and "start one with" in str(result.exception)


async def test_the_words_of_another_program_cannot_steer_the_terminal() -> None:
    assert plain("a\x1b[31mb\nc") == "a\N{REPLACEMENT CHARACTER}[31mb\N{REPLACEMENT CHARACTER}c"
    assert wrapped("one two three", 7) == ["one two", "three"] and wrapped("x" * 9, 4) == ["x" * 9]
