"""What LMDB needs beyond the common promises: a map that grows, a lock, and a look at a file that was cut off."""

import os
import subprocess
import sys
import threading
from mmap import PAGESIZE
from pathlib import Path

import pytest

from node import key_value
from node.errors import StoreError
from node.key_value import LMDB_FILE, Lmdb
from tests.node.processes import ROOT

SMALL = 1 << 16
RECORDS: dict[bytes, bytes | None] = {b"%04d" % i: bytes((i % 256,)) * 1000 for i in range(400)}


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """The folder of a database of more than the small map."""
    database = Lmdb(tmp_path, SMALL)
    database.write(RECORDS)
    database.close()
    return tmp_path


def in_another_process(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    """What a program does with `folder`, after the imports that it needs."""
    imports = "import os, signal, sys, pathlib\nfrom node.key_value import Lmdb\nfolder = pathlib.Path(sys.argv[1])\n"
    command = [sys.executable, "-c", imports + program, str(folder)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_map_that_is_full_grows_until_what_is_written_fits(full: Path) -> None:
    database = Lmdb(full, SMALL)
    assert dict(database.items(b"")) == RECORDS
    database.write({b"more": bytes(1 << 20)})
    assert database.get(b"more") == bytes(1 << 20)
    database.close()


def test_growth_waits_for_whoever_reads(full: Path) -> None:
    database = Lmdb(full, SMALL)
    snapshot, found = database.snapshot(), []

    def write() -> None:
        database.write({b"more": bytes(1 << 20)})
        found.append("written")

    writer = threading.Thread(target=write)
    writer.start()
    assert dict(snapshot.items(b"")) == RECORDS
    found.append("read")
    snapshot.close()
    writer.join()
    assert found == ["read", "written"] and database.get(b"more") == bytes(1 << 20)
    database.close()


def test_growth_is_given_up_in_words_if_a_reader_never_ends(full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_value, "LMDB_PATIENCE_SECONDS", 0)
    database = Lmdb(full, SMALL)
    snapshot = database.snapshot()
    with pytest.raises(StoreError, match="1 readers have not ended"):
        database.write({b"more": bytes(1 << 20)})
    snapshot.close()
    database.write({b"more": bytes(1 << 20)})
    assert database.get(b"more") == bytes(1 << 20)
    database.close()


def test_the_map_does_not_grow_beyond_the_disk(full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Lmdb(full, SMALL)
    found = list(os.statvfs(full))
    found[4] = 0  # free blocks for this user
    monkeypatch.setattr(key_value.os, "statvfs", lambda _: os.statvfs_result(found))
    with pytest.raises(StoreError, match="the disk is full: free some space"):
        database.write({b"more": bytes(1 << 20)})
    assert dict(database.items(b"")) == RECORDS
    database.close()


def test_another_process_is_kept_away_until_the_first_has_closed(tmp_path: Path) -> None:
    database = Lmdb(tmp_path)
    refused = in_another_process(tmp_path, "Lmdb(folder)")
    assert "cannot open the ledger" in refused.stderr
    database.close()
    assert in_another_process(tmp_path, "Lmdb(folder)").returncode == 0


def test_what_was_written_is_there_after_the_process_was_killed(tmp_path: Path) -> None:
    program = "Lmdb(folder).write({b'key': b'value'})\nos.kill(os.getpid(), signal.SIGKILL)"
    assert in_another_process(tmp_path, program).returncode == -9
    database = Lmdb(tmp_path)
    assert database.get(b"key") == b"value"
    database.close()


def test_every_commit_is_synced(tmp_path: Path) -> None:
    database = Lmdb(tmp_path)
    flags = database._map.environment.flags()
    database.close()
    assert (flags["sync"], flags["metasync"], flags["map_async"], flags["writemap"]) == (True, True, False, False)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
def test_a_file_without_its_end_is_refused_in_words_and_left_as_it_was(full: Path, part: float) -> None:
    path = full / LMDB_FILE
    os.truncate(path, int(path.stat().st_size * part))
    before = path.read_bytes()
    # In a process of its own: reading what is not there would end it with a signal.
    ended = in_another_process(full, "Lmdb(folder)")
    assert ended.returncode == 1 and "its end is lost; restore the whole data directory" in ended.stderr
    assert path.read_bytes() == before


def test_a_file_that_lacks_only_pages_that_nothing_names_is_opened(full: Path) -> None:
    database = Lmdb(full)
    # What is deleted is free two commits later: then the records that stay move to the front of the file.
    for _ in range(4):
        database.write(dict.fromkeys(RECORDS) | {b"kept": b"value"})
    database.close()
    os.truncate(full / LMDB_FILE, (full / LMDB_FILE).stat().st_size - 4096)
    database = Lmdb(full)
    assert dict(database.items(b"")) == {b"kept": b"value"}
    database.write(RECORDS)
    assert len(dict(database.items(b""))) == len(RECORDS) + 1
    database.close()


def test_a_long_value_without_its_end_is_refused_too(full: Path) -> None:
    database = Lmdb(full)
    database.write({b"long": b"\x01" * (1 << 20)})
    needed = (database._map.environment.info()["last_pgno"] + 1) * PAGESIZE
    database.close()
    os.truncate(full / LMDB_FILE, needed - PAGESIZE)
    with pytest.raises(StoreError, match="its end is lost"):
        Lmdb(full)


@pytest.mark.parametrize("length", [1, 100, 4096, 5000])
def test_a_file_without_even_its_head_is_refused_in_words(full: Path, length: int) -> None:
    os.truncate(full / LMDB_FILE, length)
    ended = in_another_process(full, "Lmdb(folder)")
    assert ended.returncode == 1 and "StoreError: " in ended.stderr
