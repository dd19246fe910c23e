"""The state root: a path-compressed binary Merkle tree over SHA-256(key), whose shape follows from its keys alone.

A leaf hashes to SHA-256(0x00 ‖ key hash ‖ value hash). An inner node exists only at the first bit in which two keys
below it differ and hashes to SHA-256(0x01 ‖ bit ‖ left ‖ right), bit in 0…255 counted from the most significant. The
empty tree is 32 zero bytes. Nodes are stored by hash; an inner record also keeps the bits that its keys share, which
follow from its leaves.

The way of a key through the tree is fixed by its bits. So the leaf at its end proves what the tree holds under the key:
the key's own leaf its value, another key's leaf that there is none.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Annotated

from chain.codec import U8, Hash, Wire
from chain.crypto.hashing import ZERO

ReadNode = Callable[[bytes], bytes | None]
Item = tuple[bytes, bytes | None]
LEAF, INNER = b"\x00", b"\x01"


def key_hash(key: bytes) -> bytes:
    """Where a state key sits in the tree."""
    return sha256(key).digest()


@dataclass(slots=True)
class Update:
    """One batch of changes to a tree: reads old nodes, collects the new and the superseded ones."""

    read: ReadNode
    fresh: dict[bytes, bytes] = field(default_factory=dict)
    stale: set[bytes] = field(default_factory=set)

    def apply(self, root: bytes, changes: Mapping[bytes, bytes | None]) -> bytes:
        """The root after setting each state key of `changes` to its value (None deletes it)."""
        items = sorted(
            (key_hash(key), None if value is None else sha256(value).digest()) for key, value in changes.items()
        )
        after = self._set(root, items) if items else root
        self.stale -= self.fresh.keys()
        return after

    def _set(self, node: bytes, items: list[Item]) -> bytes:
        if node == ZERO:
            return self._build(items)
        record = self._record(node)
        if record[:1] == LEAF:
            key = record[1:33]
            if all(key != item[0] for item in items):
                items = sorted([*items, (key, record[33:65])])
            self._drop(node)
            return self._build(items)
        bit, prefix = record[1], record[66:98]
        split = min(bit, _first_difference(items[0][0], prefix), _first_difference(items[-1][0], prefix))
        lows = [item for item in items if not _bit(item[0], split)]
        highs = items[len(lows) :]
        if split < bit:
            # Some keys leave the shared prefix above this node: it becomes one side of a new node.
            if _bit(prefix, split):
                return self._join(split, self._build(lows), self._set(node, highs) if highs else node, prefix)
            return self._join(split, self._set(node, lows) if lows else node, self._build(highs), prefix)
        self._drop(node)
        left, right = record[2:34], record[34:66]
        left = self._set(left, lows) if lows else left
        right = self._set(right, highs) if highs else right
        return self._join(bit, left, right, prefix)

    def _build(self, items: list[Item]) -> bytes:
        return self._grow([(key, value) for key, value in items if value is not None])

    def _grow(self, items: list[tuple[bytes, bytes]]) -> bytes:
        if not items:
            return ZERO
        if len(items) == 1:
            record = LEAF + items[0][0] + items[0][1]
            return self._keep(sha256(record).digest(), record)
        bit = _first_difference(items[0][0], items[-1][0])
        lows = [item for item in items if not _bit(item[0], bit)]
        return self._join(bit, self._grow(lows), self._grow(items[len(lows) :]), items[0][0])

    def _join(self, bit: int, left: bytes, right: bytes, prefix: bytes) -> bytes:
        if ZERO in (left, right):
            return right if left == ZERO else left
        hashed = INNER + bytes((bit,)) + left + right
        return self._keep(sha256(hashed).digest(), hashed + _masked(prefix, bit))

    def _keep(self, digest: bytes, record: bytes) -> bytes:
        self.fresh[digest] = record
        return digest

    def _drop(self, digest: bytes) -> None:
        # A node made in this batch was never stored: forgetting it is enough.
        if self.fresh.pop(digest, None) is None:
            self.stale.add(digest)

    def _record(self, digest: bytes) -> bytes:
        record = self.fresh.get(digest) or self.read(digest)
        assert record is not None, f"the tree lacks node {digest.hex()}"
        return record


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


def _first_difference(one: bytes, other: bytes) -> int:
    """Index of the first bit in which two 32-byte strings differ; 256 if none."""
    return 256 - (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_length()


def _masked(prefix: bytes, bits: int) -> bytes:
    keep = ((1 << bits) - 1) << (256 - bits)
    return (int.from_bytes(prefix, "big") & keep).to_bytes(32, "big")
