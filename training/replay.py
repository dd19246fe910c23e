"""Replaying a segment of somebody else's round, and telling rounding from cheating.

Two honest machines never end in quite the same state: sums come in another order. What they end in is compared by

    theta       the weights
    m / sqrt(v) what AdamW would step by: m alone could hide a number whose v is next to nothing, and the next
                segment would blow up the weight there without any fault of its own
    v           the second moments

each as ||x - x'|| <= tolerance * ||x' - x_before||: relative to how far the auditor's own replay moved. So nothing is
relative to a number that the audited node chose, and having done nothing is always a distance of 1. All sums are taken
in 64 bits, part by part.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray

from training.errors import PayloadError, ReplayError
from training.inner import EPSILON, InnerLoop, InnerState
from training.model import FlatVector, read_flat
from training.payload import encode_payload
from training.round import Draw

BILLION = 1_000_000_000
# Where a segment hardly moves, the last bit of the numbers themselves is more than the tolerance.
ROUNDING = 2.0**-24
# But what is forgiven as rounding stays below that part of the way, so that nobody passes who stood still.
FORGIVEN = 0.25
UNITS_PER_ONE = 1 << 24
DISTANCE_TOLERANCE = 1e-6
# Numbers that are in memory as 64-bit floats at a time.
PART = 1 << 20

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Tolerances:
    """The largest relative distances of honest replays: chain.tolerance_*_billionths."""

    theta_billionths: int
    m_billionths: int
    v_billionths: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far a claimed state is from the replayed one, relative to how far the segment moved; inf if not finite."""

    theta: float
    m: float
    v: float
    within: bool


# What everybody who invents a state finds.
NOT_A_STATE = Comparison(inf, inf, inf, within=False)


def read_vector(blob: bytes | bytearray | memoryview | None, count: int) -> FlatVector:
    """A vector of `count` fp32 from little-endian bytes; None is all zeros. Raises ReplayError for another length."""
    if blob is None:
        return np.zeros(count, dtype=np.float32)
    if len(blob) != 4 * count:
        raise ReplayError(f"{len(blob)} bytes are no vector of {count} numbers, which has {4 * count}")
    return np.frombuffer(blob, dtype="<f4").astype(np.float32)


def is_state(state: InnerState) -> bool:
    """Whether all numbers are finite and no second moment is negative: what training can leave behind."""
    finite = all(bool(np.isfinite(vector).all()) for vector in (state.theta, state.m, state.v))
    return finite and not bool((state.v < 0).any())


def replay_segment(
    loop: InnerLoop,
    before: InnerState,
    draw: Draw,
    round_number: int,
    steps: int,
    on_weights: Callable[[FlatVector], None] | None = None,
) -> InnerState:
    """The state after `steps` steps from `before`, whose place in the round is its `steps_done`.

    `on_weights` is handed a copy of the weights after every step. `before` may be anything: numbers that are not
    finite spread, and `compare` refuses them.
    """
    assert before.steps_done + steps <= loop.spec.round_steps
    loop.restore(before)
    for _ in range(steps):
        loop.step(draw(loop.steps_done), round_number)
        if on_weights is not None:
            on_weights(read_flat(loop.model))
    return loop.state()


def compare(before: InnerState, claimed: InnerState, replayed: InnerState, tolerances: Tolerances) -> Comparison:
    """How far `claimed` is from `replayed`, both reached from `before`, and whether all three are within bounds."""
    if not (is_state(before) and is_state(claimed) and is_state(replayed)):
        return NOT_A_STATE
    theta, m, v = (_apart(before, claimed, replayed, numbers) for numbers in (_theta, _direction, _v))
    within = (
        theta.within(tolerances.theta_billionths / BILLION)
        and m.within(tolerances.m_billionths / BILLION)
        and v.within(tolerances.v_billionths / BILLION)
    )
    return Comparison(theta.relative, m.relative, v.relative, within)


def distance_holds(before: FlatVector, after: FlatVector, units: int) -> bool:
    """Whether the segment moved the weights by the claimed distance, in units of 2^-24. Nothing not finite did."""
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        return False
    moved = sqrt(sum(_square(_doubles(after, part) - _doubles(before, part)) for part in _parts(after.size)))
    true_units = moved * UNITS_PER_ONE
    return abs(units - true_units) <= 1 + DISTANCE_TOLERANCE * true_units


def payload_linked(base: FlatVector, end: FlatVector, fragment_sizes: Sequence[int], payload: bytes) -> bool:
    """Whether `payload` is the one encoding of the way from the round's model `base` to `end`, to the bit."""
    try:
        return encode_payload(base, end, fragment_sizes) == payload
    except PayloadError:
        return False


@dataclass(frozen=True, slots=True)
class _Away:
    """Euclidean: from claimed to replayed, from before to replayed, and of what was there before."""

    apart: float
    moved: float
    size: float

    @property
    def relative(self) -> float:
        if self.apart == 0:
            return 0.0
        return self.apart / self.moved if self.moved else inf

    def within(self, tolerance: float) -> bool:
        rounding = min(ROUNDING * self.size, FORGIVEN * self.moved)
        return self.apart <= max(tolerance * self.moved, rounding)


# Some numbers of a state as 64-bit floats.
_Part = Callable[[InnerState, slice], Doubles]


def _theta(state: InnerState, part: slice) -> Doubles:
    return _doubles(state.theta, part)


def _direction(state: InnerState, part: slice) -> Doubles:
    return _doubles(state.m, part) / (np.sqrt(_doubles(state.v, part)) + EPSILON)


def _v(state: InnerState, part: slice) -> Doubles:
    return _doubles(state.v, part)


def _apart(before: InnerState, claimed: InnerState, replayed: InnerState, numbers: _Part) -> _Away:
    apart = moved = size = 0.0
    for part in _parts(before.theta.size):
        first, ours = numbers(before, part), numbers(replayed, part)
        apart += _square(numbers(claimed, part) - ours)
        moved += _square(ours - first)
        size += _square(first)
    return _Away(sqrt(apart), sqrt(moved), sqrt(size))


def _parts(count: int) -> list[slice]:
    return [slice(start, min(start + PART, count)) for start in range(0, count, PART)]


def _doubles(vector: FlatVector, part: slice) -> Doubles:
    return vector[part].astype(np.float64)


def _square(numbers: Doubles) -> float:
    return float(np.dot(numbers, numbers))
