"""The accepted aggregate: payloads combined into one vector, published at 8 bits a number.

The 8-bit form *is* the input of the outer step, so a plain trainer downloads it instead of all payloads. The layout is
that of `training.blocks` with codes -127..127, one byte each. Payloads combine either as one weighted sum of all, or
coordinate by coordinate after sorting; both go chunk by chunk, and `training.robust` says which.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.blocks import (
    AGGREGATE,
    PAYLOAD,
    Chunk,
    Encoded,
    Integers,
    check_header,
    chunks,
    encoded_size,
    header,
    padded_doubles,
    quantise,
    read_chunk,
    read_numbers,
    require_ieee_arithmetic,
    write_chunk,
)
from training.errors import PayloadError
from training.payload import LARGEST_UNITS
from training.rounding import divide_half_even, shift_half_even

# Numbers of payloads and aggregates lie strictly within +-2^26; the overflow proof of the outer step needs it.
NUMBER_LIMIT = 1 << 26
COEFFICIENT_BITS = 30
COEFFICIENTS_LIMIT = 1 << 34
RATIO_BITS = 16
RATIOS_LIMIT = 1 << 20
ROWS_LIMIT = 1 << 16


def aggregate_size(fragment_sizes: Sequence[int]) -> int:
    """Bytes of the aggregate of a model with these fragment sizes."""
    return encoded_size(AGGREGATE, fragment_sizes)


def weighted_sum(payloads: Sequence[Encoded], coefficients: Sequence[int], fragment_sizes: Sequence[int]) -> bytes:
    """The aggregate: the sum of payloads times coefficients in units of 2^-30.

    Coefficients are not negative and sum to at most 2^34; numbers are below 2^26 in size, so sums are below 2^60 and
    exact in 64 bits. One rounding a number, half to even; what exceeds the largest number of a payload is cut to it.
    """
    assert min(coefficients) >= 0 and sum(coefficients) <= COEFFICIENTS_LIMIT
    for payload in payloads:
        check_header(PAYLOAD, payload, fragment_sizes)
    weighed = [(payload, each) for payload, each in zip(payloads, coefficients, strict=True) if each]
    require_ieee_arithmetic()
    out = _empty(fragment_sizes)
    # Both formats cut the model into the same chunks; only the place of the bytes differs.
    both = zip(chunks(PAYLOAD, fragment_sizes), chunks(AGGREGATE, fragment_sizes), strict=True)
    for source, target in both:
        total = np.zeros((source.blocks, 256), dtype=np.int64)
        for payload, each in weighed:
            mantissas, exponents, codes = read_chunk(PAYLOAD, payload, source)
            total += np.multiply(codes, (each * (mantissas << exponents))[:, None], dtype=np.int64)
        numbers = total.reshape(-1)[: source.stop - source.start]
        _write_numbers(out, target, shift_half_even(numbers, COEFFICIENT_BITS))
    return bytes(out)


def trimmed_mean(payloads: Sequence[Encoded], ratios: Sequence[int], trim: int, fragment_sizes: Sequence[int]) -> bytes:
    """The aggregate: of each coordinate, the mean of the payloads' numbers times ratios without `trim` on either side.

    Ratios are in units of 2^-16, from 0 to 2^20. Numbers below 2^26 give products below 2^46; of at most 2^16 rows the
    sum is below 2^62. One rounding a number, half to even; what exceeds the largest number of a payload is cut to it.
    """
    kept = len(payloads) - 2 * trim
    assert kept > 0 and len(payloads) <= ROWS_LIMIT and all(0 <= ratio <= RATIOS_LIMIT for ratio in ratios)
    for payload in payloads:
        check_header(PAYLOAD, payload, fragment_sizes)
    require_ieee_arithmetic()
    out = _empty(fragment_sizes)
    both = zip(chunks(PAYLOAD, fragment_sizes), chunks(AGGREGATE, fragment_sizes), strict=True)
    for source, target in both:
        total = _sum_of_the_middle(payloads, ratios, trim, source)
        _write_numbers(out, target, divide_half_even(total, kept << RATIO_BITS))
    return bytes(out)


def _sum_of_the_middle(
    payloads: Sequence[Encoded], ratios: Sequence[int], trim: int, chunk: Chunk
) -> NDArray[np.int64]:
    """Of each coordinate the sum of what `trim` leaves, times ratios."""
    if len(set(ratios)) == 1:
        # Half as many bytes to sort.
        rows = np.stack([read_numbers(PAYLOAD, payload, chunk) for payload in payloads])
        rows.sort(axis=0)
        middle: NDArray[np.int64] = rows[trim : len(rows) - trim].sum(axis=0, dtype=np.int64)
        return middle * ratios[0]
    longer = np.stack(
        [
            read_numbers(PAYLOAD, payload, chunk) * np.int64(ratio)
            for payload, ratio in zip(payloads, ratios, strict=True)
        ]
    )
    longer.sort(axis=0)
    total: NDArray[np.int64] = longer[trim : len(longer) - trim].sum(axis=0)
    return total


def encode8(numbers: Integers, fragment_sizes: Sequence[int]) -> bytes:
    """The aggregate's bytes from integers, int32 (parameters,), units of 2^-24, |number| <= 7 * 255 * 2^15.

    The scale never saturates there: 127 * 255 * 2^15 is more.
    """
    assert numbers.dtype == np.int32 and numbers.shape == (sum(fragment_sizes),)
    out = _empty(fragment_sizes)
    for chunk in chunks(AGGREGATE, fragment_sizes):
        _write_numbers(out, chunk, numbers[chunk.start : chunk.stop])
    return bytes(out)


def decode8(encoded: Encoded, fragment_sizes: Sequence[int]) -> Integers:
    """The numbers, int32 (parameters,), units of 2^-24, |number| < 2^26. Raises PayloadError on bad bytes."""
    check_header(AGGREGATE, encoded, fragment_sizes)
    numbers = np.empty(sum(fragment_sizes), dtype=np.int32)
    for chunk in chunks(AGGREGATE, fragment_sizes):
        numbers[chunk.start : chunk.stop] = read_aggregate(encoded, chunk)
    return numbers


def read_aggregate(encoded: Encoded, chunk: Chunk) -> Integers:
    """The numbers of one chunk of an aggregate that passed `check_header`, |number| < 2^26.

    `encode8` rounds up to a whole scale, by less than 127 * 2^e with e <= 11 for inputs up to 7 * 255 * 2^15; that
    stays below 2^26, so the bound refuses no honest aggregate.
    """
    numbers = read_numbers(AGGREGATE, encoded, chunk)
    peak = max(int(numbers.max()), -int(numbers.min()))
    if peak >= NUMBER_LIMIT:
        raise PayloadError(f"fragment {chunk.fragment}: number {peak} is not below {NUMBER_LIMIT}")
    return numbers


def _empty(fragment_sizes: Sequence[int]) -> bytearray:
    out = bytearray(aggregate_size(fragment_sizes))
    out[:12] = header(AGGREGATE, fragment_sizes)
    return out


def _write_numbers(out: bytearray, chunk: Chunk, numbers: Integers | NDArray[np.int64]) -> None:
    units = padded_doubles(chunk)
    np.clip(numbers, -LARGEST_UNITS, LARGEST_UNITS, out=units.reshape(-1)[: numbers.size])
    mantissas, exponents, codes = quantise(AGGREGATE, units)
    write_chunk(AGGREGATE, out, chunk, (mantissas, exponents), codes)
