"""Roots over tensors: the same tree whatever the caller's bytes look like in memory."""

from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.crypto.hashing import merkle_root
from tests.training import oracle
from training.pages import (
    LEAF_BYTES,
    PAGE_BYTES,
    ZERO,
    Slices,
    fragment_roots,
    leaves,
    model_root,
    pages,
    pages_root,
)


def numbered(size: int) -> bytes:
    """Bytes of which no two slices are equal."""
    return b"".join((i // 4).to_bytes(4, "little") for i in range(4, size + 4, 4))[:size]


@pytest.mark.parametrize("size", [1, LEAF_BYTES - 1, LEAF_BYTES, LEAF_BYTES + 1, 5 * LEAF_BYTES])
def test_leaves_are_1_kib_and_the_last_may_be_short(size):
    whole = numbered(size)
    assert [len(leaf) for leaf in leaves(whole)] == [
        min(LEAF_BYTES, size - start) for start in range(0, size, LEAF_BYTES)
    ]
    assert b"".join(leaves(whole)) == whole


@pytest.mark.parametrize("size", [PAGE_BYTES - 4, PAGE_BYTES, PAGE_BYTES + 4])
def test_pages_are_1_mib_and_the_last_may_be_short(size):
    whole = numbered(size)
    first, rest = whole[: 1 << 20], whole[1 << 20 :]
    assert list(pages(whole)) == ([first, rest] if rest else [first])
    assert pages_root(whole, merkle_root) == oracle.pages_root(whole)


@given(st.binary(max_size=40), st.integers(1, 7))
def test_slices_are_a_sequence(whole, size):
    plain = [whole[i : i + size] for i in range(0, len(whole), size)]
    slices = Slices(whole, size)
    assert (list(slices), len(slices), slices[1:]) == (plain, len(plain), plain[1:])
    for index in range(-len(plain), len(plain)):
        assert slices[index] == plain[index]
    for index in (len(plain), -len(plain) - 1):
        with pytest.raises(IndexError):
            _ = slices[index]


def test_a_fragment_is_hashed_by_leaves_and_the_model_by_fragments():
    sizes = (256, 257, 1)
    weights = np.arange(1, 515, dtype=np.float32)
    own = weights[:256].tobytes(), weights[256:513].tobytes(), weights[513:].tobytes()
    expected = (oracle.tree([own[0]]), oracle.tree([own[1][:1024], own[1][1024:]]), oracle.tree([own[2]]))
    assert fragment_roots(weights, sizes, merkle_root) == expected
    assert (
        model_root(weights, sizes, merkle_root) == oracle.tree(expected) == oracle.model_root(weights.tobytes(), sizes)
    )
    assert model_root(weights, (514,), merkle_root) != oracle.tree(expected)


def test_a_fragment_of_zeros_has_an_ordinary_root():
    assert fragment_roots(np.zeros(2, dtype=np.float32), (2,), merkle_root) == (sha256(bytes(9)).digest(),)


def test_only_all_zero_bytes_have_the_zero_root():
    zeros = np.zeros(PAGE_BYTES // 4 + 1, dtype=np.float32)
    assert pages_root(zeros, merkle_root) == pages_root(b"", merkle_root) == pages_root(bytes(5), merkle_root) == ZERO
    negative = zeros.copy()
    negative[-1] = -0.0
    assert pages_root(negative, merkle_root) == oracle.pages_root(negative.tobytes()) != ZERO


@pytest.mark.parametrize("kind", ["f4", "i4"])
def test_byte_order_and_strides_in_memory_do_not_matter(kind):
    little = np.arange(1, 3001).astype(f"<{kind}")
    expected = oracle.pages_root(little.tobytes())
    assert pages_root(little, merkle_root) == expected
    assert pages_root(little.astype(f">{kind}"), merkle_root) == expected
    assert pages_root(np.repeat(little, 2)[::2], merkle_root) == expected
    assert pages_root(little.reshape(30, 100), merkle_root) == expected
