"""Blocks of 256 numbers with one scale each: the layout that payloads (4-bit) and aggregates (8-bit) share.

Numbers are integers in units of 2^-24. A block is stored as one scale, mantissa * 2^exponent, and 256 signed codes;
number = code * mantissa * 2^exponent. After a 12-byte header (magic, u64 little-endian count of numbers) each fragment
has all its scales (mantissa u8, exponent u8), then all its codes. Its last block is padded with zeros.

Everything here is integers, or single IEEE operations on exact inputs, so every machine gives the same bytes. Work goes
chunk by chunk: beyond inputs and outputs, memory is a few MiB whatever the size of the model.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from mmap import mmap

import numpy as np
from numpy.typing import NDArray

from training.errors import PayloadError, TrainingError

BLOCK = 256
UNITS_PER_ONE = 2.0**24
EXPONENT_LIMIT = 15
MANTISSA_LIMIT = 255
# A scale with an exponent above zero has a mantissa of at least 128, or a smaller exponent would have served.
NORMAL_MANTISSA = 128
HEADER_BYTES = 12
# 256 blocks are 512 KiB of doubles: a chunk and its temporaries stay in a core's cache.
CHUNK_BLOCKS = 256

# Bytes, or a file's without reading it whole.
Encoded = bytes | mmap
Codes = NDArray[np.int8]
Doubles = NDArray[np.float64]
Integers = NDArray[np.int32]
Scales = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class BlockFormat:
    """One way to write codes."""

    magic: bytes
    code_limit: int
    block_bytes: int


PAYLOAD = BlockFormat(b"NSP1", code_limit=7, block_bytes=BLOCK // 2)
AGGREGATE = BlockFormat(b"NSA1", code_limit=127, block_bytes=BLOCK)

# Both nibbles of every byte as signed codes, low nibble first; a 16-bit entry holds the two bytes in memory order.
_NIBBLES = np.arange(256, dtype=np.int64)[:, None] >> np.array([0, 4]) & 15
_CODE_PAIRS = ((_NIBBLES ^ 8) - 8).astype(np.int8).view(np.int16).ravel()


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some consecutive blocks of one fragment: numbers [start, stop) of the flat vector, and where their bytes lie."""

    fragment: int
    first_block: int
    blocks: int
    start: int
    stop: int
    scales_at: int
    codes_at: int


