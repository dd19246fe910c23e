"""The accepted aggregate: payloads combined coordinate by coordinate, published at 8 bits a number.

The 8-bit form *is* the input of the outer step, so a plain trainer downloads it instead of all payloads. The layout is
that of `training.blocks` with codes -127..127, one byte each.
"""

from collections.abc import Sequence

import numpy as np

from training.blocks import (
    AGGREGATE,
    PAYLOAD,
    Chunk,
    Integers,
    check_header,
    chunks,
    encoded_size,
    header,
    padded_doubles,
    quantise,
    read_numbers,
    require_ieee_arithmetic,
    write_chunk,
)
from training.errors import PayloadError

# Numbers of payloads and aggregates lie strictly within +-2^26; the overflow proof of the outer step needs it.
NUMBER_LIMIT = 1 << 26


def aggregate_size(fragment_sizes: Sequence[int]) -> int:
    """Bytes of the aggregate of a model with these fragment sizes."""
    return encoded_size(AGGREGATE, fragment_sizes)


def aggregate_payloads(payloads: Sequence[bytes], fragment_sizes: Sequence[int]) -> bytes:
    """The 8-bit aggregate of one round's payloads, at least one, in any order. Raises PayloadError on bad bytes."""
    if not payloads:
        raise PayloadError("a round without payloads has no aggregate")
    for payload in payloads:
        check_header(PAYLOAD, payload, fragment_sizes)
    require_ieee_arithmetic()
    out = _empty(fragment_sizes)
    # Both formats cut the model into the same chunks; only the place of the bytes differs.
    both = zip(chunks(PAYLOAD, fragment_sizes), chunks(AGGREGATE, fragment_sizes), strict=True)
    for source, target in both:
        _write_numbers(out, target, combine([read_numbers(PAYLOAD, payload, source) for payload in payloads]))
    return bytes(out)


def combine(rows: Sequence[Integers]) -> Integers:
    """One number per coordinate from n >= 1 equally long rows of numbers within +-2^26.

    n = 1: the number; n = 2: the mean; n >= 3: the median, which for an even n is the mean of the two in the middle.
    Means round half to even. Sums stay below 2^27.
    """
    assert rows, "nothing to combine"
    if len(rows) == 1:
        return rows[0].copy()
    if len(rows) == 2:
        return _mean(rows[0], rows[1])
    return _median([row.copy() for row in rows])


def encode8(numbers: Integers, fragment_sizes: Sequence[int]) -> bytes:
    """The aggregate's bytes from integers, int32 (parameters,), units of 2^-24, |number| <= 7 * 255 * 2^15.

    The scale never saturates there: 127 * 255 * 2^15 is more.
    """
    assert numbers.dtype == np.int32 and numbers.shape == (sum(fragment_sizes),)
    out = _empty(fragment_sizes)
    for chunk in chunks(AGGREGATE, fragment_sizes):
        _write_numbers(out, chunk, numbers[chunk.start : chunk.stop])
    return bytes(out)


def decode8(encoded: bytes, fragment_sizes: Sequence[int]) -> Integers:
    """The numbers, int32 (parameters,), units of 2^-24, |number| < 2^26. Raises PayloadError on bad bytes."""
    check_header(AGGREGATE, encoded, fragment_sizes)
    numbers = np.empty(sum(fragment_sizes), dtype=np.int32)
    for chunk in chunks(AGGREGATE, fragment_sizes):
        numbers[chunk.start : chunk.stop] = read_aggregate(encoded, chunk)
    return numbers


def read_aggregate(encoded: bytes, chunk: Chunk) -> Integers:
    """The numbers of one chunk of an aggregate that passed `check_header`, |number| < 2^26.

    `encode8` rounds up to a whole scale, by less than 127 * 2^e with e <= 11 for inputs up to 7 * 255 * 2^15; that
    stays below 2^26, so the bound refuses no honest aggregate.
    """
    numbers = read_numbers(AGGREGATE, encoded, chunk)
    peak = max(int(numbers.max()), -int(numbers.min()))
    if peak >= NUMBER_LIMIT:
        raise PayloadError(f"fragment {chunk.fragment}: number {peak} is not below {NUMBER_LIMIT}")
    return numbers


def _median(rows: list[Integers]) -> Integers:
    middle = len(rows) // 2
    spare = np.empty_like(rows[0])
    # Selection sort up to the middle, all coordinates at once: for few rows it beats sorting each coordinate.
    for i in range(middle + 1):
        for j in range(i + 1, len(rows)):
            np.minimum(rows[i], rows[j], out=spare)
            np.maximum(rows[i], rows[j], out=rows[j])
            rows[i], spare = spare, rows[i]
    return rows[middle] if len(rows) % 2 else _mean(rows[middle - 1], rows[middle])


def _mean(left: Integers, right: Integers) -> Integers:
    total = left + right
    low = total >> 1
    # An odd sum is a tie between low and low + 1: step up if low is odd.
    return low + (total & low & 1)


def _empty(fragment_sizes: Sequence[int]) -> bytearray:
    out = bytearray(aggregate_size(fragment_sizes))
    out[:12] = header(AGGREGATE, fragment_sizes)
    return out


def _write_numbers(out: bytearray, chunk: Chunk, numbers: Integers) -> None:
    units = padded_doubles(chunk)
    units.reshape(-1)[: numbers.size] = numbers
    mantissas, exponents, codes = quantise(AGGREGATE, units)
    write_chunk(AGGREGATE, out, chunk, (mantissas, exponents), codes)
