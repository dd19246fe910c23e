"""Roots over tensors: leaves of 1 KiB for storage proofs, pages of 1 MiB for transfer.

Tensors count as their little-endian bytes. The Merkle tree and the tagged hash come from the caller, so that this
package needs nothing of the ledger's.
"""

from collections.abc import Callable, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

PAGE_BYTES = 1 << 20
LEAF_BYTES = 1 << 10
ZERO = bytes(32)

MerkleRoot = Callable[[Sequence[bytes]], bytes]
# tagged_hash(name, *parts): a hash of the parts under a domain tag.
TaggedHash = Callable[..., bytes]
Bytes = bytes | NDArray[Any]


class Slices(Sequence[bytes]):
    """Consecutive slices of some bytes, the last maybe short; each is copied only when asked for."""

    def __init__(self, whole: Bytes, slice_bytes: int) -> None:
        self._whole = _little_endian(whole)
        self._slice_bytes = slice_bytes

    def __len__(self) -> int:
        return (len(self._whole) + self._slice_bytes - 1) // self._slice_bytes

    @overload
    def __getitem__(self, index: int) -> bytes: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[bytes]: ...

    def __getitem__(self, index: int | slice) -> bytes | Sequence[bytes]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"slice {index} of {len(self)}")
        return bytes(self._whole[place * self._slice_bytes : (place + 1) * self._slice_bytes])


def leaves(fragment: Bytes) -> Slices:
    """The 1 KiB leaves of a fragment, the unit of a storage proof."""
    return Slices(fragment, LEAF_BYTES)


def pages(whole: Bytes) -> Slices:
    """The 1 MiB pages of a tensor or byte string, the unit of transfer."""
    return Slices(whole, PAGE_BYTES)


def fragment_roots(
    weights: NDArray[np.float32], fragment_sizes: Sequence[int], merkle_root: MerkleRoot
) -> tuple[bytes, ...]:
    """The root over the leaves of each fragment of the flat vector, 32 bytes each."""
    assert weights.shape == (sum(fragment_sizes),)
    ends = np.cumsum(fragment_sizes).tolist()
    return tuple(merkle_root(leaves(weights[end - size : end])) for end, size in zip(ends, fragment_sizes, strict=True))


def model_root(weights: NDArray[np.float32], fragment_sizes: Sequence[int], merkle_root: MerkleRoot) -> bytes:
    """The root over the fragments' roots, 32 bytes."""
    return merkle_root(fragment_roots(weights, fragment_sizes, merkle_root))


def pages_root(whole: Bytes, merkle_root: MerkleRoot) -> bytes:
    """The root over the pages, or 32 zero bytes if every byte is zero or there is none."""
    if not np.frombuffer(_little_endian(whole), dtype=np.uint8).any():
        return ZERO
    return merkle_root(pages(whole))


def _little_endian(whole: Bytes) -> memoryview:
    if isinstance(whole, bytes):
        return memoryview(whole)
    ordered = np.ascontiguousarray(whole, dtype=whole.dtype.newbyteorder("<"))
    return ordered.reshape(-1).view(np.uint8).data
