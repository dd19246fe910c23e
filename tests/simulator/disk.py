"""One machine's disk: what is written is lost at a crash until it is synced, and a crash may tear what is not.

`SimKeyValue` stands for the ledger database: a batch is atomic, and durable when `write` returns. `SimPath` and `SimOs`
stand for `pathlib` and `os` in `node.sign_state`, whose own code of writing, syncing, renaming and reading runs.
"""

import errno
import os
import random
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from types import TracebackType
from typing import Any, Self, cast

import node.sign_state as sign_state_module
from node.audit_words import Word, WordKey


class PowerCut(BaseException):
    """The machine ends here and now; nothing may catch this but the world."""


@dataclass(slots=True)
class File:
    """Bytes as a process sees them, and as the platter has them."""

    content: bytearray = field(default_factory=bytearray)
    durable: bytes = b""


class Disk:
    """Everything of one machine that outlives a crash."""

    def __init__(self, chance: random.Random) -> None:
        self.random = chance
        self.records: dict[bytes, bytes] = {}  # of the key-value store
        self.names: dict[str, File] = {}  # as processes see the folder
        self.durable_names: dict[str, File] = {}
        self.words: dict[WordKey, Word] = {}  # that were found in audits
        self.averages: dict[int, bytes] = {}  # with which the rounds of this machine's trainer began
        self.undo: list[dict[bytes, bytes | None]] = []  # of batches that are not synced: newest last
        self.syncs_records = True  # false: an injected bug
        self.writes = 0
        self.cut_at: int | None = None  # the number of the write at which power goes
        self.flat = 0  # sum over all flat records, so that two states are compared in one step
        self.sorted: dict[bytes, list[bytes]] = {}  # keys of those tables that are iterated, by first byte

    def fill(self, records: Mapping[bytes, bytes]) -> None:
        """What an empty disk begins with."""
        self._apply(records)

    # ---- power

    def arm(self, writes: int) -> None:
        """Cut the power at so many writes from now."""
        self.cut_at = self.writes + writes

    def passes(self) -> bool:
        """Called by every write before it happens: raises PowerCut, or says whether power goes right after it."""
        self.writes += 1
        if self.cut_at is None or self.writes < self.cut_at:
            return False
        self.cut_at = None
        if self.random.random() < 0.5:
            raise PowerCut
        return True

    def crash(self) -> None:
        """Lose what was not synced; the last of it may be torn."""
        self.cut_at = None
        while self.undo:
            if self.random.random() < 0.5:
                self.undo.pop(0)  # this batch and those before it got through
                continue
            while self.undo:
                self._apply(self.undo.pop())
        if self.names != self.durable_names and self.random.random() < 0.5:
            self.durable_names = dict(self.names)
        self.names = dict(self.durable_names)
        for file in self.names.values():
            self._tear(file)

    def _tear(self, file: File) -> None:
        missing = bytes(file.content[len(file.durable) :])
        if not missing or not file.content.startswith(file.durable):
            file.content = bytearray(file.durable)
            return
        # A part of what was appended is there; or its length is, and zeros stand for the rest.
        kept = self.random.randrange(len(missing) + 1)
        end = bytes(len(missing) - kept) if self.random.random() < 0.5 else b""
        file.content = bytearray(file.durable + missing[:kept] + end)
        file.durable = bytes(file.content)

    # ---- records

    def write(self, changes: Mapping[bytes, bytes | None]) -> None:
        cut = self.passes()
        is_lazy = not self.syncs_records
        before = self._apply(changes, wanted=is_lazy)
        if is_lazy:
            self.undo.append(before)
        if cut:
            raise PowerCut

    def _apply(
        self, changes: Mapping[bytes, bytes] | Mapping[bytes, bytes | None], wanted: bool = False
    ) -> dict[bytes, bytes | None]:
        records, before = self.records, {}
        for key, value in changes.items():
            old = records.get(key)
            if wanted:
                before[key] = old
            table = key[:1]
            if table == b"s":
                self.flat ^= (_mark(key, old) if old is not None else 0) ^ (
                    _mark(key, value) if value is not None else 0
                )
            if value is None:
                records.pop(key, None)
            else:
                records[key] = value
            keys = self.sorted.get(table)
            if keys is not None and (old is None) != (value is None):
                if value is None:
                    del keys[bisect_left(keys, key)]
                else:
                    insort(keys, key)
        return before

    def keys(self, table: bytes) -> list[bytes]:
        """All keys that begin with this byte, ascending."""
        if table not in self.sorted:
            self.sorted[table] = sorted(key for key in self.records if key.startswith(table))
        return self.sorted[table]


