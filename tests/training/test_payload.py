"""The 4-bit payload: what it says, what it refuses, and that two implementations agree on every bit of it."""

import ctypes
import platform
import random
from math import isqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training import oracle
from tests.training.pseudo_gradients import FRAGMENT_SIZES, deltas, ends_of_a_round, payloads
from training import blocks
from training.blocks import PAYLOAD, check_header, chunks, header, read_chunk, write_chunk
from training.errors import PayloadError, TrainingError
from training.payload import LARGEST_UNITS, decode_payload, encode_payload, payload_norm, payload_size, sum_of_squares

UNIT = 2.0**-24
ONE_BLOCK = (256,)


def of_units(*units: float) -> np.ndarray:
    """One block's delta from numbers in units of 2^-24, the rest zero."""
    block = np.zeros(256, dtype=np.float32)
    block[: len(units)] = np.array(units) * UNIT
    return block


def encoded(*units: float) -> bytes:
    """The payload of one block."""
    return encode_payload(of_units(*units), of_units(), ONE_BLOCK)


def scale_of(payload: bytes) -> tuple[int, int]:
    """Mantissa and exponent of the first block."""
    return payload[12], payload[13]


def repacked(payload: bytes, sizes: tuple[int, ...]) -> bytes:
    """What the encoder writes for the scales and codes that the decoder read."""
    out = bytearray(len(payload))
    out[:12] = header(PAYLOAD, sizes)
    for chunk in chunks(PAYLOAD, sizes):
        mantissas, exponents, codes = read_chunk(PAYLOAD, payload, chunk)
        write_chunk(PAYLOAD, out, chunk, (mantissas, exponents), codes)
    return bytes(out)


@settings(max_examples=60, deadline=None)
@given(ends_of_a_round())
def test_the_encoder_agrees_with_integer_arithmetic_to_the_bit(ends):
    before, after, sizes = ends
    try:
        expected = oracle.encode_payload(before.tolist(), after.tolist(), sizes)
    except oracle.Refused:
        with pytest.raises(PayloadError, match="not finite"):
            encode_payload(before, after, sizes)
        return
    payload = encode_payload(before, after, sizes)
    assert payload == expected
    assert decode_payload(payload, sizes).tolist() == oracle.decode(payload, sizes, 7)
    assert repacked(payload, sizes) == payload


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_number_is_off_by_at_most_half_a_step_unless_its_block_saturates(choice):
    sizes = choice.draw(FRAGMENT_SIZES)
    delta = choice.draw(deltas(sizes))
    payload = encode_payload(delta, np.zeros_like(delta), sizes)
    error = np.abs(decode_payload(payload, sizes) - delta.astype(np.float64) / UNIT)
    for chunk in chunks(PAYLOAD, sizes):
        mantissas, exponents, _ = read_chunk(PAYLOAD, payload, chunk)
        for block, step in enumerate(np.maximum(mantissas << exponents, 1).tolist()):
            here = slice(chunk.start + 256 * block, min(chunk.stop, chunk.start + 256 * (block + 1)))
            within = np.abs(delta[here]).astype(np.float64) / UNIT <= LARGEST_UNITS
            assert (error[here][within] <= step / 2).all()


@settings(max_examples=60, deadline=None)
@given(FRAGMENT_SIZES, st.integers(0, 1 << 32), st.integers(1, 4))
def test_of_flipped_bytes_only_canonical_payloads_are_accepted(sizes, seed, flips):
    chance = random.Random(seed)
    mutated = bytearray(payloads(1, sizes, seed)[0])
    for _ in range(flips):
        # Scales are few: aim at them as often as at everything.
        at = chance.randrange(12, 14 + len(sizes)) if chance.random() < 0.5 else chance.randrange(len(mutated))
        mutated[at] ^= 1 << chance.randrange(8)
    accepts_as_the_oracle_does(bytes(mutated), sizes)


@settings(max_examples=60, deadline=None)
@given(FRAGMENT_SIZES, st.binary(max_size=500), st.integers(0, 1 << 32))
def test_of_invented_bytes_only_canonical_payloads_are_accepted(sizes, short, seed):
    accepts_as_the_oracle_does(short, sizes)
    body = random.Random(seed).randbytes(payload_size(sizes) - 12)
    accepts_as_the_oracle_does(header(PAYLOAD, sizes) + body, sizes)


