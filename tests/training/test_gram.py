"""The inner products of payloads: exact whatever the scales, from bytes or files, and never from bad bytes."""

import mmap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training import oracle
from tests.training.pseudo_gradients import FRAGMENT_SIZES, deltas, payloads
from training import blocks, gram
from training.aggregate import COEFFICIENTS_LIMIT, trimmed_mean, weighted_sum
from training.blocks import PAYLOAD, header
from training.errors import PayloadError
from training.gram import gram_matrix
from training.payload import LARGEST_UNITS, encode_payload

ONE_BLOCK = (256,)


def exact(vectors: list[list[int]]) -> list[list[int]]:
    return [[sum(a * b for a, b in zip(one, other, strict=True)) for other in vectors] for one in vectors]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_inner_products_are_exact(choice):
    sizes = choice.draw(FRAGMENT_SIZES)
    bodies = choice.draw(st.lists(deltas(sizes), min_size=1, max_size=4))
    zero = np.zeros(sum(sizes), dtype=np.float32)
    published = [encode_payload(body, zero, sizes) for body in bodies if np.isfinite(body).all()]
    vectors = [oracle.decode(each, sizes, 7) for each in published]
    assert gram_matrix(published, sizes) == exact(vectors)


def test_the_largest_payloads_multiply_without_overflow():
    # Many blocks of the largest numbers: every partial sum is at its bound.
    sizes = (256 * 40,)
    both = [header(PAYLOAD, sizes) + bytes((255, 15)) * 40 + bytes([byte]) * (128 * 40) for byte in (0x77, 0x99)]
    square = sizes[0] * LARGEST_UNITS**2
    assert gram_matrix(both, sizes) == [[square, -square], [-square, square]]


def test_a_hundred_rows_and_any_chunk_give_the_same_products(monkeypatch):
    sizes = (blocks.CHUNK_BLOCKS * 256 + 257, 900)
    published = payloads(3, sizes, 1)
    found = gram_matrix(published, sizes)
    many = gram_matrix([published[place % 3] for place in range(100)], sizes)
    assert all(many[i][j] == found[i % 3][j % 3] for i in range(100) for j in range(100))
    monkeypatch.setattr(blocks, "CHUNK_BLOCKS", 7)
    monkeypatch.setattr(gram, "TILE", 2)
    assert gram_matrix(published, sizes) == found


def test_payloads_may_lie_in_files(tmp_path: Path):
    sizes = (300, 700)
    published = payloads(4, sizes, 2)
    maps = []
    for place, each in enumerate(published):
        path = tmp_path / str(place)
        path.write_bytes(each)
        with path.open("rb") as file:
            maps.append(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    parts = [1 << 28] * 4
    assert gram_matrix(maps, sizes) == gram_matrix(published, sizes)
    assert weighted_sum(maps, parts, sizes) == weighted_sum(published, parts, sizes)
    ratios = [1 << 16, 1 << 17, 1 << 16, 1 << 16]
    assert trimmed_mean(maps, ratios, 1, sizes) == trimmed_mean(published, ratios, 1, sizes)
    for each in maps:
        each.close()


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        header(PAYLOAD, ONE_BLOCK) + bytes((1, 16)) + bytes([1]) * 128,
        header(PAYLOAD, ONE_BLOCK) + bytes((1, 0)) + bytes([8]) * 128,
    ],
    ids=["empty", "exponent", "code"],
)
def test_bad_bytes_have_no_inner_products(payload):
    with pytest.raises(PayloadError):
        gram_matrix([payload], ONE_BLOCK)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_weighted_sum_at_its_limit_is_exact_and_cut(sign):
    payload = header(PAYLOAD, ONE_BLOCK) + bytes((255, 15)) + bytes([sign * 7 % 16 * 17]) * 128
    found = oracle.decode(weighted_sum([payload] * 2, [COEFFICIENTS_LIMIT // 2] * 2, ONE_BLOCK), ONE_BLOCK, 127)
    assert abs(found[0] - sign * LARGEST_UNITS) <= 225 << 10
    with pytest.raises(AssertionError):
        weighted_sum([payload], [COEFFICIENTS_LIMIT + 1], ONE_BLOCK)


def test_a_weighted_sum_rounds_half_to_even():
    row = np.zeros(256, dtype=np.float32)
    row[:6] = np.array([1, -1, 3, -3, 5, 7]) * 2.0**-24
    payload = encode_payload(row, np.zeros_like(row), ONE_BLOCK)
    found = oracle.decode(weighted_sum([payload], [1 << 29], ONE_BLOCK), ONE_BLOCK, 127)
    assert found[:6] == [0, 0, 2, -2, 2, 4]
