"""Blobs of rounds on disk, by the Merkle root of their 1 MiB pages: payloads, and beside them what rounds gave."""

import mmap
import os
from collections import OrderedDict
from pathlib import Path

import numpy as np

from chain.crypto.hashing import merkle_root
from node.data_directory import write_atomically
from node.errors import StoreError, disk_advice
from training.blocks import Encoded
from training.pages import pages_root

SOUND_REMEMBERED = 256

Seen = tuple[int, int, int]  # inode, time of the last change, size: another file or other bytes have another


def payload_root(payload: bytes) -> bytes:
    """What the ledger calls a payload: 32 bytes."""
    return pages_root(payload, merkle_root)


class PayloadStore:
    """Content-addressed files: what `get` and `open` return has the root that was asked for."""

    def __init__(self, folder: Path, kind: str = "payload") -> None:
        self.folder = folder
        self.kind = kind  # for people
        self._sound: OrderedDict[bytes, Seen] = OrderedDict()  # files whose pages have been hashed, by root

    def path(self, root: bytes) -> Path:
        return self.folder / root.hex()

    def find(self, root: bytes) -> Path | None:
        """The file under this name, sound or not; None if there is none."""
        path = self.path(root)
        return path if path.exists() else None

    def has(self, root: bytes) -> bool:
        """Whether the payload is here and sound."""
        try:
            return bool(self.open(root))
        except StoreError:
            return False

    def put(self, payload: bytes) -> bytes:
        """Keep a payload durably and return its root. Raises StoreError."""
        root = payload_root(payload)
        path = self.path(root)
        try:
            write_atomically(path, payload, "payload")
        except OSError as error:
            raise StoreError(f"cannot write the {self.kind} {path}: {disk_advice(error)}") from error
        return root

    def get(self, root: bytes) -> bytes:
        """The payload with this root. Raises StoreError if it is missing or damaged."""
        try:
            payload = self.path(root).read_bytes()
        except OSError as error:
            raise self._missing(root, error) from error
        if payload_root(payload) != root:
            raise self._damaged(root)
        return payload

    def open(self, root: bytes) -> Encoded:
        """Like `get`, but mapped: many payloads take no memory, and each is hashed once. Can be read, not hashed."""
        try:
            descriptor = os.open(self.path(root), os.O_RDONLY)
            try:
                found = os.fstat(descriptor)
                if found.st_size == 0:
                    raise self._damaged(root)
                mapped = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise self._missing(root, error) from error
        seen = found.st_ino, found.st_mtime_ns, found.st_size
        if self._sound.get(root) != seen:
            if pages_root(np.frombuffer(mapped, np.uint8), merkle_root) != root:
                raise self._damaged(root)
            self._remember(root, seen)
        return mapped

    def _remember(self, root: bytes, seen: Seen) -> None:
        self._sound[root] = seen
        if len(self._sound) > SOUND_REMEMBERED:
            self._sound.popitem(last=False)

    def _missing(self, root: bytes, error: OSError) -> StoreError:
        return StoreError(
            f"the {self.kind} {self.path(root)} is missing or cannot be read ({error.strerror}): "
            "fetch it with `neuroshard archive fetch`, or restore this file from a backup"
        )

    def _damaged(self, root: bytes) -> StoreError:
        return StoreError(
            f"the {self.kind} {self.path(root)} is damaged (its pages have another root): "
            "restore this file from a backup"
        )