def accepts_as_the_oracle_does(raw: bytes, sizes: tuple[int, ...]) -> None:
    """Both refuse, or both read the same numbers and write the same bytes again."""
    try:
        parsed = oracle.parse(raw, sizes, 7)
    except oracle.Refused:
        with pytest.raises(PayloadError):
            decode_payload(raw, sizes)
        return
    assert decode_payload(raw, sizes).tolist() == oracle.decode(raw, sizes, 7)
    assert oracle.write(parsed, sizes, 7) == repacked(raw, sizes) == raw


def test_a_payload_takes_130_bytes_a_block_and_a_header():
    assert payload_size((256,)) == 12 + 130
    assert payload_size((257,)) == 12 + 260
    assert payload_size((1, 1)) == 12 + 260
    assert encoded(1)[:12] == b"NSP1" + (256).to_bytes(8, "little")


def test_scales_come_before_codes_within_each_fragment():
    sizes = (512, 256)
    delta = np.concatenate([of_units(7), of_units(14), of_units(21)])
    payload = encode_payload(delta, np.zeros_like(delta), sizes)
    first, second = payload[12 : 12 + 260], payload[12 + 260 :]
    assert first[:4] == bytes((1, 0, 2, 0)) and second[:2] == bytes((3, 0))
    assert first[4] == first[4 + 128] == second[2] == 7


def test_the_low_nibble_holds_the_first_of_two_codes():
    assert encoded(7, -7, -1, 1)[14:17] == bytes((0x97, 0x1F, 0))


@pytest.mark.parametrize(
    ("peak", "scale"),
    [
        (0.5000001, (1, 0)),
        (7, (1, 0)),
        (7.0001, (2, 0)),
        (7 * 255, (255, 0)),
        (7 * 255 + 1, (128, 1)),
        (7 * 255 << 14, (255, 14)),
        ((7 * 255 << 14) + 2, (128, 15)),
        (LARGEST_UNITS, (255, 15)),
        (LARGEST_UNITS + 4, (255, 15)),
        (2.0**140, (255, 15)),
    ],
)
def test_the_scale_is_the_least_that_reaches_the_largest_number(peak, scale):
    assert scale_of(encoded(1, -peak)) == scale


def test_beyond_the_largest_scale_codes_saturate():
    numbers = decode_payload(encoded(LARGEST_UNITS * 16.0, -(2.0**140), LARGEST_UNITS), ONE_BLOCK)
    assert numbers[:3].tolist() == [LARGEST_UNITS, -LARGEST_UNITS, LARGEST_UNITS]


def test_halves_round_to_the_even_code():
    halves = (0.5, 1.5, 2.5, 3.5, -0.5, -1.5, -2.5, -6.5)
    assert decode_payload(encoded(7, *halves), ONE_BLOCK)[1:9].tolist() == [0, 2, 2, 4, 0, -2, -2, -6]


def test_there_is_one_zero_block():
    for units in ((), (0.5, -0.5), (2.0**-125,), (-0.0,)):
        assert encoded(*units)[12:] == bytes(130)
    assert encoded(0.5000001)[12:15] == bytes((1, 0, 1))


@pytest.mark.parametrize(("before", "after"), [(np.nan, 0), (0, np.inf), (np.inf, np.inf), (3e38, -3e38)])
def test_a_delta_that_is_not_finite_is_refused(before, after):
    start, end = of_units(), of_units()
    start[5], end[5] = before, after
    with pytest.raises(PayloadError, match="not finite"):
        encode_payload(start, end, ONE_BLOCK)


def set_scale(payload: bytes, mantissa: int, exponent: int) -> bytes:
    return payload[:12] + bytes((mantissa, exponent)) + payload[14:]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (set_scale(encoded(7), 255, 16), "exponent above 15"),
        (set_scale(encoded(7), 127, 1), "mantissa below 128"),
        (set_scale(encoded(7), 0, 0), "mantissa 0"),
        (set_scale(encoded(), 0, 1), "mantissa below 128"),
        (set_scale(encoded(), 1, 0), "codes that are all 0"),
        (encoded(7)[:14] + b"\x87" + bytes(127), "code below -7"),
        (encoded(7)[:14] + b"\x78" + bytes(127), "code below -7"),
        (encoded(7)[:-1], "142 bytes wanted, 141 found"),
        (encoded(7) + b"\x00", "142 bytes wanted, 143 found"),
        (b"", "142 bytes wanted, 0 found"),
        (b"NSA1" + encoded(7)[4:], "header"),
        (encoded(7)[:4] + (255).to_bytes(8, "little") + encoded(7)[12:], "header"),
    ],
)
def test_a_malformed_payload_is_refused_with_the_reason(bad, why):
    with pytest.raises(PayloadError, match=why):
        decode_payload(bad, ONE_BLOCK)


