"""Every file of a data directory, spoilt in every way: the node goes on as before, or refuses in a sentence or two."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from consensus.messages import FINALIZE
from node.cli import cli
from node.errors import StoreError
from node.key_value import open_key_value
from node.store import TIP
from node.template import read_template, template_path
from tests.crash.damage import DAMAGES, Opened, Way, as_nobody, copy_of, flipped, opened, removed
from tests.crash.lives import Lives
from tests.crash.promises import broken, verified
from tests.crash.strikes import go_on
from tests.node.processes import PASSWORD

pytestmark = pytest.mark.timeout(300)

EPOCH_BLOCKS = read_template(template_path(), "lab")["parameters"]["chain.epoch_blocks"]
FINE = ""
RESTORE = "restore the whole data directory from a backup, or start anew with another --data-dir"
RIGHTS = "give this user the right to read and write it"
PLACE = "something else lies in its place"
BACKUP = "restore it from a backup"
# What is said for each way of spoiling a file; FINE: nothing, the node goes on with the same chain and model.
TABLE: dict[str, tuple[str, ...]] = {
    "schema": ("is damaged", "is damaged", "is damaged", "is missing", PLACE, RIGHTS),
    "lock": (FINE, FINE, FINE, FINE, PLACE, RIGHTS),
    "network": (BACKUP, BACKUP, BACKUP, "restore the file from a backup", PLACE, RIGHTS),
    "keystore.json": (
        *("twelve words with --token-file",) * 5,
        "check its permissions",
    ),
    "keystore.password": (
        *("twelve words with --token-file",) * 3,
        "give --password-file",
        "with --password-file",
        "with --password-file",
    ),
    "node-key": (*("is damaged: restore it from a backup, or remove it",) * 3, FINE, PLACE, RIGHTS),
    "sign-state": (RESTORE, RESTORE, RESTORE, RESTORE, PLACE, RIGHTS),
    "sign-state.lock": (FINE, FINE, FINE, FINE, PLACE, RIGHTS),
    "ledger/CURRENT": (*(RESTORE,) * 5, RIGHTS),
    "ledger/MANIFEST-*": (*(RESTORE,) * 5, RIGHTS),
    "ledger/*.log": (*(RESTORE,) * 5, RIGHTS),
    "ledger/*.ldb": (*(RESTORE,) * 5, RIGHTS),
    "ledger/LOG": (FINE,) * 6,
    "model/NEWEST": (FINE, FINE, FINE, FINE, PLACE, FINE),
    "model/OLDEST": (FINE,) * 6,
    "payloads/*": (FINE,) * 6,
    "aggregates/*": (FINE,) * 6,
    "work/averages-*": (FINE,) * 6,
    "work/round-*": (FINE,) * 6,
    "work/lock": (FINE,) * 6,
    "segments/[0-9a-f]*": (FINE,) * 6,
    "segments/round-*": (FINE,) * 6,
    "segments/lock": (FINE,) * 6,
    "rounds.jsonl": (FINE,) * 6,
    "api.json": (FINE,) * 6,
    "api-token": (FINE, FINE, FINE, FINE, PLACE, RIGHTS),
    "tokens/*": (FINE,) * 6,
}

# Notes of the running node that are there sooner or later; spoilt below, with everything else that is made again.
MADE_AGAIN = ("housekeeping.json", "uptime.json", "logs/node.log")


@dataclass(frozen=True)
class Home:
    folder: Path
    found: Opened

    def file(self, pattern: str) -> str:
        """The name of a file that the pattern of the table means."""
        if pattern.startswith("model/"):
            models = sorted((self.folder / "model").iterdir(), key=lambda path: int(re.sub(r"\D", "", path.name)))
            return f"model/{models[-1 if pattern.endswith('NEWEST') else 0].name}"
        largest = max(self.folder.glob(pattern), key=lambda path: path.stat().st_size)
        return str(largest.relative_to(self.folder))


def stands_alone(found: Opened, lives: Lives) -> bool:
    """Whether only the end of the ledger tells of the last block: no vote for a later one, votes not yet forgotten."""
    finalized = [entry["block"] for entry in lives.of("vote") if entry["kind"] == FINALIZE]
    return finalized[-1] == found.tip and found.height % EPOCH_BLOCKS != 0


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, tokens: Path) -> Iterator[Home]:
    """A node that was killed in the middle of a round; its ledger has files of both kinds."""
    lives = Lives(tmp_path_factory.mktemp("damage")).with_cheap_wallet().with_tokens(tokens)
    (lives.home / "keystore.password").write_text(PASSWORD)
    lives.start()
    lives.until(lambda: any(entry["round"] == 3 for entry in lives.of("segment")))
    lives.kill_all()
    # The second opening makes the first log a sorted file, and begins another log.
    lives.start()
    lives.until(lambda: any(entry["round"] == 4 and entry["segment"] == 1 for entry in lives.of("segment")))
    lives.kill_all()
    found = opened(copy_of(lives.home, tmp_path_factory.mktemp("found") / "0"))
    for number in range(1, 8):
        if stands_alone(found, lives):
            break
        blocks = len(lives.of("final"))
        lives.start(None, "--no-training")
        lives.until(lambda before=blocks: len(lives.of("final")) > before + 5)  # type: ignore[misc]
        lives.kill_all()
        found = opened(copy_of(lives.home, tmp_path_factory.mktemp("found") / str(number)))
    assert stands_alone(found, lives)
    # Root is refused by no file and a folder of pytest admits nobody else, so all this lies in a folder of its own.
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    try:
        yield Home(copy_of(lives.home, folder / "home"), found)
    finally:
        shutil.rmtree(folder)


def test_every_file_of_a_data_directory_is_in_the_table(home: Home) -> None:
    names = {home.file(pattern) for pattern in TABLE}
    patterns = [pattern.replace("NEWEST", "*").replace("OLDEST", "*") for pattern in TABLE]
    unknown = {
        str(path.relative_to(home.folder))
        for path in home.folder.rglob("*")
        if path.is_file() and not any(path.relative_to(home.folder).match(pattern) for pattern in patterns)
    }
    assert unknown <= {*MADE_AGAIN, "ledger/LOCK", "ledger/LOG.old"} and len(names) == len(TABLE)
    assert home.found.refusal == "" and home.found.height > 0


CASES = [
    pytest.param(pattern, way, said, id=f"{pattern}-{way.__name__}")
    for pattern, sayings in TABLE.items()
    for way, said in zip(DAMAGES, sayings, strict=True)
]


@pytest.mark.parametrize(("pattern", "way", "said"), CASES)
def test_a_spoilt_file_is_made_good_or_told_in_words_and_nothing_else_is_lost(
    home: Home, tmp_path: Path, pattern: str, way: Way, said: str
) -> None:
    copy = copy_of(home.folder, home.folder.parent / "copy")
    try:
        path = copy / home.file(pattern)
        way(path)
        with as_nobody(copy):
            found = opened(copy)
        # A start does not read every block of an old table: a bit in another one is found when that is read.
        unread = pattern == "ledger/*.ldb" and way is flipped and not found.refusal
        if said == FINE or unread:
            assert found == home.found
            # Whoever reads all of it is told at once.
            assert not unread or said in whole_read(copy)
        else:
            assert said in found.refusal and "Errno" not in found.refusal and found.refusal.count("\n") == 0
        assert_only_this_file_differs(home.folder, copy, home.file(pattern))
        # With the file back in its place, everything is as before.
        if said != FINE and "ledger" not in pattern:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            shutil.copy(home.folder / home.file(pattern), path)
            assert opened(copy) == home.found
    finally:
        shutil.rmtree(copy)


def whole_read(home: Path) -> str:
    """What reading every record of the ledger says."""
    records = open_key_value(home / "ledger")
    try:
        with pytest.raises(StoreError) as told:
            sum(len(value) for _, value in records.items(b""))
    finally:
        records.close()
    return str(told.value)


def assert_only_this_file_differs(before: Path, after: Path, spoilt: str) -> None:
    """LevelDB moves records between its files, and a lock names its holder; all else is byte for byte the same."""
    for path in before.rglob("*"):
        name = str(path.relative_to(before))
        if path.is_file() and name != spoilt and not name.startswith("ledger/") and name != "lock":
            assert (after / name).read_bytes() == path.read_bytes(), name


def test_a_node_whose_recoverable_files_are_all_spoilt_goes_on(home: Home, tmp_path: Path) -> None:
    lives = Lives(tmp_path)
    copy_of(home.folder, lives.home)
    for pattern in ("tokens/*", "segments/*", "work/round-*", "model/*", "rounds.jsonl", "api.json", *MADE_AGAIN):
        for path in lives.home.glob(pattern):
            path.write_bytes(path.read_bytes()[:-7] + b"\xff")
    try:
        lives.start()
        lives.until(lambda: any(entry["round"] > 4 for entry in lives.of("segment")))
        assert lives.end() == 0
    finally:
        lives.kill_all()
    start = lives.of("start")[0]
    assert (start["height"], start["block"]) == (home.found.height, home.found.tip)
    assert start["model"] == home.found.model and broken(lives) == [] and verified(lives)["ok"]
    assert b"validation_loss" in (lives.home / "rounds.jsonl").read_bytes()


def test_the_end_of_a_log_that_was_cut_anywhere_is_noticed(home: Home, tmp_path: Path) -> None:
    """Each block is one synced batch: a cut loses whole blocks, and the record of votes knows of them."""
    name = home.file("ledger/*.log")
    size = (home.folder / name).stat().st_size
    outcomes = set()
    for number, cut in enumerate((1, size // 50, size // 9, size // 3, size - 1)):
        copy = copy_of(home.folder, tmp_path / str(number))
        os.truncate(copy / name, size - cut)
        found = opened(copy)
        # Of the last block the vote that makes it final may be there without the block's own batch: it is made again.
        assert found.height >= home.found.height - 1 or RESTORE in found.refusal
        outcomes.add(found.refusal == "")
    assert outcomes == {True, False}


def test_a_last_block_whose_batch_was_cut_off_becomes_final_again_as_it_was(home: Home, tmp_path: Path) -> None:
    lives = Lives(tmp_path, arguments=("--no-training",))
    copy_of(home.folder, lives.home)
    cut_to_the_block_before(home.found.height, lives.home / home.file("ledger/*.log"), tmp_path / "trial")
    try:
        go_on(lives, and_train=False)
    finally:
        lives.kill_all()
    assert lives.of("start")[0]["height"] == home.found.height - 1
    assert lives.of("final")[0]["block"] == home.found.tip and broken(lives) == []


def cut_to_the_block_before(height: int, log: Path, trial: Path) -> None:
    """Cut as little off the end of a log as takes the last block's batch along."""
    whole = log.stat().st_size
    for lost in range(1, whole, 200):
        shutil.rmtree(trial, ignore_errors=True)
        shutil.copytree(log.parent, trial)
        os.truncate(trial / log.name, whole - lost)
        database = open_key_value(trial)
        found = int.from_bytes(database.get(TIP) or b"", "big")
        database.close()
        if found < height:
            os.truncate(log, whole - lost)
            return
    raise AssertionError("the last block is not in the log")


