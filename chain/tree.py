"""The state root: a path-compressed binary Merkle tree over SHA-256(key), whose shape follows from its keys alone.

A leaf hashes to SHA-256(0x00 ‖ key hash ‖ value hash). An inner node exists only at the first bit in which two keys
below it differ and hashes to SHA-256(0x01 ‖ bit ‖ left ‖ right), bit in 0…255 counted from the most significant. The
empty tree is 32 zero bytes. Nodes are stored by hash; an inner record also keeps the bits that its keys share, which
follow from its leaves.

The way of a key through the tree is fixed by its bits. So the leaf at its end proves what the tree holds under the key:
the key's own leaf its value, another key's leaf that there is none.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Annotated

from chain.codec import U8, Hash, Wire
from chain.crypto.hashing import ZERO

ReadNode = Callable[[bytes], bytes | None]
Items = dict[int, bytes | None]  # value hash, or None to delete, by key hash
LEAF, INNER = b"\x00", b"\x01"


def key_hash(key: bytes) -> bytes:
    """Where a state key sits in the tree."""
    return sha256(key).digest()


@dataclass(slots=True)
class Update:
    """One batch of changes to a tree: reads old nodes, collects the new and the superseded ones.

    Key hashes are numbers here: they then compare, sort and divide at a bit without a step per byte.
    """

    read: ReadNode
    fresh: dict[bytes, bytes] = field(default_factory=dict)
    stale: set[bytes] = field(default_factory=set)

    def apply(self, root: bytes, changes: Mapping[bytes, bytes | None]) -> bytes:
        """The root after setting each state key of `changes` to its value (None deletes it)."""
        items = {
            int.from_bytes(sha256(key).digest(), "big"): None if value is None else sha256(value).digest()
            for key, value in changes.items()
        }
        keys = sorted(items)
        after = self._set(root, keys, 0, len(keys), items) if keys else root
        self.stale -= self.fresh.keys()
        return after

    def _set(self, node: bytes, keys: list[int], low: int, high: int, items: Items) -> bytes:
        """The digest of the subtree `node` after setting keys[low:high], at least one, which belong into it."""
        if node == ZERO:
            return self._build(keys[low:high], items)
        record = self.fresh.get(node) or self.read(node)
        assert record is not None, f"the tree lacks node {node.hex()}"
        if record[0] == LEAF[0]:
            self._drop(node)
            return self._set_leaf(record, keys[low:high], items)
        bit, prefix = record[1], int.from_bytes(record[66:98], "big")
        # All keys share what the first and the last share with the prefix.
        split = 256 - ((keys[low] ^ prefix) | (keys[high - 1] ^ prefix)).bit_length()
        if split < bit:
            # Some keys leave the shared prefix above this node: it becomes one side of a new node.
            middle = _middle(keys, low, high, split)
            if prefix >> (255 - split) & 1:
                left = self._build(keys[low:middle], items)
                right = self._set(node, keys, middle, high, items) if middle < high else node
            else:
                left = self._set(node, keys, low, middle, items) if low < middle else node
                right = self._build(keys[middle:high], items)
            return self._join(split, left, right, _masked(prefix, split))
        self._drop(node)
        middle = _middle(keys, low, high, bit)
        left, right = record[2:34], record[34:66]
        if low < middle:
            left = self._set(left, keys, low, middle, items)
        if middle < high:
            right = self._set(right, keys, middle, high, items)
        return self._join(bit, left, right, record[66:98])

    def _set_leaf(self, record: bytes, keys: list[int], items: Items) -> bytes:
        """The subtree that replaces one leaf, which joins the batch unless that sets its key."""
        held = int.from_bytes(record[1:33], "big")
        if held in items:
            return self._build(keys, items)
        items[held] = record[33:65]
        return self._build(sorted([*keys, held]), items)

    def _build(self, keys: list[int], items: Items) -> bytes:
        kept = [key for key in keys if items[key] is not None]
        return self._grow(kept, 0, len(kept), items) if kept else ZERO

    def _grow(self, keys: list[int], low: int, high: int, items: Items) -> bytes:
        first, last = keys[low], keys[high - 1]
        if first == last:
            value = items[first]
            assert value is not None  # `_build` left those out that are deleted
            record = b"".join((LEAF, first.to_bytes(32, "big"), value))
            digest = sha256(record).digest()
            self.fresh[digest] = record
            return digest
        bit = 256 - (first ^ last).bit_length()
        middle = _middle(keys, low, high, bit)
        left, right = self._grow(keys, low, middle, items), self._grow(keys, middle, high, items)
        return self._join(bit, left, right, _masked(first, bit))

    def _join(self, bit: int, left: bytes, right: bytes, prefix: bytes) -> bytes:
        if ZERO in (left, right):
            return right if left == ZERO else left
        hashed = b"".join((INNER, bit.to_bytes(1, "big"), left, right))
        digest = sha256(hashed).digest()
        self.fresh[digest] = hashed + prefix
        return digest

    def _drop(self, digest: bytes) -> None:
        # A node made in this batch was never stored: forgetting it is enough.
        if self.fresh.pop(digest, None) is None:
            self.stale.add(digest)


@dataclass(frozen=True, slots=True)
class Step(Wire):
    """An inner node on the way of a key: the bit in which it divides, and the side that the key does not take."""

    bit: U8
    sibling: Hash


@dataclass(frozen=True, slots=True)
class Leaf(Wire):
    """The hashes of a key and its value."""

    key: Hash
    value: Hash


@dataclass(frozen=True, slots=True)
class StateProof(Wire):
    """The way of a key from the root down, and the leaf that it ends at: none in the empty tree."""

    steps: Annotated[tuple[Step, ...], 256]
    leaf: Annotated[tuple[Leaf, ...], 1]


def prove(root: bytes, key: bytes, read: ReadNode) -> StateProof:
    """What the tree under `root` holds under a state key, or that it holds nothing there."""
    wanted = key_hash(key)
    steps: list[Step] = []
    while root != ZERO:
        record = read(root)
        assert record is not None, f"the tree lacks node {root.hex()}"
        if record[:1] == LEAF:
            return StateProof(tuple(steps), (Leaf(record[1:33], record[33:65]),))
        left, right = record[2:34], record[34:66]
        root, sibling = (right, left) if _bit(wanted, record[1]) else (left, right)
        steps.append(Step(record[1], sibling))
    return StateProof((), ())


def is_proven(root: bytes, key: bytes, value: bytes | None, proof: StateProof) -> bool:
    """Whether `proof` shows that the tree under `root` holds `value` under a state key; None: that it holds nothing."""
    if not proof.leaf:
        return root == ZERO and value is None and not proof.steps
    wanted, leaf = key_hash(key), proof.leaf[0]
    digest, below = sha256(LEAF + leaf.key + leaf.value).digest(), 256
    for step in reversed(proof.steps):
        if step.bit >= below:
            return False
        pair = (step.sibling, digest) if _bit(wanted, step.bit) else (digest, step.sibling)
        digest, below = sha256(INNER + bytes((step.bit,)) + pair[0] + pair[1]).digest(), step.bit
    if value is None:
        return digest == root and leaf.key != wanted
    return digest == root and leaf == Leaf(wanted, sha256(value).digest())


def _bit(key: bytes, index: int) -> int:
    return key[index >> 3] >> (7 - (index & 7)) & 1


def _middle(keys: list[int], low: int, high: int, bit: int) -> int:
    """Where among keys[low:high], sorted and equal above `bit`, those begin in which the bit is set."""
    shift = 255 - bit
    if high - low == 1:
        return low if keys[low] >> shift & 1 else high
    return bisect_left(keys, (keys[low] >> shift | 1) << shift, low, high)


def _masked(prefix: int, bits: int) -> bytes:
    """The first bits of a key hash, the rest zero. 32 bytes."""
    below = 256 - bits
    return (prefix >> below << below).to_bytes(32, "big")
