"""The smallest key-value interface that the store needs, over LevelDB (plyvel) or LMDB."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from node.errors import StoreError


class KeyValue(Protocol):
    """An ordered map of bytes. `write` is atomic and on disk when it returns."""

    name: str

    def get(self, key: bytes) -> bytes | None: ...

    def write(self, changes: Mapping[bytes, bytes | None]) -> None: ...

    def items(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]: ...

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
            raise StoreError(
                f"cannot open the ledger at {path}: {error}; restore the data directory from a backup, "
                "or start anew with another --data-dir"
            ) from error

    def get(self, key: bytes) -> bytes | None:
        try:
            value: bytes | None = self._database.get(key, verify_checksums=True)
        except self._error as error:
            raise StoreError(f"the ledger database is damaged: {error}") from error
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
            raise StoreError(
                f"cannot write to the ledger: {error}; free some disk space or check its permissions, then start again"
            ) from error

    def items(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        try:
            yield from self._database.iterator(prefix=prefix, verify_checksums=True)
        except self._error as error:
            raise StoreError(f"the ledger database is damaged: {error}") from error

    def close(self) -> None:
        self._database.close()


class Lmdb:
    """py-lmdb, where LevelDB has no wheel. The map is sparse: its size is a bound, not a cost."""

    name = "lmdb"
    MAP_BYTES = 1 << 40

    def __init__(self, path: Path) -> None:
        import lmdb

        self._error = lmdb.Error
        try:
            self._environment = lmdb.open(str(path), map_size=self.MAP_BYTES, subdir=True, readahead=False)
        except (lmdb.Error, OSError) as error:
            raise StoreError(f"cannot open the ledger at {path}: {error}") from error

    def get(self, key: bytes) -> bytes | None:
        try:
            with self._environment.begin() as transaction:
                value: bytes | None = transaction.get(key)
        except self._error as error:
            raise StoreError(f"the ledger database is damaged: {error}") from error
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
            raise StoreError(
                f"cannot write to the ledger: {error}; free some disk space or check its permissions, then start again"
            ) from error

    def items(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        try:
            with self._environment.begin() as transaction:
                cursor = transaction.cursor()
                found = cursor.set_range(prefix)
                while found and cursor.key().startswith(prefix):
                    yield cursor.key(), cursor.value()
                    found = cursor.next()
        except self._error as error:
            raise StoreError(f"the ledger database is damaged: {error}") from error

    def close(self) -> None:
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
