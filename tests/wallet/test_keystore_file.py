"""Keystore files: private, whole or absent, never overwritten."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from wallet import durable, keystore, keystore_file
from wallet.errors import KeystoreCorrupt, KeystoreError, KeystoreExists, KeystoreMissing

SEALED = keystore.seal(b"secret of 16 byt", "password", "", "", 2)
OTHER = keystore.seal(b"another 16 bytes", "password", "", "", 2)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def no_links(*_: object) -> None:
    raise OSError(errno.EPERM, "no hard links here")


@pytest.fixture(params=["links", "no links"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a file system with hard links, and of one without."""
    if request.param == "no links":
        monkeypatch.setattr(os, "link", no_links)
    return tmp_path


def test_what_is_saved_is_loaded(folder: Path) -> None:
    keystore_file.save(folder / "wallet.json", SEALED)
    assert keystore_file.load(folder / "wallet.json") == SEALED
    assert names(folder) == ["wallet.json"]


def test_only_the_owner_may_read(folder: Path) -> None:
    keystore_file.save(folder / "new" / "wallet.json", SEALED)
    assert stat.S_IMODE((folder / "new" / "wallet.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / "new").stat().st_mode) == 0o700


def test_an_existing_name_is_never_overwritten(folder: Path) -> None:
    path = folder / "wallet.json"
    keystore_file.save(path, SEALED)
    with pytest.raises(KeystoreExists, match=r"wallet\.json exists already"):
        keystore_file.save(path, OTHER)
    assert keystore_file.load(path) == SEALED
    assert names(folder) == ["wallet.json"]


def test_a_dangling_link_is_an_existing_name(folder: Path) -> None:
    (folder / "wallet.json").symlink_to(folder / "elsewhere")
    with pytest.raises(KeystoreExists):
        keystore_file.save(folder / "wallet.json", SEALED)
    assert not (folder / "elsewhere").exists()


def test_of_two_writers_that_both_saw_a_free_name_one_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "wallet.json"
    write = durable.write_new

    def outrun(draft: Path, content: bytes, reached: Callable[[str], None]) -> None:
        write(draft, content, reached)
        monkeypatch.setattr(durable, "write_new", write)
        keystore_file.save(path, OTHER)

    monkeypatch.setattr(durable, "write_new", outrun)
    with pytest.raises(KeystoreExists):
        keystore_file.save(path, SEALED)
    assert keystore_file.load(path) == OTHER


def test_content_reaches_the_disk_before_its_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    fsync = os.fsync

    def record(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        seen.append(("folder" if is_folder else "file", (folder / "wallet.json").exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    keystore_file.save(folder / "wallet.json", SEALED)
    assert seen == [("file", False), ("folder", True)]


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(KeystoreError, match="No space left"):
        keystore_file.save(tmp_path / "wallet.json", SEALED)
    assert names(tmp_path) == []


def test_a_folder_that_is_a_file_is_a_named_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KeystoreError) as refused:
        keystore_file.save(tmp_path / "file" / "wallet.json", SEALED)
    assert not isinstance(refused.value, KeystoreExists)


def test_a_name_too_long_for_the_disk_is_a_named_error(tmp_path: Path) -> None:
    for call in (lambda path: keystore_file.save(path, SEALED), keystore_file.load):
        with pytest.raises(KeystoreError):
            call(tmp_path / ("x" * 300))
    assert names(tmp_path) == []


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(KeystoreMissing):
        keystore_file.load(tmp_path / "none.json")
    with pytest.raises(KeystoreCorrupt):
        keystore_file.load(tmp_path)


def test_a_pipe_is_refused_unopened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(KeystoreCorrupt):
        keystore_file.load(tmp_path / "pipe")


def test_of_a_huge_file_only_the_beginning_is_read(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(KeystoreCorrupt, match="at most"):
        keystore_file.load(tmp_path / "huge")
