"""The blobs that this node has on its disk, for `network.blob_server` and `node.blob_exchange`."""

import os
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Generic, Protocol, TypeVar

from chain.crypto.hashing import ZERO, leaf_hash, root_of_hashes
from network.blob_server import BlobSource
from network.pages import PAGE_BYTES, PAGES_MAXIMUM, Hashing

HASHING = Hashing(leaf_hash, root_of_hashes)
LISTS_KEPT = 64

Seen = tuple[int, int, int]  # inode, time of the last change, size: another file or other bytes have another


class Found(Protocol):
    """A blob that is here."""

    @property
    def length(self) -> int: ...

    @property
    def hashes(self) -> bytes: ...  # of its pages, joined


F = TypeVar("F", bound=Found)


class FindingSource(ABC, Generic[F]):
    """What a blob is said to be comes from where it was found; how it is read is told by who inherits this."""

    @abstractmethod
    def _find(self, root: bytes) -> F | None: ...

    def size(self, root: bytes) -> int | None:
        found = self._find(root)
        return None if found is None else found.length

    def page_hashes(self, root: bytes) -> bytes | None:
        found = self._find(root)
        return None if found is None else found.hashes


@dataclass(frozen=True, slots=True)
class _Listed:
    seen: Seen
    hashes: bytes  # empty: the file does not have the root that its name says


class FileSource:
    """Files found by `find`; one whose pages do not have the root is not given to anybody."""

    def __init__(self, find: Callable[[bytes], Path | None]) -> None:
        self._find = find
        self._lists: OrderedDict[bytes, _Listed] = OrderedDict()
        self._lock = Lock()  # so that one file is not hashed twice at once

    def size(self, root: bytes) -> int | None:
        listed = self._listed(root)
        return listed.seen[2] if listed is not None else None

    def page_hashes(self, root: bytes) -> bytes | None:
        listed = self._listed(root)
        return listed.hashes if listed is not None else None

    def read(self, root: bytes, offset: int, length: int) -> bytes | None:
        path = self._find(root)
        if path is None or self._listed(root) is None:
            return None
        try:
            with path.open("rb") as file:
                return os.pread(file.fileno(), length, offset)
        except OSError:
            return None

    def _listed(self, root: bytes) -> _Listed | None:
        """The list of a file that is here and has this root."""
        path = None if root == ZERO else self._find(root)
        if path is None:
            return None
        with self._lock:
            try:
                found = path.stat()
                seen = found.st_ino, found.st_mtime_ns, found.st_size
                known = self._lists.pop(root, None)
                if known is None or known.seen != seen:
                    known = _Listed(seen, _hashes_of(path, root, found.st_size))
            except OSError:
                return None
            self._lists[root] = known
            if len(self._lists) > LISTS_KEPT:
                self._lists.popitem(last=False)
        return known if known.hashes else None


class Sources:
    """Several sources as one: who has a blob first, gives it."""

    def __init__(self, sources: Sequence[BlobSource]) -> None:
        self.sources = tuple(sources)

    def size(self, root: bytes) -> int | None:
        return next((size for each in self.sources if (size := each.size(root)) is not None), None)

    def page_hashes(self, root: bytes) -> bytes | None:
        return next((hashes for each in self.sources if (hashes := each.page_hashes(root)) is not None), None)

    def read(self, root: bytes, offset: int, length: int) -> bytes | None:
        return next((data for each in self.sources if (data := each.read(root, offset, length)) is not None), None)


def _hashes_of(path: Path, root: bytes, size: int) -> bytes:
    """The page hashes of a file; nothing if it has another root. Raises OSError."""
    if not 0 < size <= PAGES_MAXIMUM * PAGE_BYTES or not path.is_file():
        return b""
    hashes = []
    with path.open("rb") as file:
        while page := file.read(PAGE_BYTES):
            hashes.append(leaf_hash(page))
    return b"".join(hashes) if root_of_hashes(hashes) == root else b""
