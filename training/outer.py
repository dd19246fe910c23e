"""The outer step: what turns a round's payloads into the next model, bit for bit the same on every machine.

Start reading at `outer_step`. Let g be the numbers of the aggregate and v the momentum, both integers in units of
2^-24; rate and momentum factor (mu) in thousandths. Then, coordinate by coordinate (Nesterov momentum, as in
Sutskever et al., ICML 2013, and as the outer optimizer of DiLoCo, arXiv 2311.08105):

    v' = rdiv(mu * v, 1000) + g            rdiv: integer division, round half to even
    s  = rate * (1000 * g + mu * v')       units of 2^-24 / 10^6
    W' = fl32(fl64(W) - fl64(s / 10^6) * 2^-24)

Nothing overflows, whatever rates follow one another. With G = 2^26, |g| <= G - 1 (`aggregate.read_aggregate`) and
mu <= 960: if |v| <= 25 G then |mu * v| < 2^41 and |v'| <= 0.96 * 25 G + 1/2 + G - 1 < 25 G, and v begins at 0. So v
always fits 32 bits (25 G < 2^31). With rate <= 2000, |s| <= 2000 * (1000 G + 960 * 25 G) < 3.4 * 10^15 < 2^53: s fits
64 bits, is exact as a double, and s / 10^6 is one correctly rounded division.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.aggregate import NUMBER_LIMIT, read_aggregate, trimmed_mean, weighted_sum
from training.blocks import AGGREGATE, UNITS_PER_ONE, Encoded, check_header, chunks, require_ieee_arithmetic
from training.errors import PayloadError, TrainingError
from training.gram import gram_matrix
from training.pages import MerkleRoot, TaggedHash, model_root, pages_root
from training.robust import CLIP_TRUST, LENGTH_EIGHTHS_LIMIT, MEAN, Merge, RobustSpec, merge
from training.rounding import divide_half_even
from training.trust import Party, Trust, trust_bytes

RATE_LIMIT_MILLI = 2000
MOMENTUM_LIMIT_MILLI = 960
MOMENTUM_LIMIT_UNITS = 25 * NUMBER_LIMIT


@dataclass(frozen=True, slots=True, eq=False)
class OuterState:
    """What one round hands to the next.

    weights: float32 (parameters,), all fragments in order. momentum: int32 (parameters,), units of 2^-24.
    aggregate: the last accepted aggregate's bytes, empty before the first round. trust: one record per known node.
    """

    weights: NDArray[np.float32]
    momentum: NDArray[np.int32]
    aggregate: bytes = b""
    trust: tuple[Trust, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """A counted payload: whose it is (32 bytes), its bytes, and the inner steps behind it (at least 1)."""

    node: bytes
    payload: Encoded
    steps: int


@dataclass(frozen=True, slots=True)
class OuterRate:
    """The outer learning rate and momentum factor of rounds with at least `from_payloads` payloads."""

    from_payloads: int
    rate_milli: int
    momentum_milli: int

    def __post_init__(self) -> None:
        if not (0 <= self.rate_milli <= RATE_LIMIT_MILLI and 0 <= self.momentum_milli <= MOMENTUM_LIMIT_MILLI):
            raise TrainingError(
                f"outer rate {self.rate_milli} and momentum {self.momentum_milli} thousandths; "
                f"at most {RATE_LIMIT_MILLI} and {MOMENTUM_LIMIT_MILLI} are allowed"
            )


@dataclass(frozen=True, slots=True)
class OuterSpec:
    """How payloads become the next state, as genesis states it."""

    round_steps: int  # H
    rates: tuple[OuterRate, ...]
    rule: int = CLIP_TRUST
    length_eighths: int = 7

    def __post_init__(self) -> None:
        if not (MEAN <= self.rule <= CLIP_TRUST and 0 <= self.length_eighths <= LENGTH_EIGHTHS_LIMIT):
            raise TrainingError(f"rule {self.rule} or length exponent {self.length_eighths} eighths is not known")

    @property
    def robust(self) -> RobustSpec:
        return RobustSpec(self.rule, self.round_steps, self.length_eighths)


@dataclass(frozen=True, slots=True)
class OuterRoots:
    """The hashes of an outer state. All but `model_root` and `outer_root` are those of blobs."""

    model_root: bytes
    weights_root: bytes
    momentum_root: bytes
    aggregate_root: bytes
    trust_root: bytes
    outer_root: bytes


def genesis_state(weights: NDArray[np.float32]) -> OuterState:
    """The state before the first round: the weights as born, at rest."""
    assert weights.dtype == np.float32 and weights.ndim == 1
    return OuterState(weights, np.zeros(weights.size, dtype=np.int32))


def outer_step(
    state: OuterState, entries: Sequence[Entry], fragment_sizes: Sequence[int], spec: OuterSpec
) -> OuterState:
    """Return the state after a round that counted these payloads, in any order: the same state for every order.

    Two passes over the payloads, chunk by chunk. Raises PayloadError if one is bad; `state` stays.
    """
    accepted = combine(state.trust, entries, fragment_sizes, spec.robust)
    return apply_aggregate(state, accepted, fragment_sizes, rate_for(spec.rates, len(entries)))


def combine(
    trust: Sequence[Trust], entries: Sequence[Entry], fragment_sizes: Sequence[int], spec: RobustSpec
) -> tuple[bytes, tuple[Trust, ...]]:
    """The aggregate of a round, and the record of trust after it. Raises PayloadError."""
    ordered = sorted(entries, key=lambda entry: entry.node)
    parties = [Party(entry.node, entry.steps) for entry in ordered]
    payloads = [entry.payload for entry in ordered]
    if not parties or len({party.node for party in parties}) < len(parties):
        raise PayloadError(f"{len(parties)} payloads: a round needs one, and at most one of each node")
    if not all(1 <= party.steps <= spec.round_steps for party in parties):
        raise PayloadError(f"steps {[party.steps for party in parties]}: a round has 1 to {spec.round_steps}")
    found = merge(gram_matrix(payloads, fragment_sizes), parties, trust, spec)
    return merged(payloads, found, fragment_sizes), found.trust


def merged(payloads: Sequence[Encoded], found: Merge, fragment_sizes: Sequence[int]) -> bytes:
    """The aggregate, by what a rule found. Raises PayloadError."""
    if found.coefficients:
        return weighted_sum(payloads, found.coefficients, fragment_sizes)
    return trimmed_mean(payloads, found.ratios, found.trim, fragment_sizes)


def rate_for(rates: Sequence[OuterRate], payloads: int) -> OuterRate:
    """The entry with the greatest `from_payloads` that `payloads` reaches. TrainingError if none does."""
    reached = [rate for rate in rates if rate.from_payloads <= payloads]
    if not reached:
        raise TrainingError(f"no outer rate is given for {payloads} payloads")
    return max(reached, key=lambda rate: rate.from_payloads)


def apply_aggregate(
    state: OuterState, accepted: tuple[bytes, tuple[Trust, ...]], fragment_sizes: Sequence[int], rate: OuterRate
) -> OuterState:
    """Return the state after a round whose aggregate and record of trust are known: all that a plain trainer computes.

    Raises PayloadError on bad bytes, and TrainingError if the momentum is out of the range that rounds can reach.
    """
    assert state.weights.shape == state.momentum.shape == (sum(fragment_sizes),)
    aggregate, trust = accepted
    check_header(AGGREGATE, aggregate, fragment_sizes)
    require_ieee_arithmetic()
    weights = np.empty_like(state.weights)
    momentum = np.empty_like(state.momentum)
    for chunk in chunks(AGGREGATE, fragment_sizes):
        here = slice(chunk.start, chunk.stop)
        gradient = read_aggregate(aggregate, chunk).astype(np.int64)
        velocity = divide_half_even(rate.momentum_milli * state.momentum[here].astype(np.int64), 1000) + gradient
        if max(int(velocity.max()), -int(velocity.min())) > MOMENTUM_LIMIT_UNITS:
            raise TrainingError(f"fragment {chunk.fragment}: momentum beyond {MOMENTUM_LIMIT_UNITS} units")
        step = rate.rate_milli * (1000 * gradient + rate.momentum_milli * velocity)
        move = step.astype(np.float64) / 1e6 * (1 / UNITS_PER_ONE)
        weights[here] = state.weights[here].astype(np.float64) - move
        momentum[here] = velocity
    return OuterState(weights, momentum, aggregate, trust)


def roots(
    state: OuterState, fragment_sizes: Sequence[int], merkle_root: MerkleRoot, tagged_hash: TaggedHash
) -> OuterRoots:
    """All roots of an outer state."""
    model = model_root(state.weights, fragment_sizes, merkle_root)
    weights = pages_root(state.weights, merkle_root)
    momentum = pages_root(state.momentum, merkle_root)
    aggregate = pages_root(state.aggregate, merkle_root)
    trust = pages_root(trust_bytes(state.trust), merkle_root)
    return OuterRoots(
        model_root=model,
        weights_root=weights,
        momentum_root=momentum,
        aggregate_root=aggregate,
        trust_root=trust,
        outer_root=tagged_hash("outer-state", model, weights, momentum, aggregate, trust),
    )