def block_count(size: int) -> int:
    """How many blocks a fragment of `size` numbers takes."""
    return -(-size // BLOCK)


def encoded_size(form: BlockFormat, fragment_sizes: Sequence[int]) -> int:
    """Bytes of the encoding of fragments of these sizes."""
    assert all(size > 0 for size in fragment_sizes), "an empty fragment has no place in a model"
    return HEADER_BYTES + sum(block_count(size) * (2 + form.block_bytes) for size in fragment_sizes)


def header(form: BlockFormat, fragment_sizes: Sequence[int]) -> bytes:
    """Magic and count of numbers, 12 bytes."""
    return form.magic + sum(fragment_sizes).to_bytes(8, "little")


def check_header(form: BlockFormat, encoded: Encoded, fragment_sizes: Sequence[int]) -> None:
    """Raise PayloadError unless length, magic and count are those of this model."""
    wanted = encoded_size(form, fragment_sizes)
    if len(encoded) != wanted:
        raise PayloadError(f"{wanted} bytes wanted, {len(encoded)} found")
    if encoded[:HEADER_BYTES] != header(form, fragment_sizes):
        raise PayloadError(f"header {header(form, fragment_sizes).hex()} wanted, {encoded[:HEADER_BYTES].hex()} found")


def chunks(form: BlockFormat, fragment_sizes: Sequence[int]) -> Iterator[Chunk]:
    """All blocks in order, at most CHUNK_BLOCKS at a time, never across a fragment's end."""
    start, at = 0, HEADER_BYTES
    for fragment, size in enumerate(fragment_sizes):
        blocks = block_count(size)
        codes_at = at + 2 * blocks
        for first in range(0, blocks, CHUNK_BLOCKS):
            count = min(CHUNK_BLOCKS, blocks - first)
            yield Chunk(
                fragment=fragment,
                first_block=first,
                blocks=count,
                start=start + first * BLOCK,
                stop=start + min(size, (first + count) * BLOCK),
                scales_at=at + 2 * first,
                codes_at=codes_at + first * form.block_bytes,
            )
        start += size
        at = codes_at + blocks * form.block_bytes


def choose_scales(form: BlockFormat, peaks: Doubles) -> tuple[Scales, Scales]:
    """Mantissa and exponent per block for the largest magnitudes `peaks` >= 0 (any finite double, units of 2^-24).

    With A = ceil(peak): the least exponent e for which m = ceil(A / (limit * 2^e)) is at most 255. Beyond
    limit * 255 * 2^15 the scale saturates at m = 255, e = 15. A = 0 gives m = 0.
    """
    reach = form.code_limit * MANTISSA_LIMIT
    # Everything beyond the reach is alike, so capping keeps the integers small.
    ceilings = np.minimum(np.ceil(peaks), (reach << EXPONENT_LIMIT) + 1).astype(np.int64)
    limits = np.array([reach << e for e in range(EXPONENT_LIMIT)], dtype=np.int64)
    exponents = np.searchsorted(limits, ceilings, side="left")
    mantissas = -(-ceilings // (form.code_limit << exponents))
    return np.minimum(mantissas, MANTISSA_LIMIT), exponents


def quantise(form: BlockFormat, units: Doubles) -> tuple[Scales, Scales, Codes]:
    """Scales and codes of `units` (blocks, 256), exact doubles in units of 2^-24, which is overwritten.

    code = rint(fl64(number / (m * 2^e))), ties to even, clamped to the limit. It equals the rounding of the exact
    quotient: numbers have at most 26 significant bits and steps 8, so a quotient that is no tie is at least 2^-28 away
    from one, far more than a double's rounding. A block whose codes are all zero gets the one zero scale. A number that
    is not finite raises PayloadError.
    """
    peaks = np.maximum(units.max(axis=1), -units.min(axis=1))
    if not np.isfinite(peaks).all():
        raise PayloadError("a number that is not finite has no encoding")
    mantissas, exponents = choose_scales(form, peaks)
    steps = np.maximum(mantissas << exponents, 1).astype(np.float64)
    # Rounding keeps order, so a block is all zeros exactly if its largest number rounds to zero.
    zero = np.rint(peaks / steps) == 0
    mantissas[zero] = 0
    exponents[zero] = 0
    np.divide(units, steps[:, None], out=units)
    np.rint(units, out=units)
    np.clip(units, -form.code_limit, form.code_limit, out=units)
    return mantissas, exponents, units.astype(np.int8)


def write_chunk(form: BlockFormat, out: bytearray, chunk: Chunk, scales: tuple[Scales, Scales], codes: Codes) -> None:
    """Write the scales and codes (blocks, 256) of a chunk at their place in `out`."""
    target = np.frombuffer(out, dtype=np.uint8)
    pairs = target[chunk.scales_at : chunk.scales_at + 2 * chunk.blocks].reshape(-1, 2)
    pairs[:, 0], pairs[:, 1] = scales
    raw = codes.reshape(-1).view(np.uint8)
    if form is PAYLOAD:
        raw = np.bitwise_or(raw[0::2] & 15, raw[1::2] << 4, dtype=np.uint8)
    target[chunk.codes_at : chunk.codes_at + raw.size] = raw


def read_chunk(form: BlockFormat, encoded: Encoded, chunk: Chunk) -> tuple[Scales, Scales, Codes]:
    """Scales and codes (blocks, 256) of a chunk of bytes that passed `check_header`.

    Raises PayloadError on anything `write_chunk` after `quantise` cannot write: there is one encoding of a scale and
    one of a zero block.
    """
    pairs = np.frombuffer(encoded, np.uint8, 2 * chunk.blocks, chunk.scales_at).reshape(-1, 2)
    mantissas, exponents = pairs.T.astype(np.int64)
    raw = np.frombuffer(encoded, np.uint8, chunk.blocks * form.block_bytes, chunk.codes_at)
    codes = (_CODE_PAIRS[raw].view(np.int8) if form is PAYLOAD else raw.view(np.int8)).reshape(-1, BLOCK)
    zero = raw.reshape(-1, form.block_bytes).max(axis=1) == 0

    _refuse(chunk, exponents > EXPONENT_LIMIT, f"exponent above {EXPONENT_LIMIT}")
    _refuse(
        chunk, (exponents > 0) & (mantissas < NORMAL_MANTISSA), f"mantissa below {NORMAL_MANTISSA} with an exponent"
    )
    _refuse(chunk, (mantissas == 0) & ~zero, "mantissa 0 with a code that is not 0")
    _refuse(chunk, (mantissas > 0) & zero, "a mantissa with codes that are all 0")
    if codes.min() < -form.code_limit:
        _refuse(chunk, codes.min(axis=1) < -form.code_limit, f"code below -{form.code_limit}")
    if codes.reshape(-1)[chunk.stop - chunk.start :].any():
        raise PayloadError(f"fragment {chunk.fragment}: padding that is not 0")
    return mantissas, exponents, codes


def read_numbers(form: BlockFormat, encoded: Encoded, chunk: Chunk) -> Integers:
    """The numbers of a chunk, (stop - start,), units of 2^-24. |number| <= limit * 255 * 2^15 < 2^30."""
    mantissas, exponents, codes = read_chunk(form, encoded, chunk)
    steps = (mantissas << exponents).astype(np.int32)
    return np.multiply(codes, steps[:, None], dtype=np.int32).reshape(-1)[: chunk.stop - chunk.start]


def padded_doubles(chunk: Chunk) -> Doubles:
    """A zeroed place (blocks, 256) for a chunk's numbers as doubles."""
    return np.zeros((chunk.blocks, BLOCK), dtype=np.float64)


def require_ieee_arithmetic() -> None:
    """Raise TrainingError if this thread flushes denormals or does not round to nearest even.

    Some libraries switch the processor to such a mode when loaded; the weights would then differ from all others'.
    """
    least = np.full(1, 2.0**-149, dtype=np.float32)
    ones = np.ones(1, dtype=np.float64)
    kept = least.astype(np.float64)[0] == 2.0**-149 and (ones * 2.0**-149).astype(np.float32)[0] == least[0]
    nearest = all(
        (sign * ones + sign * ulps * 2.0**-53)[0] == sign * (1 + rounded * 2.0**-53)
        for sign in (1.0, -1.0)
        for ulps, rounded in ((1.0, 0), (3.0, 4))
    )
    if not (kept and nearest):
        raise TrainingError("this thread flushes denormal numbers or does not round to nearest even")


def _refuse(chunk: Chunk, wrong: NDArray[np.bool_], reason: str) -> None:
    if wrong.any():
        block = chunk.first_block + int(wrong.argmax())
        raise PayloadError(f"fragment {chunk.fragment}, block {block}: {reason}")
