"""The smallest key-value interface that the store needs, over LevelDB (plyvel) or LMDB."""

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import copy
from mmap import PAGESIZE
from pathlib import Path
from typing import Any, Protocol, Self

from node.backends import asked
from node.errors import StoreError
from wallet.durable import sync_folder

RESTORE = "restore the whole data directory from a backup, or start anew with another --data-dir"
LMDB_FILE = "data.mdb"
LMDB_FIRST_BYTES = 1 << 30  # of the map; the file is only as large as its content
LMDB_PATIENCE_SECONDS = 30  # for readers to end, before the map grows


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

    def compact(self) -> None:
        """Give the space of deleted records back to the disk; nobody else may use the map meanwhile."""
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

    def compact(self) -> None:
        try:
            # plyvel takes an absent bound for an empty range, and then nothing is done. Our keys begin with letters.
            self._database.compact_range(start=b"\x00", stop=b"\xff")
        except (self._error, OSError) as error:
            raise StoreError(f"cannot write to the ledger: {in_words(error)}; {advice(error)}") from error

    def close(self) -> None:
        self._database.close()


def _environment(path: Path, map_bytes: int) -> Any:
    import lmdb

    return lmdb.open(str(path), map_size=map_bytes, subdir=True, readahead=False)


class _Map:
    """An LMDB environment and how many read in it now."""

    def __init__(self, environment: Any, file: Path) -> None:
        self.environment = environment
        self.file = file
        self._reading = 0
        self._changed = threading.Condition()

    def enter(self) -> Any:
        """A new reading transaction, to be given back with `leave`."""
        with self._changed:
            transaction = self.environment.begin()
            self._reading += 1
        return transaction

    def leave(self, transaction: Any) -> None:
        transaction.abort()
        with self._changed:
            self._reading -= 1
            self._changed.notify_all()

    def grow(self) -> None:
        """Double the map, or take what the disk has left. Raises StoreError or the database's error."""
        size = self.environment.info()["map_size"]
        disk = os.statvfs(self.file)
        wanted = min(2 * size, self.file.stat().st_size + disk.f_bavail * disk.f_frsize)
        wanted -= wanted % PAGESIZE
        if wanted <= size:
            raise StoreError(
                "cannot write to the ledger: No space left on device; the disk is full: free some space and start again"
            )
        with self._changed:
            if not self._changed.wait_for(lambda: not self._reading, LMDB_PATIENCE_SECONDS):
                raise StoreError(
                    f"cannot write to the ledger: it must grow beyond {size} bytes and {self._reading} readers have "
                    f"not ended in {LMDB_PATIENCE_SECONDS} s; start again"
                )
            self.environment.set_mapsize(wanted)

    def replace(self, draft: Path) -> None:
        """Go on with another file in place of this one. Raises OSError or the database's error."""
        size = self.environment.info()["map_size"]
        self.environment.close()
        draft.replace(self.file)
        sync_folder(self.file.parent)
        self.environment = _environment(self.file.parent, size)


