"""Wherever a node dies, or its disk fails, the next life goes on; the list of places is complete."""

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from node import failpoints
from node.errors import NodeError
from node.failpoints import MOMENTS, NAMES, parse, reach
from tests.crash.lives import Lives
from tests.crash.promises import broken, verified
from tests.crash.strikes import go_on, is_first, is_trainers, strike
from tests.node.processes import ROOT

pytestmark = pytest.mark.timeout(300)
# The places where dying is most delicate. `make crash` visits all.
CORE = (
    "sign-state.vote.written",
    "ledger.append.before@3",
    "ledger.append.durable@2",
    "model.accept.before",
    "model.accept.renamed",
)
FULL = ("sign-state.vote.before=enospc@2", "payload.written=enospc")


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory, tokens: Path) -> Iterator[Lives]:
    lives = Lives(tmp_path_factory.mktemp("struck")).with_cheap_wallet().with_tokens(tokens)
    go_on(lives, and_train=True)
    yield lives
    if lives.process is not None:
        lives.kill_all()


@pytest.mark.parametrize("failpoint", CORE)
def test_the_life_after_a_death_goes_on_without_loss(lived: Lives, failpoint: str) -> None:
    struck = strike(lived, failpoint)
    assert struck.status == (0 if is_trainers(failpoint) else -9)
    go_on(lived, and_train=False)
    assert broken(lived) == []


@pytest.mark.parametrize("failpoint", FULL)
def test_a_full_disk_is_told_in_words_and_loses_nothing(lived: Lives, failpoint: str) -> None:
    struck = strike(lived, failpoint)
    assert struck.status == (0 if is_trainers(failpoint) else 1)
    assert "the disk is full: free some space and start again" in struck.words
    assert "Traceback" not in lived.last_words() and struck.words.count("\n") <= 1
    go_on(lived, and_train=False)
    assert broken(lived) == []


def test_after_all_these_deaths_everything_executes_again(lived: Lives) -> None:
    go_on(lived, and_train=True)
    found = verified(lived)
    assert found["ok"] and found["blocks"] >= lived.of("final")[-1]["height"] > 0 and found["rounds_void"] == 0


@pytest.mark.parametrize("name", ["keystore.named", "network.renamed"])
def test_a_first_start_that_dies_is_gone_on_with(tmp_path: Path, name: str) -> None:
    lives = Lives(tmp_path, arguments=("--no-training",))
    assert is_first(name) and strike(lives, name).status == -9
    go_on(lives, and_train=False)
    assert broken(lives) == []


# ---- The list of places

# Notes that are made again when they are lost; two functions that are told the places; a local network, which is made
# short, as a restore is (tests/node/test_archive_snapshot.py and test_snapshot_sync.py end one).
# short, as a restore is (tests/node/test_archive_snapshot.py and test_snapshot_sync.py end them in the middle).
WITHOUT_PLACES = {"housekeeping.py", "jobs.py", "home.py", "wallet_files.py", "plan.py"}
WITHOUT_PLACES |= {"corpus_store.py", "snapshot_restore.py", "snapshot_sync.py", "light_store.py"}
# A life alone, which is what is killed here, audits nobody and fetches no corpus.
WITHOUT_PLACES |= {"audit_words.py", "corpus_fetch.py", "corpus_receipts.py"}
TOLD = {"home.py", "wallet_files.py"}


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            yield name, node


def text_of(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def steps_told(module: str, function: str) -> list[str]:
    """The steps that a function tells its `reached`, in their order."""
    tree = ast.parse((ROOT / module).read_text())
    return [text_of(call.args[0]) or "" for name, call in calls(tree) if name == function and call.args]


def places_in_the_source() -> set[str]:
    """Every place that the source passes, directly or through a function that is told the name of the file."""
    told = {
        "keystore": ("before", "written", "synced", "named", "durable"),
    }
    found: set[str] = set()
    for path in sorted((ROOT / "node").rglob("*.py")):
        for name, call in calls(ast.parse(path.read_text())):
            texts = [text for argument in call.args if (text := text_of(argument)) is not None]
            if name == "reach":
                found |= set(texts)
            elif name == "_write" and path.name == "store.py":
                found |= {f"{texts[0]}.before", f"{texts[0]}.durable"}
            elif texts and (name in ("write_atomically", "moments_of") or (name == "_write" and path.name in TOLD)):
                found |= {f"{texts[-1]}.{moment}" for moment in told.get(texts[-1], MOMENTS)}
            else:
                is_nameless = name == "write_atomically" and path.name not in WITHOUT_PLACES
                assert not is_nameless, f"{path.name}, line {call.lineno}: give it the name of its failpoint"
    return found


def test_the_declared_places_are_those_in_the_source() -> None:
    assert places_in_the_source() == set(NAMES) and len(NAMES) == len(set(NAMES))


def test_the_writers_below_the_node_tell_every_step() -> None:
    told = steps_told("wallet/keystore_file.py", "reached")
    assert sorted(told) == sorted(("before", "named", "durable"))  # and those of the draft
    assert sorted(steps_told("wallet/durable.py", "reached")) == sorted(MOMENTS)
    assert set(steps_told("training/checkpoint.py", "reached")) == set(MOMENTS)


# ---- The variable


@pytest.mark.parametrize(
    "text", ["nowhere", "schema", "schema.before=explode", "schema.before@", "schema.before@x", "schema.before@-1", ""]
)
def test_what_is_no_place_is_refused(text: str) -> None:
    if text == "schema.before@":  # An empty count is the first passing.
        assert parse(text).passings == 1  # type: ignore[union-attr]
        return
    with pytest.raises(NodeError, match="is none"):
        parse(text)


def test_a_place_strikes_at_its_nth_passing_and_ever_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failpoints, "_watch", parse("payload.before=enospc@2"))
    reach("payload.before")
    reach("payload.written")
    for _ in range(2):
        with pytest.raises(OSError, match="No space left"):
            reach("payload.before")


def test_without_the_variable_nothing_is_armed() -> None:
    assert failpoints.VARIABLE not in os.environ and failpoints._watch is None
    for name in NAMES:
        reach(name)


def test_the_document_names_every_place() -> None:
    _, _, table = (ROOT / "docs" / "crash.md").read_text().partition("| Place | Moments |")
    rows = re.findall(r"^\| `([a-z.-]+)` \| ([a-z, ]+) \|", table.partition("\n\n")[0], re.MULTILINE)
    assert {f"{file}.{moment}" for file, moments in rows for moment in moments.split(", ")} == set(NAMES)
