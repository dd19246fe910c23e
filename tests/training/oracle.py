"""The payload, the aggregate and the outer step again, in Python integers and fractions: slow, and nothing to hide.

No numpy and no code of `training`. Floating point appears only as exact fractions and one function that rounds a
fraction to a binary format, so this also specifies the IEEE operations that the fast code uses.
What makes one vector of many payloads is in `oracle_robust`; `oracle_rounds` records rounds in tests/vectors.
"""

from collections.abc import Sequence
from fractions import Fraction
from hashlib import sha256
from struct import pack, unpack

from tests.training.oracle_robust import Numbers, Records, outer_input, records_bytes

BLOCK = 256
UNIT = Fraction(1, 1 << 24)
MAGIC = {7: b"NSP1", 127: b"NSA1"}
# from_payloads, rate, momentum factor, in thousandths.
RATES = ((1, 1000, 0), (2, 600, 900), (5, 700, 900), (8, 800, 900))

Scaled = tuple[int, int, list[int]]
# weights (single precision, little-endian), momentum, aggregate, records of trust
State = tuple[bytes, list[int], bytes, Records]
# node, steps, payload
Counted = tuple[bytes, int, bytes]


class Refused(Exception):
    """Bytes or numbers that the formats do not allow."""


def rounded(exact: Fraction, digits: int, least_exponent: int) -> Fraction:
    """The nearest number of `digits` significant bits that is a multiple of 2^least_exponent, ties to even."""
    if exact == 0:
        return exact
    size = abs(exact)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    if size < Fraction(2) ** exponent:
        exponent -= 1
    spacing = Fraction(2) ** max(exponent - digits + 1, least_exponent)
    return round(exact / spacing) * spacing


def fl32(exact: Fraction) -> Fraction:
    """Single precision; Refused where it overflows to infinity."""
    result = rounded(exact, 24, -149)
    if abs(result) >= 1 << 128:
        raise Refused("not finite")
    return result


def fl64(exact: Fraction) -> Fraction:
    """Double precision, without overflow."""
    return rounded(exact, 53, -1074)


def floats(raw: bytes) -> list[float]:
    """Little-endian single-precision numbers; Python's floats hold them exactly."""
    return list(unpack(f"<{len(raw) // 4}f", raw))


