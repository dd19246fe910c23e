"""Combining payloads coordinate by coordinate, and the 8-bit form of what comes out."""

import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training import oracle
from tests.training.pseudo_gradients import FRAGMENT_SIZES, payloads
from training import blocks
from training.aggregate import aggregate_payloads, aggregate_size, combine, decode8, encode8
from training.blocks import AGGREGATE, header
from training.errors import PayloadError
from training.payload import LARGEST_UNITS, decode_payload

ONE_BLOCK = (256,)
NUMBERS = st.one_of(st.integers(-4, 4), st.integers(-LARGEST_UNITS, LARGEST_UNITS))


def of_rows(*rows: list[int]) -> list[int]:
    """Rows combined, as plain integers."""
    return combine([np.array(row, dtype=np.int32) for row in rows]).tolist()


def block(*numbers: int) -> np.ndarray:
    """One block of integers, the rest zero."""
    return np.array([*numbers, *[0] * (256 - len(numbers))], dtype=np.int32)


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 9).flatmap(lambda n: st.lists(st.lists(NUMBERS, min_size=n, max_size=n), min_size=1, max_size=20))
)
def test_rows_combine_as_in_integer_arithmetic(columns):
    rows = [list(row) for row in zip(*columns, strict=True)]
    assert of_rows(*rows) == oracle.combine(rows)


def test_sixty_four_rows_combine_as_in_integer_arithmetic():
    rows = np.random.default_rng(5).integers(-LARGEST_UNITS, LARGEST_UNITS + 1, (64, 300)).tolist()
    assert of_rows(*rows) == oracle.combine(rows)


def test_one_payload_stands_two_are_averaged_three_give_the_median():
    assert of_rows([9, -9]) == [9, -9]
    assert of_rows([9, -9], [1, -2]) == [5, -6]
    assert of_rows([9, -9], [1, -2], [1000, 0]) == [9, -2]
    assert of_rows([9], [1], [1000], [11]) == [10]


def test_means_round_half_to_even():
    assert of_rows([1, 3, -1, -3, 5], [0, 0, 0, 0, 0]) == [0, 2, 0, -2, 2]
    assert of_rows([-100], [1], [2], [100]) == [2]


def test_the_order_of_payloads_changes_nothing():
    sizes = (300,)
    given_payloads = payloads(4, sizes, 1)
    found = {aggregate_payloads(order, sizes) for order in itertools.permutations(given_payloads)}
    assert len(found) == 1


def test_combining_leaves_the_rows_alone():
    rows = [np.array([3], np.int32), np.array([1], np.int32), np.array([2], np.int32)]
    for count in (1, 2, 3):
        combine(rows[:count])[0] = 77
        assert [int(row[0]) for row in rows] == [3, 1, 2]


@settings(max_examples=40, deadline=None)
@given(FRAGMENT_SIZES, st.integers(1, 5), st.integers(0, 1 << 32))
def test_payloads_aggregate_as_in_integer_arithmetic(sizes, count, seed):
    published = payloads(count, sizes, seed)
    combined = oracle.combine([oracle.decode(payload, sizes, 7) for payload in published])
    aggregate = aggregate_payloads(published, sizes)
    assert aggregate == oracle.encode([oracle.Fraction(number) for number in combined], sizes, 127)
    assert decode8(aggregate, sizes).tolist() == oracle.decode(aggregate, sizes, 127)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(NUMBERS, st.sampled_from((LARGEST_UNITS, -LARGEST_UNITS))), min_size=1, max_size=256))
def test_the_8_bit_form_is_off_by_at_most_half_a_step(numbers):
    row = block(*numbers)
    encoded = encode8(row, ONE_BLOCK)
    assert encoded == oracle.encode([oracle.Fraction(number) for number in row.tolist()], ONE_BLOCK, 127)
    step = max(encoded[12] << encoded[13], 1)
    assert 2 * np.abs(decode8(encoded, ONE_BLOCK).astype(np.int64) - row).max() <= step