def _mark(key: bytes, value: bytes) -> int:
    return int.from_bytes(blake2b(value, key=key[:64], digest_size=16).digest(), "big")


class SimKeyValue:
    """`node.key_value.KeyValue` on a simulated disk."""

    name = "simulated"

    def __init__(self, disk: Disk, records: dict[bytes, bytes] | None = None) -> None:
        self.disk = disk
        self.get = disk.records.get

    def write(self, changes: Mapping[bytes, bytes | None]) -> None:
        self.disk.write(changes)

    def items(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        if not prefix:
            yield from sorted(self.disk.records.items())
            return
        keys = self.disk.keys(prefix[:1])
        found = []
        for place in range(bisect_left(keys, prefix), len(keys)):
            if not keys[place].startswith(prefix):
                break
            found.append(keys[place])
        for key in found:
            yield key, self.disk.records[key]

    def descending(self, first: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        for key in sorted((key for key in self.disk.records if first <= key < end), reverse=True):
            yield key, self.disk.records[key]

    def snapshot(self) -> "SimKeyValue":
        frozen = Disk(self.disk.random)
        frozen.records = dict(self.disk.records)
        return SimKeyValue(frozen)

    def compact(self) -> None:
        """Nothing to give back."""

    def close(self) -> None:
        """Nothing to let go of."""


# ---- files


class SimPath:
    """What `node.sign_state` uses of `pathlib.Path`, in the one folder of a simulated disk."""

    def __init__(self, disk: Disk, name: str) -> None:
        self.disk, self.name = disk, name

    def __str__(self) -> str:
        return self.name

    @property
    def parent(self) -> "SimPath":
        return SimPath(self.disk, "")

    def with_name(self, name: str) -> "SimPath":
        return SimPath(self.disk, name)

    def exists(self) -> bool:
        return self.name in self.disk.names

    def read_bytes(self) -> bytes:
        return bytes(self.disk.names[self.name].content)

    def unlink(self, missing_ok: bool = False) -> None:
        if self.disk.names.pop(self.name, None) is None and not missing_ok:
            raise FileNotFoundError(errno.ENOENT, self.name)

    def replace(self, target: "SimPath") -> None:
        self.disk.passes()
        self.disk.names[target.name] = self.disk.names.pop(self.name)


@dataclass(slots=True)
class _Open:
    disk: Disk
    file: File

    def write(self, data: bytes) -> int:
        cut = self.disk.passes()
        self.file.content += data
        if cut:
            raise PowerCut
        return len(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The stream's bytes are in the file already."""


class SimOs:
    """What `node.sign_state` uses of `os` and `fcntl`; with real paths and descriptors it does what they do."""

    LOCK_EX = LOCK_NB = 0

    def __init__(self) -> None:
        self.files: dict[int, _Open] = {}
        self.last = 1 << 40

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: Any, flags: int, mode: int = 0o777) -> int:
        if not isinstance(path, SimPath):
            return os.open(path, flags, mode)
        self.last += 1
        file = path.disk.names.setdefault(path.name, File())
        self.files[self.last] = _Open(path.disk, file)
        return self.last

    def write(self, descriptor: int, data: bytes) -> int:
        return self.files[descriptor].write(data)

    def fdatasync(self, descriptor: int) -> None:
        file = self.files[descriptor]
        cut = file.disk.passes()
        file.file.durable = bytes(file.file.content)
        if cut:
            raise PowerCut

    fsync = fdatasync

    def ftruncate(self, descriptor: int, length: int) -> None:
        del self.files[descriptor].file.content[length:]

    def dup(self, descriptor: int) -> int:
        return descriptor

    def fdopen(self, descriptor: int, mode: str) -> _Open:
        return self.files[descriptor]

    def close(self, descriptor: int) -> None:
        if self.files.pop(descriptor, None) is None:
            os.close(descriptor)

    def flock(self, descriptor: int, how: int) -> None:
        """A node that ended has let go of its locks, and two of one disk never run at once."""

    def sync_folder(self, path: Any) -> None:
        path.disk.durable_names = dict(path.disk.names)


@contextmanager
def simulated_files() -> Iterator[None]:
    """Within, `node.sign_state` works on simulated disks."""
    module = cast(Any, sign_state_module)
    system, names = SimOs(), ("os", "fcntl", "sync_folder")
    before = {name: getattr(module, name) for name in names}
    replaced: dict[str, Callable[..., Any] | SimOs] = {"os": system, "fcntl": system, "sync_folder": system.sync_folder}
    for name, value in replaced.items():
        setattr(module, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)