def scale(peak: Fraction, limit: int) -> tuple[int, int]:
    """Mantissa and exponent for the largest magnitude of a block."""
    ceiling = -(-peak.numerator // peak.denominator)
    for exponent in range(16):
        mantissa = -(-ceiling // (limit << exponent))
        if mantissa <= 255:
            return mantissa, exponent
    return 255, 15


def quantise(units: Sequence[Fraction], limit: int) -> Scaled:
    """One block: mantissa, exponent, codes. Codes come from the exact quotient, as rounding to double changes none."""
    mantissa, exponent = scale(max(abs(number) for number in units), limit)
    step = mantissa << exponent or 1
    codes = []
    for number in units:
        code, exact = (max(-limit, min(limit, round(quotient))) for quotient in (fl64(number / step), number / step))
        assert code == exact
        codes.append(code)
    return (mantissa, exponent, codes) if any(codes) else (0, 0, [0] * BLOCK)


def blocks_of(numbers: Sequence[Fraction], sizes: Sequence[int]) -> list[list[list[Fraction]]]:
    """Per fragment its blocks of 256, the last padded with zeros."""
    fragments, start = [], 0
    for size in sizes:
        own = [*numbers[start : start + size], *[Fraction(0)] * (-size % BLOCK)]
        fragments.append([own[i : i + BLOCK] for i in range(0, len(own), BLOCK)])
        start += size
    return fragments


def write(fragments: Sequence[Sequence[Scaled]], sizes: Sequence[int], limit: int) -> bytes:
    """The bytes of already scaled blocks."""
    out = bytearray(MAGIC[limit] + pack("<Q", sum(sizes)))
    for fragment in fragments:
        for mantissa, exponent, _ in fragment:
            out += bytes((mantissa, exponent))
        for _, _, codes in fragment:
            if limit == 7:
                out += bytes(codes[i] % 16 + 16 * (codes[i + 1] % 16) for i in range(0, BLOCK, 2))
            else:
                out += bytes(code % 256 for code in codes)
    return bytes(out)


def encode(numbers: Sequence[Fraction], sizes: Sequence[int], limit: int) -> bytes:
    """Numbers in units of 2^-24 as a payload (limit 7) or an aggregate (limit 127)."""
    return write([[quantise(block, limit) for block in f] for f in blocks_of(numbers, sizes)], sizes, limit)


def encode_payload(before: Sequence[float], after: Sequence[float], sizes: Sequence[int]) -> bytes:
    """The payload of a round from finite single-precision vectors."""
    deltas = [fl32(Fraction(b) - Fraction(a)) for b, a in zip(before, after, strict=True)]
    return encode([delta / UNIT for delta in deltas], sizes, 7)


def parse(raw: bytes, sizes: Sequence[int], limit: int) -> list[list[Scaled]]:
    """The scaled blocks per fragment, or Refused."""
    block_bytes = 128 if limit == 7 else 256
    counts = [-(-size // BLOCK) for size in sizes]
    if len(raw) != 12 + sum(counts) * (2 + block_bytes) or raw[:12] != MAGIC[limit] + pack("<Q", sum(sizes)):
        raise Refused("length or header")
    fragments, at = [], 12
    for size, count in zip(sizes, counts, strict=True):
        fragment = []
        for block in range(count):
            mantissa, exponent = raw[at + 2 * block], raw[at + 2 * block + 1]
            start = at + 2 * count + block * block_bytes
            codes = unpack_codes(raw[start : start + block_bytes], limit)
            refuse_malformed(mantissa, exponent, codes, size - block * BLOCK, limit)
            fragment.append((mantissa, exponent, codes))
        fragments.append(fragment)
        at += count * (2 + block_bytes)
    return fragments


def unpack_codes(raw: bytes, limit: int) -> list[int]:
    """256 signed codes."""
    if limit == 127:
        return [byte - 256 if byte > 127 else byte for byte in raw]
    nibbles = [nibble for byte in raw for nibble in (byte % 16, byte // 16)]
    return [nibble - 16 if nibble > 7 else nibble for nibble in nibbles]


def refuse_malformed(mantissa: int, exponent: int, codes: Sequence[int], used: int, limit: int) -> None:
    """One encoding per block: scale in range and least, no code below the limit, no padding, one zero block."""
    if exponent > 15 or (exponent > 0 and mantissa < 128):
        raise Refused("scale")
    if min(codes) < -limit or any(codes[max(used, 0) :]) or (mantissa > 0) != any(codes):
        raise Refused("codes")
    if limit == 127 and (mantissa << exponent) * max(abs(code) for code in codes) >= 1 << 26:
        raise Refused("range")


def decode(raw: bytes, sizes: Sequence[int], limit: int) -> list[int]:
    """The numbers, units of 2^-24, or Refused."""
    numbers = []
    for fragment, size in zip(parse(raw, sizes, limit), sizes, strict=True):
        own = [code * (mantissa << exponent) for mantissa, exponent, codes in fragment for code in codes]
        numbers += own[:size]
    return numbers


def moved(weight: float, step: int) -> bytes:
    """fl32(fl64(W) - fl64(s / 10^6) * 2^-24) as 4 bytes, with the sign that IEEE gives a zero."""
    exact = Fraction(weight) - fl64(Fraction(step, 10**6)) * UNIT
    if exact:
        result = float(fl32(fl64(exact)))
        return pack("<f", result if result or exact > 0 else -0.0)
    # Only -0 - 0 is -0; equal numbers cancel to +0.
    return pack("<f", weight if step == 0 else 0.0)


def step(state: State, counted: Sequence[Counted], sizes: Sequence[int], numbers: Numbers) -> State:
    """The state after a round that counted these payloads."""
    weights, momentum, _, records = state
    combined, records = outer_input(
        [(node, steps, decode(payload, sizes, 7)) for node, steps, payload in counted], records, numbers
    )
    aggregate = encode([Fraction(number) for number in combined], sizes, 127)
    rate = max(entry for entry in RATES if entry[0] <= len(counted))[1:]
    return *apply(weights, momentum, decode(aggregate, sizes, 127), rate), aggregate, records


def apply(
    weights: bytes, momentum: Sequence[int], gradient: Sequence[int], rate: tuple[int, int]
) -> tuple[bytes, list[int]]:
    """Weights and momentum after Nesterov's step with this rate and factor, in thousandths."""
    learning, factor = rate
    velocity = [round(Fraction(factor * old, 1000)) + g for old, g in zip(momentum, gradient, strict=True)]
    steps = (learning * (1000 * g + factor * v) for g, v in zip(gradient, velocity, strict=True))
    return b"".join(moved(weight, step) for weight, step in zip(floats(weights), steps, strict=True)), velocity


def tagged(name: str, *parts: bytes) -> bytes:
    """SHA-256 under a length-prefixed domain tag."""
    tag = f"neuroshard/{name}/1".encode()
    return sha256(bytes([len(tag)]) + tag + b"".join(parts)).digest()


def tree(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962, as its text says it: split at the largest power of two below the number of leaves."""
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\x01" + tree(leaves[:split]) + tree(leaves[split:])).digest()


def pages_root(raw: bytes) -> bytes:
    """Zero for zeros, else the tree over 1 MiB pages."""
    return tree([raw[i : i + (1 << 20)] for i in range(0, len(raw), 1 << 20)]) if any(raw) else bytes(32)


def model_root(weights: bytes, sizes: Sequence[int]) -> bytes:
    """The tree over the trees over each fragment's 1 KiB leaves."""
    fragment_roots, start = [], 0
    for size in sizes:
        own = weights[4 * start : 4 * (start + size)]
        fragment_roots.append(tree([own[i : i + 1024] for i in range(0, len(own), 1024)]))
        start += size
    return tree(fragment_roots)


def outer_root(state: State, sizes: Sequence[int]) -> bytes:
    """The commitment to an outer state."""
    weights, momentum, aggregate, records = state
    parts = weights, pack(f"<{len(momentum)}i", *momentum), aggregate, records_bytes(records)
    return tagged("outer-state", model_root(weights, sizes), *[pages_root(part) for part in parts])
