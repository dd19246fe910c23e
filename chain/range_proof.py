"""Proofs that a list of leaves is everything the state tree holds in an interval of key hashes: none is missing.

Leaves lie in the tree in the order of their key hashes. So the whole tree is a row: what lies left of the run as closed
subtrees, the leaves of the run one by one, what lies right of it as closed subtrees. Two neighbours in the row part at
one bit, and the node of the smallest such bit is the root of them all. A run includes the last leaf before the interval
and the first one after it, where there are any: nothing can hide between them and the interval's ends.

An honest root has one tree. So a row that hashes to the root is that tree: a closed subtree at its left end holds keys
that are smaller than the run's first leaf, one at its right end keys that are greater than its last.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Annotated

from chain.codec import Wire
from chain.crypto.hashing import ZERO
from chain.tree import INNER, LEAF, Leaf, ReadNode, Step, key_hash

NO_END = b""


@dataclass(frozen=True, slots=True)
class RangeProof(Wire):
    """The edges of a run: closed subtrees from the root down, and the leaves next to the interval."""

    left: Annotated[tuple[Step, ...], 256]
    right: Annotated[tuple[Step, ...], 256]
    before: Annotated[tuple[Leaf, ...], 1]
    after: Annotated[tuple[Leaf, ...], 1]


def leaf_of(key: bytes, value: bytes) -> Leaf:
    """The leaf of a state key and its value."""
    return Leaf(key_hash(key), sha256(value).digest())


def prove_range(root: bytes, start: bytes, end: bytes, read: ReadNode) -> RangeProof:
    """The proof for the leaves with start ≤ key hash < end; `end` NO_END: up to the tree's end.

    Raises AssertionError if a node of the tree is missing.
    """
    before = _last_below(root, start, read)
    after = _first_from(root, end, read) if end else None
    first = before or _first_from(root, start, read)
    last = after or _last_below(root, end, read)
    left = [step for step, goes_right in _way(root, first, read) if goes_right]
    right = [step for step, goes_right in _way(root, last, read) if not goes_right]
    return RangeProof(tuple(left), tuple(right), _optional(before), _optional(after))


def is_range_proven(root: bytes, start: bytes, end: bytes, leaves: Sequence[Leaf], proof: RangeProof) -> bool:
    """Whether the tree under `root` holds exactly `leaves`, in this order, with start ≤ key hash < end."""
    run = [*proof.before, *leaves, *proof.after]
    if not run:
        return root == ZERO and not proof.left and not proof.right
    is_inside = all(leaf.key >= start and (end == NO_END or leaf.key < end) for leaf in leaves)
    is_ordered = all(one.key < other.key for one, other in pairwise(run))
    # Without a neighbour the tree begins, or ends, with this run.
    is_closed_left = proof.before[0].key < start if proof.before else not proof.left
    is_closed_right = bool(end) and proof.after[0].key >= end if proof.after else not proof.right
    if not (is_inside and is_ordered and is_closed_left and is_closed_right):
        return False
    return _root_of(run, proof) == root


def _root_of(run: Sequence[Leaf], proof: RangeProof) -> bytes | None:
    """The root of the row, or None if these steps cannot lie at its ends."""
    first, last = run[0].key, run[-1].key
    if any(not _bit(first, step.bit) for step in proof.left) or any(_bit(last, step.bit) for step in proof.right):
        return None
    keys = [int.from_bytes(leaf.key, "big") for leaf in run]
    row = [step.sibling for step in proof.left]
    row += [sha256(LEAF + leaf.key + leaf.value).digest() for leaf in run]
    row += [step.sibling for step in reversed(proof.right)]
    parting = [step.bit for step in proof.left]
    parting += [256 - (one ^ other).bit_length() for one, other in pairwise(keys)]
    parting += [step.bit for step in reversed(proof.right)]
    return _joined(row, parting)


def _joined(row: Sequence[bytes], parting: Iterable[int]) -> bytes | None:
    """Hash a row of subtrees together, deepest nodes first; None if two neighbouring nodes would part at one bit."""
    waiting: list[tuple[int, bytes]] = []  # by growing bit: the left sides of nodes whose right side is not done
    current = row[0]
    for bit, following in zip(parting, row[1:], strict=True):
        while waiting and waiting[-1][0] > bit:
            current = _inner(*waiting.pop(), current)
        if waiting and waiting[-1][0] == bit:
            return None
        waiting.append((bit, current))
        current = following
    while waiting:
        current = _inner(*waiting.pop(), current)
    return current


def _inner(bit: int, left: bytes, right: bytes) -> bytes:
    return sha256(INNER + bytes((bit,)) + left + right).digest()


def _way(root: bytes, leaf: Leaf | None, read: ReadNode) -> list[tuple[Step, bool]]:
    """The steps from the root down to a leaf of the tree, each with whether it goes right."""
    steps: list[tuple[Step, bool]] = []
    while leaf is not None and (record := _record(root, read))[:1] != LEAF:
        left, right, goes_right = record[2:34], record[34:66], bool(_bit(leaf.key, record[1]))
        steps.append((Step(record[1], left if goes_right else right), goes_right))
        root = right if goes_right else left
    return steps


def _last_below(node: bytes, bound: bytes, read: ReadNode) -> Leaf | None:
    """The last leaf whose key hash is below `bound`; NO_END: the last of all."""
    if node == ZERO:
        return None
    record = _record(node, read)
    if record[:1] == LEAF:
        return _leaf(record) if bound == NO_END or record[1:33] < bound else None
    if bound != NO_END and record[66:98] >= bound:
        return None  # No key below this node is smaller than the bits they share.
    return _last_below(record[34:66], bound, read) or _last_below(record[2:34], bound, read)


def _first_from(node: bytes, bound: bytes, read: ReadNode) -> Leaf | None:
    """The first leaf whose key hash is not below `bound`."""
    if node == ZERO:
        return None
    record = _record(node, read)
    if record[:1] == LEAF:
        return _leaf(record) if record[1:33] >= bound else None
    rest = 256 - record[1]
    if int.from_bytes(record[66:98], "big") + (1 << rest) <= int.from_bytes(bound, "big"):
        return None  # Every key below this node is smaller.
    return _first_from(record[2:34], bound, read) or _first_from(record[34:66], bound, read)


def _record(digest: bytes, read: ReadNode) -> bytes:
    record = read(digest)
    assert record is not None, f"the tree lacks node {digest.hex()}"
    return record


def _leaf(record: bytes) -> Leaf:
    return Leaf(record[1:33], record[33:65])


def _optional(leaf: Leaf | None) -> tuple[Leaf, ...]:
    return () if leaf is None else (leaf,)


def _bit(key: bytes, index: int) -> int:
    return key[index >> 3] >> (7 - (index & 7)) & 1
