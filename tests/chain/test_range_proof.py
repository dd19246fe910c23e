"""A run of leaves is proven to be all that the tree holds between two key hashes; anything else is refused."""

from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from chain.crypto.hashing import ZERO
from chain.errors import DecodeError
from chain.range_proof import NO_END, RangeProof, is_range_proven, leaf_of, prove_range
from chain.tree import Leaf, Step, Update, key_hash

CONTENTS = st.dictionaries(st.binary(max_size=2), st.binary(max_size=3), max_size=24)
FULL = st.dictionaries(st.binary(max_size=2), st.binary(max_size=3), min_size=3, max_size=24)
BOUNDS = st.just(ZERO) | st.binary(min_size=32, max_size=32) | st.binary(max_size=2).map(key_hash)


class Tree:
    """A built tree and its leaves in order."""

    def __init__(self, content: dict[bytes, bytes]) -> None:
        update = Update(lambda _: None)
        self.root = update.apply(ZERO, content)
        self.nodes = update.fresh
        self.leaves = sorted((leaf_of(key, value) for key, value in content.items()), key=lambda leaf: leaf.key)

    def between(self, start: bytes, end: bytes) -> list[Leaf]:
        return [leaf for leaf in self.leaves if start <= leaf.key and (end == NO_END or leaf.key < end)]

    def prove(self, start: bytes, end: bytes) -> RangeProof:
        return RangeProof.decode(prove_range(self.root, start, end, self.nodes.get).encode())

    def holds(self, start: bytes, end: bytes, leaves: list[Leaf]) -> bool:
        return is_range_proven(self.root, start, end, leaves, self.prove(start, end))


def tree_of(count: int) -> Tree:
    return Tree({bytes((i,)): bytes((i,)) for i in range(count)})


# ---- What is there is proven


@given(CONTENTS, BOUNDS, BOUNDS | st.just(NO_END))
def test_the_leaves_of_any_interval_are_proven_to_be_all_of_it(content, start, end):
    assume(end == NO_END or start <= end)
    tree = Tree(content)
    assert tree.holds(start, end, tree.between(start, end))


@given(CONTENTS, st.integers(1, 6))
def test_runs_that_follow_one_another_prove_the_whole_tree_each_by_itself(content, size):
    tree = Tree(content)
    starts = [ZERO, *(leaf.key for leaf in tree.leaves[size::size])]
    for start, end in zip(starts, [*starts[1:], NO_END], strict=True):
        assert tree.holds(start, end, tree.between(start, end))


def test_the_whole_tree_needs_no_edges():
    assert tree_of(9).prove(ZERO, NO_END) == RangeProof((), (), (), ())


def test_an_empty_tree_holds_nothing_and_only_an_empty_one():
    nothing = RangeProof((), (), (), ())
    assert is_range_proven(ZERO, ZERO, NO_END, [], nothing)
    assert not is_range_proven(tree_of(1).root, ZERO, NO_END, [], nothing)
    assert not is_range_proven(ZERO, ZERO, NO_END, tree_of(1).leaves, nothing)
    assert not is_range_proven(ZERO, ZERO, NO_END, [], RangeProof((Step(0, ZERO),), (), (), ()))


def test_a_gap_between_two_leaves_is_proven_to_be_empty():
    tree = tree_of(9)
    one, other = tree.leaves[3].key, tree.leaves[4].key
    start = (int.from_bytes(one, "big") + 1).to_bytes(32, "big")
    assert tree.holds(start, other, [])
    assert not tree.holds(one, other, [])


def test_a_proof_grows_with_the_depth_of_the_tree_and_not_with_the_run():
    tree = Tree({i.to_bytes(2, "big"): b"" for i in range(4096)})
    proof = tree.prove(tree.leaves[10].key, tree.leaves[4000].key)
    assert len(proof.encode()) < 2 * 33 * 24 + 2 * 64 + 16


# ---- What is not there is refused