@pytest.mark.parametrize(
    ("peak", "scale"),
    [
        (1, (1, 0)),
        (127, (1, 0)),
        (128, (2, 0)),
        (127 * 255, (255, 0)),
        (127 * 255 + 1, (128, 1)),
        (LARGEST_UNITS, (225, 11)),
    ],
)
def test_the_8_bit_scale_is_the_least_that_reaches_the_largest_number(peak, scale):
    encoded = encode8(block(1, -peak), ONE_BLOCK)
    assert (encoded[12], encoded[13]) == scale


def test_numbers_up_to_127_survive_the_8_bit_form():
    row = np.arange(-127, 129, dtype=np.int32)[:255]
    assert np.array_equal(decode8(encode8(row, (255,)), (255,)), row)


def test_an_aggregate_takes_258_bytes_a_block_and_a_header():
    assert aggregate_size((257, 1)) == 12 + 3 * 258
    assert encode8(block(1), ONE_BLOCK)[:12] == b"NSA1" + (256).to_bytes(8, "little")


def with_scale(mantissa: int, exponent: int, code: int) -> bytes:
    return header(AGGREGATE, ONE_BLOCK) + bytes((mantissa, exponent, code % 256)) + bytes(255)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (with_scale(1, 0, -128), "code below -127"),
        (with_scale(255, 16, 1), "exponent above 15"),
        (with_scale(127, 1, 1), "mantissa below 128"),
        (with_scale(0, 0, 1), "mantissa 0"),
        (with_scale(1, 0, 0), "codes that are all 0"),
        (with_scale(128, 13, 64), "number 67108864 is not below 67108864"),
        (with_scale(128, 13, -64), "number 67108864 is not below 67108864"),
        (with_scale(1, 0, 1)[:-1], "bytes wanted"),
        (b"NSP1" + with_scale(1, 0, 1)[4:], "header"),
    ],
)
def test_a_malformed_aggregate_is_refused_with_the_reason(bad, why):
    with pytest.raises(PayloadError, match=why):
        decode8(bad, ONE_BLOCK)


def test_an_aggregate_just_within_the_limits_is_accepted():
    assert decode8(with_scale(128, 13, 63), ONE_BLOCK)[0] == 63 << 20
    assert decode8(with_scale(1, 0, -127), ONE_BLOCK)[0] == -127


@settings(max_examples=60, deadline=None)
@given(FRAGMENT_SIZES, st.integers(0, 1 << 32), st.integers(1, 4))
def test_of_flipped_bytes_only_canonical_aggregates_are_accepted(sizes, seed, flips):
    chance = random.Random(seed)
    mutated = bytearray(aggregate_payloads(payloads(1, sizes, seed), sizes))
    for _ in range(flips):
        at = chance.randrange(12, 14 + len(sizes)) if chance.random() < 0.5 else chance.randrange(len(mutated))
        mutated[at] ^= 1 << chance.randrange(8)
    raw = bytes(mutated)
    try:
        parsed = oracle.parse(raw, sizes, 127)
    except oracle.Refused:
        with pytest.raises(PayloadError):
            decode8(raw, sizes)
        return
    assert decode8(raw, sizes).tolist() == oracle.decode(raw, sizes, 127)
    assert oracle.write(parsed, sizes, 127) == raw


def test_a_round_without_payloads_has_no_aggregate():
    with pytest.raises(PayloadError, match="without payloads"):
        aggregate_payloads([], ONE_BLOCK)


def test_one_bad_payload_refuses_the_aggregate():
    good = payloads(2, ONE_BLOCK, 1)
    with pytest.raises(PayloadError):
        aggregate_payloads([*good, good[0][:-1]], ONE_BLOCK)
    with pytest.raises(PayloadError):
        aggregate_payloads([*good, good[0][:13] + b"\x10" + good[0][14:]], ONE_BLOCK)


def test_work_in_chunks_of_any_size_gives_the_same_aggregate(monkeypatch):
    sizes = (blocks.CHUNK_BLOCKS * 256 + 257, 900)
    published = payloads(3, sizes, 2)
    aggregate = aggregate_payloads(published, sizes)
    combined = combine([decode_payload(payload, sizes) for payload in published])
    assert encode8(combined, sizes) == aggregate
    for chunk_blocks in (7, 1 << 20):
        monkeypatch.setattr(blocks, "CHUNK_BLOCKS", chunk_blocks)
        assert aggregate_payloads(published, sizes) == aggregate
