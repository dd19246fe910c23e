"""SHA-256 with domain tags, and the RFC 6962 Merkle tree."""

from collections.abc import Sequence
from functools import cache
from hashlib import sha256

ZERO = bytes(32)
TAG_PREFIX = "neuroshard/"


def tagged_hash(name: str, *parts: bytes) -> bytes:
    """SHA-256 of a length-prefixed domain tag `neuroshard/NAME/1` and the parts, joined. 32 bytes."""
    return sha256(b"".join((_tag(name), *parts))).digest()


@cache
def _tag(name: str) -> bytes:
    tag = f"{TAG_PREFIX}{name}/1".encode("ascii")
    return len(tag).to_bytes(1, "big") + tag


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962 tree hash of the leaves' bytes. 32 bytes; no leaves give SHA-256 of nothing."""
    return root_of_hashes([leaf_hash(leaf) for leaf in leaves])


def leaf_hash(leaf: bytes) -> bytes:
    """What stands for a leaf in the tree of RFC 6962, 32 bytes."""
    return sha256(b"\x00" + leaf).digest()


def root_of_hashes(hashes: Sequence[bytes]) -> bytes:
    """The tree hash over the leaves' own hashes, in their order: what `merkle_root` gives of the leaves."""
    if not hashes:
        return sha256(b"").digest()
    row = list(hashes)
    # Pairing level by level and carrying an odd last node up equals the split at the largest power of two.
    while len(row) > 1:
        paired = [sha256(b"\x01" + row[i] + row[i + 1]).digest() for i in range(0, len(row) - 1, 2)]
        row = paired + row[len(row) & ~1 :]
    return row[0]