@given(FULL, st.data())
def test_a_dropped_an_added_a_changed_and_a_swapped_leaf_are_refused(content, data):
    tree = Tree(content)
    first = data.draw(st.integers(0, len(tree.leaves) - 1))
    last = data.draw(st.integers(first, len(tree.leaves) - 1))
    start = tree.leaves[first].key if first else ZERO
    end = tree.leaves[last + 1].key if last + 1 < len(tree.leaves) else NO_END
    run, proof = tree.between(start, end), tree.prove(start, end)
    at = data.draw(st.integers(0, len(run) - 1))

    def refused(leaves: list[Leaf]) -> bool:
        return not is_range_proven(tree.root, start, end, leaves, proof)

    assert is_range_proven(tree.root, start, end, run, proof)
    assert refused(run[:at] + run[at + 1 :])
    assert refused([*run[:at], replace(run[at], value=sha256(b"other value").digest()), *run[at + 1 :]])
    assert refused([*run[:at], replace(run[at], key=sha256(b"other key").digest()), *run[at + 1 :]])
    added = leaf_of(b"added", b"")
    assert refused(sorted([*run, added], key=lambda leaf: leaf.key))
    assert refused([*run[: at + 1], *run[at:]])
    assert len(run) == 1 or refused(run[::-1])


@given(FULL, st.data())
def test_an_interval_with_a_moved_boundary_is_refused(content, data):
    """The same leaves and edges prove no other interval from which a leaf is missing, and none that lacks theirs."""
    tree = Tree(content)
    count = len(tree.leaves)
    first = data.draw(st.integers(1, count - 2))
    last = data.draw(st.integers(first + 1, count - 1))
    start, end = tree.leaves[first].key, tree.leaves[last].key
    run, proof = tree.between(start, end), tree.prove(start, end)
    for other in (ZERO, tree.leaves[first - 1].key, tree.leaves[first + 1].key):
        assert not is_range_proven(tree.root, other, end, run, proof)
    later = tree.leaves[last + 1].key if last + 1 < count else NO_END
    for other in (NO_END, later, tree.leaves[last - 1].key):
        assert not is_range_proven(tree.root, start, other, run, proof)


@given(FULL, st.data())
def test_the_edges_of_another_run_prove_nothing(content, data):
    tree = Tree(content)
    places = st.integers(0, len(tree.leaves) - 1)
    one, other = sorted((data.draw(places), data.draw(places)))
    start, end = tree.leaves[one].key, tree.leaves[other].key
    run = tree.between(start, end)
    for place in range(len(tree.leaves)):
        wrong = tree.prove(tree.leaves[place].key, NO_END)
        if wrong != tree.prove(start, end):
            assert not is_range_proven(tree.root, start, end, run, wrong)


def test_a_run_cut_at_its_neighbour_cannot_hide_the_leaf_behind_it():
    """Whoever drops the last leaf of a run must close it into a subtree, and then it lies within the interval."""
    tree = tree_of(9)
    start, end = tree.leaves[2].key, tree.leaves[6].key
    shorter = tree.prove(start, tree.leaves[5].key)
    assert is_range_proven(tree.root, start, tree.leaves[5].key, tree.leaves[2:5], shorter)
    assert not is_range_proven(tree.root, start, end, tree.leaves[2:5], shorter)
    without_end = replace(tree.prove(start, end), after=())
    assert not is_range_proven(tree.root, start, end, tree.leaves[2:6], without_end)


@pytest.mark.parametrize(("first", "last"), [(0, 3), (2, 6), (5, 8)])
def test_a_proof_with_any_bit_changed_proves_nothing(first, last):
    tree = tree_of(9)
    start = tree.leaves[first].key if first else ZERO
    end = tree.leaves[last].key if last < 8 else NO_END
    run = tree.between(start, end)
    encoded = tree.prove(start, end).encode()
    for at in range(len(encoded)):
        forged = encoded[:at] + bytes((encoded[at] ^ 1,)) + encoded[at + 1 :]
        try:
            proof = RangeProof.decode(forged)
        except DecodeError:
            continue
        assert not is_range_proven(tree.root, start, end, run, proof), at


def test_steps_that_part_at_the_same_bit_are_no_tree():
    tree = tree_of(9)
    start, end = tree.leaves[2].key, tree.leaves[6].key
    proof = tree.prove(start, end)
    for wrong in (
        replace(proof, left=proof.left[:1] * 2 + proof.left[1:]),
        replace(proof, left=proof.left[::-1]),
        replace(proof, right=proof.right[:1] * 2 + proof.right[1:]),
        replace(proof, left=proof.left[1:]),
        replace(proof, right=proof.right[:-1]),
    ):
        assert wrong == proof or not is_range_proven(tree.root, start, end, tree.between(start, end), wrong)
