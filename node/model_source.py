"""The model states that this node keeps, as blobs: slices of their files, found by the roots that stand on the ledger.

A state of `node.model_store` is four blobs in one file (`node.model_blobs`). Nothing is copied: a page is read from
where it lies. A file is hashed once, by the first who asks after it has appeared, in the asker's thread.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from chain.crypto.hashing import ZERO, leaf_hash, root_of_hashes
from network.pages import PAGE_BYTES, PAGES_MAXIMUM
from node.blob_source import FindingSource
from node.model_store import ModelStore
from training.checkpoint import tensor_places
from training.errors import CheckpointError

Seen = tuple[int, int, int]  # inode, time of the last change, size: another file or other bytes have another


@dataclass(frozen=True, slots=True)
class _Slice:
    """A blob inside a file."""

    path: Path
    seen: Seen
    offset: int
    length: int
    hashes: bytes


class ModelSource(FindingSource[_Slice]):
    """A `network.blob_server.BlobSource`, for any number of threads."""

    def __init__(self, models: ModelStore) -> None:
        self.models = models
        self._files: dict[Path, tuple[Seen, dict[bytes, _Slice]]] = {}
        self._lock = Lock()  # so that one file is not hashed twice at once

    def read(self, root: bytes, offset: int, length: int) -> bytes | None:
        found = self._find(root)
        if found is None:
            return None
        try:
            with found.path.open("rb") as file:
                # The folder is not locked meanwhile: what lies under this name now may be another file.
                if _seen(os.fstat(file.fileno())) != found.seen:
                    return None
                most = max(0, min(length, found.length - offset))
                return os.pread(file.fileno(), most, found.offset + offset)
        except OSError:
            return None

    def _find(self, root: bytes) -> _Slice | None:
        if root == ZERO:
            return None
        with self._lock:
            self._look()
            # The newest first: what did not change between two rounds lies in both files, and the older one goes soon.
            return next((slices[root] for _, slices in reversed(self._files.values()) if root in slices), None)

    def _look(self) -> None:
        """Learn what new files hold, and forget those that are gone."""
        files: dict[Path, tuple[Seen, dict[bytes, _Slice]]] = {}
        for path in self.models.files():
            try:
                seen = _seen(path.stat())
            except OSError:
                continue  # It has been removed meanwhile.
            known = self._files.get(path)
            files[path] = known if known is not None and known[0] == seen else (seen, _slices(path, seen))
        self._files = files


def _seen(found: os.stat_result) -> Seen:
    return found.st_ino, found.st_mtime_ns, found.st_size


def _slices(path: Path, seen: Seen) -> dict[bytes, _Slice]:
    """The blobs of a file by the root that they have, whatever the file says of itself."""
    slices = {}
    try:
        with path.open("rb") as file:
            for offset, length in tensor_places(path).values():
                if not 0 < length <= PAGES_MAXIMUM * PAGE_BYTES:
                    continue
                hashes = [
                    leaf_hash(os.pread(file.fileno(), min(PAGE_BYTES, length - at), offset + at))
                    for at in range(0, length, PAGE_BYTES)
                ]
                slices[root_of_hashes(hashes)] = _Slice(path, seen, offset, length, b"".join(hashes))
    except (OSError, CheckpointError):
        return {}
    return slices
