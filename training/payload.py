"""The payload: a pseudo-gradient at 4 bits a number, as a node publishes it.

payload = encode(W_t - theta_S), bit-exact, no error feedback: an auditor that has both vectors re-encodes and compares.
The layout is that of `training.blocks` with codes -7..7, two to a byte, low nibble first, two's complement.
"""

from collections.abc import Sequence
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from training.blocks import (
    PAYLOAD,
    UNITS_PER_ONE,
    Encoded,
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

# The largest magnitude a payload can say: 7 * 255 * 2^15 units, about 3.49.
LARGEST_UNITS = 7 * 255 << 15


def payload_size(fragment_sizes: Sequence[int]) -> int:
    """Bytes of the payload of a model with these fragment sizes (numbers per fragment)."""
    return encoded_size(PAYLOAD, fragment_sizes)


def encode_payload(before: NDArray[np.float32], after: NDArray[np.float32], fragment_sizes: Sequence[int]) -> bytes:
    """The payload of a round that began at `before` and ended at `after`, flat fp32 vectors of all fragments in order.

    A block without saturation errs by at most half its step: |q - delta * 2^24| <= m * 2^e / 2. A delta that is not
    finite raises PayloadError.
    """
    assert before.dtype == after.dtype == np.float32 and before.shape == after.shape == (sum(fragment_sizes),)
    require_ieee_arithmetic()
    out = bytearray(payload_size(fragment_sizes))
    out[:12] = header(PAYLOAD, fragment_sizes)
    for chunk in chunks(PAYLOAD, fragment_sizes):
        units = padded_doubles(chunk)
        # An overflow to infinity is not silent: `quantise` refuses it.
        with np.errstate(over="ignore", invalid="ignore"):
            delta = before[chunk.start : chunk.stop] - after[chunk.start : chunk.stop]
        units.reshape(-1)[: delta.size] = delta
        units *= UNITS_PER_ONE
        mantissas, exponents, codes = quantise(PAYLOAD, units)
        write_chunk(PAYLOAD, out, chunk, (mantissas, exponents), codes)
    return bytes(out)


def decode_payload(encoded: Encoded, fragment_sizes: Sequence[int]) -> Integers:
    """The pseudo-gradient q, int32 (parameters,), units of 2^-24, |q| < 2^26. Raises PayloadError on bad bytes.

    Length and header are checked before anything is allocated; no two byte strings with the same scales and codes are
    both accepted.
    """
    check_header(PAYLOAD, encoded, fragment_sizes)
    numbers = np.empty(sum(fragment_sizes), dtype=np.int32)
    for chunk in chunks(PAYLOAD, fragment_sizes):
        numbers[chunk.start : chunk.stop] = read_numbers(PAYLOAD, encoded, chunk)
    return numbers


def payload_norm(numbers: Integers) -> int:
    """floor of the Euclidean norm of q, units of 2^-24; exact.

    |q| < 2^26, so the squares of 1,024 numbers sum to less than 2^62; those sums add up as Python integers.
    """
    total = 0
    for start in range(0, numbers.size, 1 << 16):
        part = numbers[start : start + (1 << 16)].astype(np.int64)
        assert part.size == 0 or max(int(part.max()), -int(part.min())) < 1 << 26
        sums = np.add.reduceat(part * part, np.arange(0, part.size, 1 << 10))
        total += sum(sums.tolist())
    return isqrt(total)
