"""A blob: bytes named by the Merkle root over their pages of 1 MiB. The list of page hashes that proves each page.

A root does not fix the number of pages. Whoever has the real list can also show one in which a pair of neighbours is
replaced by the node above them: it has the same root. No page fits such a node, since leaves and nodes are
hashed with different first bytes. So a source is held to its own list: if it shows one and then cannot give
the pages of it, it lies, and nobody else is blamed for it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from network.blob_errors import BadPages

PAGE_BYTES = 1 << 20
HASH_BYTES = 32
PAGES_MAXIMUM = 65_000  # pages of one blob, 63 GiB: the list fits into one message


@dataclass(frozen=True, slots=True)
class Hashing:
    """The Merkle tree, which is the caller's: the hash that stands for a page, and the root over such hashes."""

    page_hash: Callable[[bytes], bytes]
    root_of: Callable[[Sequence[bytes]], bytes]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which blob: its root and how long it may be; `size`, if its exact length is known."""

    root: bytes
    bytes_maximum: int
    size: int | None = None

    @property
    def pages_maximum(self) -> int:
        return pages_in(self.bytes_maximum if self.size is None else self.size)

    def allows(self, size: int) -> bool:
        """Whether a blob of this many bytes is what we want."""
        exact = self.size is None or size == self.size
        return exact and 0 < size <= self.bytes_maximum and pages_in(size) <= PAGES_MAXIMUM


@dataclass(frozen=True, slots=True)
class PageList:
    """What a source says of a blob: its size in bytes and the hash of each page."""

    size: int
    hashes: tuple[bytes, ...]

    def encode(self) -> bytes:
        """u64 size, then 32 bytes a page."""
        return self.size.to_bytes(8, "big") + b"".join(self.hashes)


def pages_in(size: int) -> int:
    return -(-size // PAGE_BYTES)


def page_length(size: int, index: int) -> int:
    """Bytes of a page of a blob of `size` bytes; 0 beyond its end."""
    return max(0, min(PAGE_BYTES, size - index * PAGE_BYTES))


def list_bytes_maximum(wanted: Wanted) -> int:
    """The longest encoding of a list that `decode_list` could accept."""
    return 8 + HASH_BYTES * min(wanted.pages_maximum, PAGES_MAXIMUM)


def decode_list(data: bytes, wanted: Wanted, hashing: Hashing) -> PageList:
    """A source's list, of a size that is wanted and with the root that is wanted. Raises BadPages."""
    size, rest = int.from_bytes(data[:8], "big"), len(data) - 8
    if rest < 0 or not wanted.allows(size) or rest != HASH_BYTES * pages_in(size):
        raise BadPages(f"a list of {len(data)} bytes for a blob of {size} bytes, {_limit(wanted)}")
    hashes = tuple(data[at : at + HASH_BYTES] for at in range(8, len(data), HASH_BYTES))
    if hashing.root_of(hashes) != wanted.root:
        raise BadPages(f"a list of {len(hashes)} page hashes with another root")
    return PageList(size, hashes)


def _limit(wanted: Wanted) -> str:
    return f"at most {wanted.bytes_maximum} wanted" if wanted.size is None else f"{wanted.size} wanted"
