"""Inclusion paths of RFC 9162: whoever holds a leaf can show it, and nobody can show another."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.crypto.hashing import leaf_hash, merkle_root
from chain.crypto.merkle_path import inclusion_path, is_included, path_root

LEAVES = [bytes([each]) * 3 for each in range(7)]


def above(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def test_the_paths_of_the_seven_leaves_of_the_rfc():
    """RFC 9162, section 2.1.5: with leaves d0 to d6 and nodes as drawn there."""
    a, b, c, d, e, f, j = map(leaf_hash, LEAVES)
    g, h, i = above(a, b), above(c, d), above(e, f)
    k, last = above(g, h), above(i, j)
    paths = [inclusion_path([a, b, c, d, e, f, j], at) for at in range(7)]
    assert paths[0] == (b, h, last)
    assert paths[3] == (c, g, last)
    assert paths[4] == (f, j, k)
    assert paths[6] == (i, k)
    assert merkle_root(LEAVES) == above(k, last)


@given(st.integers(1, 80), st.data())
def test_every_leaf_has_a_path_and_only_its_own(count, data):
    leaves = [bytes([each]) for each in range(count)]
    index = data.draw(st.integers(0, count - 1))
    path, root = inclusion_path(list(map(leaf_hash, leaves)), index), merkle_root(leaves)
    assert is_included(leaves[index], index, count, path, root)
    other = data.draw(st.integers(0, count + 3))
    if other != index:
        assert not is_included(leaves[index], other, count, path, root)
    assert not is_included(leaves[index] + b"x", index, count, path, root)
    assert not is_included(leaves[index], index, count, (*path, root), root)
    assert not path or not is_included(leaves[index], index, count, path[:-1], root)


@given(
    st.binary(max_size=40), st.integers(-2, 70), st.integers(-2, 2**64), st.lists(st.binary(max_size=33), max_size=70)
)
def test_anything_may_be_asked(leaf, index, count, path):
    assert not is_included(leaf, index, count, path, bytes(32))


@pytest.mark.parametrize(("index", "count"), [(0, 0), (1, 1), (-1, 1)])
def test_a_leaf_outside_the_tree_has_no_root(index, count):
    assert path_root(b"leaf", index, count, ()) is None


def test_a_tree_of_one_leaf_has_an_empty_path():
    assert inclusion_path([leaf_hash(b"x")], 0) == () and is_included(b"x", 0, 1, (), merkle_root([b"x"]))