class Lmdb:
    """py-lmdb, where LevelDB has no wheel. One process at a time, like LevelDB, and every commit is synced.

    The file is mapped into memory. A write that does not fit makes the map larger, as far as the disk goes; that needs
    a moment without readers, because addresses move.
    """

    name = "lmdb"

    def __init__(self, path: Path, map_bytes: int = LMDB_FIRST_BYTES) -> None:
        import lmdb

        self._error, self._full = lmdb.Error, lmdb.MapFullError
        self._frozen: Any = None  # the reading transaction of a snapshot
        self._lock: int | None = _locked(path)
        is_new = not (path / LMDB_FILE).exists()
        try:
            environment = _environment(path, map_bytes)
        except (lmdb.Error, OSError) as error:
            os.close(self._lock)
            raise StoreError(_unopened(path, error)) from error
        self._map = _Map(environment, path / LMDB_FILE)
        try:
            if is_new:
                sync_folder(path)
            else:
                self._check_length()
        except (lmdb.Error, OSError) as error:
            self.close()
            raise StoreError(_unopened(path, error)) from error
        except StoreError:
            self.close()
            raise

    def _check_length(self) -> None:
        """Look through a file that lacks its end, where some free pages may rightly be missing. Raises StoreError."""
        environment, file = self._map.environment, self._map.file
        found = file.stat().st_size
        needed = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
        if found < needed and not _copies(file.parent):
            raise StoreError(f"{file} has {found} bytes and should have {needed}: its end is lost; {RESTORE}")

    def get(self, key: bytes) -> bytes | None:
        try:
            with self._reading() as transaction:
                value: bytes | None = transaction.get(key)
        except self._error as error:
            raise StoreError(f"the ledger database is damaged: {in_words(error)}; {advice(error)}") from error
        return value

    def write(self, changes: Mapping[bytes, bytes | None]) -> None:
        try:
            while not self._committed(changes):
                self._map.grow()
        except (self._error, OSError) as error:
            raise StoreError(f"cannot write to the ledger: {in_words(error)}; {advice(error)}") from error

    def _committed(self, changes: Mapping[bytes, bytes | None]) -> bool:
        """False, and nothing is written, if the map is too small."""
        try:
            with self._map.environment.begin(write=True) as transaction:
                for key, value in changes.items():
                    if value is None:
                        transaction.delete(key)
                    else:
                        transaction.put(key, value)
        except self._full:
            return False
        return True

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
        frozen._frozen = self._map.enter()
        return frozen

    def compact(self) -> None:
        """Copy what is left into a new file, which takes the old one's place."""
        try:
            self._map.replace(self._copied())
        except (self._error, OSError) as error:
            raise StoreError(f"cannot write to the ledger: {in_words(error)}; {advice(error)}") from error

    def _copied(self) -> Path:
        draft = self._map.file.with_name(LMDB_FILE + ".partial")
        with draft.open("wb") as file:
            self._map.environment.copyfd(file.fileno(), compact=True)
            os.fsync(file.fileno())
        return draft

    def _reading(self) -> AbstractContextManager[Any]:
        return self._briefly() if self._frozen is None else nullcontext(self._frozen)

    @contextmanager
    def _briefly(self) -> Iterator[Any]:
        transaction = self._map.enter()
        try:
            yield transaction
        finally:
            self._map.leave(transaction)

    def close(self) -> None:
        if self._frozen is not None:
            self._map.leave(self._frozen)
        elif self._lock is not None:
            self._map.environment.close()
            os.close(self._lock)
            self._lock = None


def _locked(path: Path) -> int:
    """Keep other processes away until the descriptor is closed: LMDB alone would let them write too."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise StoreError(_unopened(path, error)) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StoreError(_unopened(path, error)) from error
    return descriptor


def _copies(folder: Path) -> bool:
    """Whether an LMDB can be read as a whole, tried in a process of its own: a page that is missing ends it."""
    program = "import lmdb, sys; lmdb.open(sys.argv[1], readonly=True, lock=False).copyfd(1, compact=True)"
    command = [sys.executable, "-c", program, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as copying:
        assert copying.stdout is not None
        while copying.stdout.read(1 << 20):
            pass
    return copying.returncode == 0


def open_key_value(path: Path) -> KeyValue:
    """The engine that made the directory; for a new one what NEUROSHARD_STORE says, else LevelDB if it is there.

    Raises StoreError if the engine that is needed is missing, or another is asked for.
    """
    path.mkdir(parents=True, exist_ok=True)
    wish = asked("NEUROSHARD_STORE", os.environ)
    made_by = "lmdb" if (path / LMDB_FILE).exists() else "leveldb" if (path / "CURRENT").exists() else None
    if made_by and wish not in (None, made_by):
        raise StoreError(f"the ledger at {path} was made by {made_by}, NEUROSHARD_STORE asks for {wish}: unset it")
    if (made_by or wish) == "lmdb":
        return Lmdb(path)
    try:
        return LevelDb(path)
    except ImportError:
        if made_by or wish:
            raise StoreError(
                f"the ledger at {path} {'is' if made_by else 'is to be'} a LevelDB and plyvel is not installed here: "
                "install it, or move the directory to a machine that has it"
            ) from None
        return Lmdb(path)
