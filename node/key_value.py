"""The smallest key-value interface that the store needs, over LevelDB (plyvel) or LMDB."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from pathlib import Path
from typing import Any, Protocol, Self

from node.errors import StoreError

RESTORE = "restore the whole data directory from a backup, or start anew with another --data-dir"


def in_words(error: Exception) -> str:
    """What a database says; plyvel says it in bytes."""
    said = error.args[0] if error.args else None
    return said.decode(errors="replace") if isinstance(said, bytes) else str(error)


def advice(error: Exception) -> str:
    """What to do next: the databases tell the operating system's errors only by their text."""
    text = in_words(error)
    if "No space left" in text or "File too large" in text or "MDB_MAP_FULL" in text:
        return "the disk is full: free some space and start again"
    if "Permission denied" in text or "Read-only" in text:
        return "give this user the right to read and write it, then start again"
    return RESTORE


def _unopened(path: Path, error: Exception) -> str:
    return f"cannot open the ledger at {path}: {in_words(error)}; {advice(error)}"


class KeyValue(Protocol):
    """An ordered map of bytes. `write` is atomic and on disk when it returns."""

    name: str

    def get(self, key: bytes) -> bytes | None: ...

    def write(self, changes: Mapping[bytes, bytes | None]) -> None: ...

    def items(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]: ...

    def descending(self, first: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The records with first ≤ key < end, highest first."""
        ...

    def snapshot(self) -> Self:
        """What is there now, for reading beside a writer; to be closed before the map itself, and never written."""
        ...

    def close(self) -> None: ...


class LevelDb:
    """plyvel. The caller holds the data directory's lock: LevelDB's own can be lost by a failed second open."""

    name = "leveldb"

    def __init__(self, path: Path) -> None:
        import plyvel

        self._error = plyvel.Error
        # LevelDB takes a folder without CURRENT for a new database, and deletes the old one's files.
        is_new = not any(path.glob("*.ldb")) and not any(path.glob("*.log"))
        try:
            self._database = plyvel.DB(str(path), create_if_missing=is_new, paranoid_checks=True)
        except (plyvel.Error, OSError, ValueError) as error:
            raise StoreError(_unopened(path, error)) from error

    def get(self, key: bytes) -> bytes | None:
        try:
            value: bytes | None = self._database.get(key, verify_checksums=True)
        except self._error as error:
            raise StoreError(f"the ledger database is damaged: {in_words(error)}; {advice(error)}") from error
        return value

    def write(self, changes: Mapping[bytes, bytes | None]) -> None:
        try:
            with self._database.write_batch(transaction=True, sync=True) as batch:
                for key, value in changes.items():
                    if value is None:
                        batch.delete(key)
                    else:
                        batch.put(key, value)
        except (self._error, OSError) as error:
            raise StoreError(f"cannot write to the ledger: {in_words(error)}; {advice(error)}") from error

    def items(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        try:
            yield from self._database.iterator(prefix=prefix, verify_checksums=True)
        except self._error as error:
            raise StoreError(f"the ledger database is damaged: {in_words(error)}; {advice(error)}") from error

    def descending(self, first: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        try:
            yield from self._database.iterator(start=first, stop=end, reverse=True, verify_checksums=True)
        except self._error as error:
            raise StoreError(f"the ledger database is damaged: {in_words(error)}; {advice(error)}") from error

    def snapshot(self) -> Self:
        frozen = copy(self)
        frozen._database = self._database.snapshot()
        return frozen

    def close(self) -> None:
        self._database.close()


class Lmdb:
    """py-lmdb, where LevelDB has no wheel. The map is sparse: its size is a bound, not a cost."""

    name = "lmdb"
    MAP_BYTES = 1 << 40

    def __init__(self, path: Path) -> None:
        import lmdb

        self._error = lmdb.Error
        self._frozen: Any = None  # the reading transaction of a snapshot
        try:
            self._environment = lmdb.open(str(path), map_size=self.MAP_BYTES, subdir=True, readahead=False)
        except (lmdb.Error, OSError) as error:
            raise StoreError(_unopened(path, error)) from error

    def get(self, key: bytes) -> bytes | None:
        try:
            with self._reading() as transaction:
                value: bytes | None = transaction.get(key)
        except self._error as error:
            raise StoreError(f"the ledger database is damaged: {in_words(error)}; {advice(error)}") from error
        return value

    def write(self, changes: Mapping[bytes, bytes | None]) -> None:
        try:
            with self._environment.begin(write=True) as transaction:
                for key, value in changes.items():
                    if value is None:
                        transaction.delete(key)
                    else:
                        transaction.put(key, value)
        except (self._error, OSError) as error:
            raise StoreError(f"cannot write to the ledger: {in_words(error)}; {advice(error)}") from error

    def items(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        try:
            with self._reading() as transaction:
                cursor = transaction.cursor()
                found = cursor.set_range(prefix)
                while found and cursor.key().startswith(prefix):
                    yield cursor.key(), cursor.value()
                    found = cursor.next()
        except self._error as error:
            raise StoreError(f"the ledger database is damaged: {in_words(error)}; {advice(error)}") from error

    def descending(self, first: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        try:
            with self._reading() as transaction:
                cursor = transaction.cursor()
                found = cursor.prev() if cursor.set_range(end) else cursor.last()
                while found and cursor.key() >= first:
                    yield cursor.key(), cursor.value()
                    found = cursor.prev()
        except self._error as error:
            raise StoreError(f"the ledger database is damaged: {in_words(error)}; {advice(error)}") from error

    def snapshot(self) -> Self:
        frozen = copy(self)
        frozen._frozen = self._environment.begin()
        return frozen

    def _reading(self) -> AbstractContextManager[Any]:
        return self._environment.begin() if self._frozen is None else nullcontext(self._frozen)

    def close(self) -> None:
        if self._frozen is not None:
            self._frozen.abort()
        else:
            self._environment.close()


def open_key_value(path: Path) -> KeyValue:
    """The engine that made the directory; for a new one LevelDB where it is installed, else LMDB."""
    path.mkdir(parents=True, exist_ok=True)
    if (path / "data.mdb").exists():
        return Lmdb(path)
    try:
        return LevelDb(path)
    except ImportError:
        if (path / "CURRENT").exists():
            raise StoreError(
                f"the ledger at {path} is a LevelDB and plyvel is not installed here; move it to a machine that has it"
            ) from None
        return Lmdb(path)