@pytest.mark.parametrize(
    "good", [set_scale(encoded(7), 255, 15), set_scale(encoded(7), 128, 1), set_scale(encoded(7), 1, 0)]
)
def test_scales_just_within_the_limits_are_accepted(good):
    assert decode_payload(good, ONE_BLOCK)[0] == 7 * good[12] << good[13]


def test_padding_is_zero():
    payload = bytearray(encode_payload(of_units(7)[:255], of_units()[:255], (255,)))
    decode_payload(bytes(payload), (255,))
    payload[-1] |= 0x10
    with pytest.raises(PayloadError, match="padding"):
        decode_payload(bytes(payload), (255,))


def test_a_refusal_names_fragment_and_block(monkeypatch):
    monkeypatch.setattr(blocks, "CHUNK_BLOCKS", 2)
    sizes = (256, 256 * 5)
    payload = bytearray(12 + 130 * 6)
    payload[:12] = header(PAYLOAD, sizes)
    payload[12 + 130 + 2 * 3 + 1] = 16
    with pytest.raises(PayloadError, match="fragment 1, block 3: exponent above 15"):
        decode_payload(bytes(payload), sizes)


def test_work_in_chunks_of_any_size_gives_the_same_bytes(monkeypatch):
    sizes = (blocks.CHUNK_BLOCKS * 256 + 257, 900)
    chance = np.random.default_rng(3)
    before, after = chance.standard_normal((2, sum(sizes)), dtype=np.float32)
    payload = encode_payload(before, after, sizes)
    numbers = decode_payload(payload, sizes)
    for chunk_blocks in (1, 3, 1 << 20):
        monkeypatch.setattr(blocks, "CHUNK_BLOCKS", chunk_blocks)
        assert encode_payload(before, after, sizes) == payload
        assert np.array_equal(decode_payload(payload, sizes), numbers)


def test_a_wrong_length_is_refused_before_anything_is_allocated():
    with pytest.raises(PayloadError):
        check_header(PAYLOAD, b"NSP1", (1 << 60,))
    with pytest.raises(PayloadError):
        decode_payload(b"NSP1" + (1 << 60).to_bytes(8, "little"), (1 << 60,))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-LARGEST_UNITS, LARGEST_UNITS), max_size=50), st.integers(1, 3000))
def test_sums_of_squares_are_exact(numbers, repeat):
    row = np.array(numbers * repeat, dtype=np.int32)
    assert sum_of_squares(row) == repeat * sum(number * number for number in numbers)


def test_the_squares_of_the_largest_payload_do_not_overflow():
    count = (1 << 17) + 3
    assert sum_of_squares(np.full(count, -LARGEST_UNITS, dtype=np.int32)) == count * LARGEST_UNITS**2


def test_the_norm_of_a_payload_is_that_of_its_numbers_whatever_the_chunks(monkeypatch):
    sizes = (blocks.CHUNK_BLOCKS * 256 + 257, 900)
    before, after = np.random.default_rng(4).standard_normal((2, sum(sizes)), dtype=np.float32)
    payload = encode_payload(before, after, sizes)
    expected = isqrt(sum(number * number for number in decode_payload(payload, sizes).tolist()))
    for chunk_blocks in (1, 3, 1 << 20):
        monkeypatch.setattr(blocks, "CHUNK_BLOCKS", chunk_blocks)
        assert payload_norm(payload, sizes) == expected
    with pytest.raises(PayloadError):
        payload_norm(payload[:-1], sizes)


@pytest.mark.skipif(platform.machine() != "x86_64" or platform.libc_ver()[0] != "glibc", reason="knows x86 modes only")
@pytest.mark.parametrize("mode", [0x2000, 0x4000, 0x6000, 0x8000, 0x0040], ids=["down", "up", "to zero", "ftz", "daz"])
def test_a_thread_in_another_floating_point_mode_encodes_nothing(mode):
    library = ctypes.CDLL("libm.so.6")
    kept, changed = ctypes.create_string_buffer(32), ctypes.create_string_buffer(32)
    library.fegetenv(kept)
    library.fegetenv(changed)
    # The last word of the saved environment is MXCSR, the mode of all SSE and AVX arithmetic.
    register = int.from_bytes(changed.raw[28:], "little") | mode
    changed[28:32] = register.to_bytes(4, "little")
    before, after = of_units(7), of_units()
    library.fesetenv(changed)
    try:
        with pytest.raises(TrainingError, match="flushes denormal"):
            encode_payload(before, after, ONE_BLOCK)
    finally:
        library.fesetenv(kept)
    assert encode_payload(before, after, ONE_BLOCK)
