"""Payloads on disk, by the Merkle root of their 1 MiB pages."""

from pathlib import Path

from chain.crypto.hashing import merkle_root
from node.data_directory import write_atomically
from node.errors import StoreError, disk_advice
from training.pages import pages_root


def payload_root(payload: bytes) -> bytes:
    """What the ledger calls a payload: 32 bytes."""
    return pages_root(payload, merkle_root)


class PayloadStore:
    """Content-addressed files: what `get` returns has the root that was asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, root: bytes) -> Path:
        return self.folder / root.hex()

    def find(self, root: bytes) -> Path | None:
        """The file under this name, sound or not; None if there is none."""
        path = self.path(root)
        return path if path.exists() else None

    def has(self, root: bytes) -> bool:
        """Whether the payload is here and sound."""
        try:
            return bool(self.get(root))
        except StoreError:
            return False

    def put(self, payload: bytes) -> bytes:
        """Keep a payload durably and return its root. Raises StoreError."""
        root = payload_root(payload)
        path = self.path(root)
        try:
            write_atomically(path, payload, "payload")
        except OSError as error:
            raise StoreError(f"cannot write the payload {path}: {disk_advice(error)}") from error
        return root

    def get(self, root: bytes) -> bytes:
        """The payload with this root. Raises StoreError if it is missing or damaged."""
        path = self.path(root)
        try:
            payload = path.read_bytes()
        except OSError as error:
            raise StoreError(
                f"the payload {path} is missing or cannot be read ({error.strerror}): fetch it with "
                "`neuroshard archive fetch`, or restore this file from a backup"
            ) from error
        if payload_root(payload) != root:
            raise StoreError(
                f"the payload {path} is damaged (its pages have another root): restore this file from a backup"
            )
        return payload
