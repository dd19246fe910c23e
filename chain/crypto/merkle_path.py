"""That a leaf is in a Merkle tree at a place: the paths of RFC 9162, sections 2.1.3.1 and 2.1.3.2, for `merkle_root`.

Paths are over the leaves' own hashes (`leaf_hash`), from the leaf's neighbour up to the root's child.
"""

from collections.abc import Sequence
from hashlib import sha256

from chain.crypto.hashing import leaf_hash


def inclusion_path(hashes: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The path of leaf `index` in the tree over these leaf hashes."""
    assert 0 <= index < len(hashes)
    path: list[bytes] = []
    row, place = list(hashes), index
    while len(row) > 1:
        if place ^ 1 < len(row):
            path.append(row[place ^ 1])
        # As in `root_of_hashes`: an odd last node is carried up as it is.
        paired = [_node(row[i], row[i + 1]) for i in range(0, len(row) - 1, 2)]
        row, place = paired + row[len(row) & ~1 :], place >> 1
    return tuple(path)


def is_included(leaf: bytes, index: int, count: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether `leaf` is leaf `index` of a tree of `count` leaves with this root. Takes any input."""
    return path_root(leaf, index, count, path) == root


def path_root(leaf: bytes, index: int, count: int, path: Sequence[bytes]) -> bytes | None:
    """The root of the tree in which `leaf` is leaf `index` of `count` by this path; None: there is no such path."""
    if not 0 <= index < count:
        return None
    place, last, found = index, count - 1, leaf_hash(leaf)
    for neighbour in path:
        if last == 0:
            return None  # the path is too long
        if place & 1 or place == last:
            found = _node(neighbour, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = _node(found, neighbour)
        place, last = place >> 1, last >> 1
    return found if last == 0 else None


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()
