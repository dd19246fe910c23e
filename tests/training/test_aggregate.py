"""Combining payloads coordinate by coordinate, and the 8-bit form of what comes out."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training import oracle, oracle_robust
from tests.training.pseudo_gradients import FRAGMENT_SIZES, payloads
from training import blocks
from training.aggregate import aggregate_size, decode8, encode8, trimmed_mean, weighted_sum
from training.blocks import AGGREGATE, header
from training.errors import PayloadError
from training.payload import LARGEST_UNITS

ONE_BLOCK = (256,)
NUMBERS = st.one_of(st.integers(-4, 4), st.integers(-LARGEST_UNITS, LARGEST_UNITS))


def block(*numbers: int) -> np.ndarray:
    """One block of integers, the rest zero."""
    return np.array([*numbers, *[0] * (256 - len(numbers))], dtype=np.int32)


def mean_of(published: list[bytes], sizes: tuple[int, ...]) -> bytes:
    """The 8-bit mean of up to 2^16 payloads."""
    return trimmed_mean(published, [1 << 16] * len(published), 0, sizes)


@settings(max_examples=40, deadline=None)
@given(FRAGMENT_SIZES, st.integers(1, 5), st.integers(0, 1 << 32))
def test_the_mean_of_sorted_payloads_is_that_of_integer_arithmetic(sizes, count, seed):
    published = payloads(count, sizes, seed)
    vectors = [oracle.decode(payload, sizes, 7) for payload in published]
    for trim in range((count + 1) // 2):
        aggregate = trimmed_mean(published, [1 << 16] * count, trim, sizes)
        expected = oracle_robust.sorted_mean(vectors, [1 << 16] * count, trim)
        assert aggregate == oracle.encode([oracle.Fraction(number) for number in expected], sizes, 127)
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
    mutated = bytearray(mean_of(payloads(1, sizes, seed), sizes))
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


def test_one_bad_payload_refuses_the_aggregate():
    good = payloads(2, ONE_BLOCK, 1)
    for bad in (good[0][:-1], good[0][:13] + b"\x10" + good[0][14:]):
        with pytest.raises(PayloadError):
            mean_of([*good, bad], ONE_BLOCK)
        with pytest.raises(PayloadError):
            weighted_sum([*good, bad], [1 << 28] * 3, ONE_BLOCK)


def test_work_in_chunks_of_any_size_gives_the_same_aggregate(monkeypatch):
    sizes = (blocks.CHUNK_BLOCKS * 256 + 257, 900)
    published = payloads(3, sizes, 2)
    ratios = [1 << 16, 1 << 17, 1 << 16]
    parts = [1 << 28, 1 << 29, 1 << 28]

    def found() -> list[bytes]:
        return [
            mean_of(published, sizes),
            trimmed_mean(published, ratios, 1, sizes),
            weighted_sum(published, parts, sizes),
        ]

    expected = found()
    for chunk_blocks in (7, 1 << 20):
        monkeypatch.setattr(blocks, "CHUNK_BLOCKS", chunk_blocks)
        assert found() == expected