@pytest.mark.parametrize("only_the_ledger", [True, False])
def test_a_directory_that_may_not_be_written_is_refused_in_words(home: Home, only_the_ledger: bool) -> None:
    copy = copy_of(home.folder, home.folder.parent / "copy")
    try:
        with as_nobody(copy):
            folder = copy / "ledger" if only_the_ledger else copy
            for path in [folder, *folder.rglob("*")]:
                path.chmod(0o500 if path.is_dir() else 0o400)
            assert RIGHTS in opened(copy).refusal
            for path in [folder, *folder.rglob("*")]:
                path.chmod(0o700)
            assert opened(copy) == home.found
    finally:
        shutil.rmtree(copy)


# ---- `archive verify` on what is left


def verify(home: Path, *options: str) -> str:
    """What the command says: its last line, or why it refuses."""
    result = CliRunner().invoke(cli, ["archive", "verify", "--data-dir", str(home), *options])
    return result.output.splitlines()[-1] if result.exit_code == 0 else str(result.exception)


def test_archive_verify_makes_a_lost_model_again_also_without_its_folder(home: Home, tmp_path: Path) -> None:
    copy = copy_of(home.folder, tmp_path / "copy")
    shutil.rmtree(copy / "model")
    assert verify(copy) == "OK"
    assert [path.name for path in (copy / "model").iterdir()] == [Path(home.file("model/NEWEST")).name]
    assert opened(copy) == home.found


@pytest.mark.parametrize("way", DAMAGES[:4])
def test_archive_verify_names_a_spoilt_payload_and_says_what_to_do(home: Home, tmp_path: Path, way: Way) -> None:
    copy = copy_of(home.folder, tmp_path / "copy")
    for path in (copy / "payloads").iterdir():
        way(path)
    if way is removed:
        # Payloads may be pruned: then the rest is verified, and the weights only if they are asked for.
        assert verify(copy) == "OK" and "payloads are missing" in verify(copy, "--weights")
    else:
        assert re.search(r"height \d+ differs: the payload .* damaged.*restore this file from a backup", verify(copy))


def test_archive_verify_of_an_empty_ledger_says_that_there_is_none(home: Home, tmp_path: Path) -> None:
    copy = copy_of(home.folder, tmp_path / "copy")
    shutil.rmtree(copy / "ledger")
    assert "there is nothing to verify" in verify(copy) and not any((copy / "ledger").iterdir())
