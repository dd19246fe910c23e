"""How the payloads of a round become one: exact rules on the matrix of their inner products, in Python integers.

Start reading at `merge`. Payloads come in the order of their nodes' ids. A rule never sees a model: it says by what to
multiply each payload, in units of 2^-30, and the aggregate is one weighted sum afterwards; or it says how many numbers
of each coordinate to trim.

    n = 1          the payload
    n = 2          the mean, weighted by steps
    n = 3          the median of each coordinate
    n >= 4         the network's rule; f = n // 4 liars are allowed for

1 trimmed_mean       the mean of each coordinate without the max(1, f) largest and smallest
2 krum               the payload with the least sum of squared distances to its n - f - 2 nearest others;
                     the median if n < 2f + 3
3 coordinate_median  the median of each coordinate
4 clip_trust         all payloads at the median norm, weighted by steps, by how far each agrees with the others
                     (`training.agreement`), and by what is remembered of its node (`training.trust_weights`)
0 mean               the mean, weighted by steps; for experiments, no network may choose it

A payload with s of H steps is first made longer by (H / s)^(e / 8), as the length of a delta grows with the steps. With
clip_trust the aggregate is a mean of vectors no longer than the median norm, so it is no longer itself, whatever a liar
sends. All ties go to the lowest node id.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

from training.agreement import Agreement, Matrix
from training.trust import Party, Trust, remember
from training.trust_weights import ONE, share, weights

MEAN, TRIMMED_MEAN, KRUM, COORDINATE_MEDIAN, CLIP_TRUST = range(5)
RULE_NAMES = ("mean", "trimmed_mean", "krum", "coordinate_median", "clip_trust")
RATIO_ONE = 1 << 16
# The weighted sum must fit 64 bits.
RATIO_LIMIT = 16 * RATIO_ONE
LENGTH_EIGHTHS_LIMIT = 8
LONGER_LIMIT = 4


@dataclass(frozen=True, slots=True)
class RobustSpec:
    """The numbers of the rule: which, the steps of a whole round (H), and the exponent of a delta's length (e)."""

    rule: int
    round_steps: int
    length_eighths: int


@dataclass(frozen=True, slots=True)
class Merge:
    """What to do with the numbers of the payloads, and what is remembered of the round.

    Either the aggregate is the sum of the payloads times `coefficients` (units of 2^-30), or `coefficients` is empty
    and it is, coordinate by coordinate, the mean of the payloads times `ratios` (units of 2^-16) without the `trim`
    largest and smallest.
    """

    coefficients: tuple[int, ...]
    ratios: tuple[int, ...]
    trim: int
    trust: tuple[Trust, ...]


def merge(gram: Matrix, parties: Sequence[Party], trust: Sequence[Trust], spec: RobustSpec) -> Merge:
    """The merge of n >= 1 payloads from the n by n matrix of their inner products; parties ascend by node id."""
    n = len(parties)
    assert len(gram) == n and [each.node for each in parties] == sorted({each.node for each in parties})
    if n == 1:
        return Merge((ONE,), (RATIO_ONE,), 0, remember(trust, parties, [None], [10**6]))
    agreement = Agreement.of(gram)
    ratios = [length_ratio(party.steps, spec) for party in parties]
    scales = [ratio * ONE // RATIO_ONE for ratio in ratios]
    parts = share(ONE, [party.steps for party in parties], ONE)
    rule, trim = _rule_and_trim(n, spec.rule)
    if rule == CLIP_TRUST:
        scales = even_scales(gram, ratios)
        parts = weights(parties, agreement.merits(), trust)
    elif rule == KRUM:
        chosen = krum_choice(gram, scales)
        parts = [ONE if place == chosen else 0 for place in range(n)]
    by_coordinate = rule in (TRIMMED_MEAN, COORDINATE_MEDIAN)
    coefficients = [part * scale // ONE for part, scale in zip(parts, scales, strict=True)]
    millionths = [part * 10**6 // ONE for part in parts]
    after = remember(trust, parties, agreement.scores(), millionths)
    return Merge(() if by_coordinate else tuple(coefficients), tuple(ratios), trim, after)


def _rule_and_trim(n: int, rule: int) -> tuple[int, int]:
    """The rule for n payloads, and how many numbers of each coordinate it trims on either side."""
    liars = n // 4
    if rule == MEAN or n == 2:
        return MEAN, 0
    if n == 3 or rule == COORDINATE_MEDIAN or (rule == KRUM and n < 2 * liars + 3):
        return COORDINATE_MEDIAN, (n - 1) // 2
    return rule, max(1, liars) if rule == TRIMMED_MEAN else 0


def length_ratio(steps: int, spec: RobustSpec) -> int:
    """(H / steps)^(e / 8), units of 2^-16, rounded down; at most 16. An eighth root is three square roots."""
    exponent = spec.length_eighths
    power = (spec.round_steps**exponent << 128) // steps**exponent
    return min(isqrt(isqrt(isqrt(power))), RATIO_LIMIT)


def even_scales(gram: Matrix, ratios: Sequence[int]) -> list[int]:
    """What brings each payload to the median norm, units of 2^-30; at most four times its ratio, and at most 16.

    Norms count after lengthening by the ratios; of an even number the lower one in the middle.
    """
    squares = [ratio * ratio * gram[place][place] for place, ratio in enumerate(ratios)]
    median = sorted(squares)[(len(squares) - 1) // 2]
    scales = []
    for place, ratio in enumerate(ratios):
        exact = isqrt((median << 28) // gram[place][place]) if gram[place][place] else 0
        scales.append(min(exact, ratio * LONGER_LIMIT << 14, RATIO_LIMIT << 14))
    return scales


def krum_choice(gram: Matrix, scales: Sequence[int]) -> int:
    """Of payloads times scales, the one with the least sum of squared distances to its n - f - 2 nearest others."""
    n = len(gram)
    closest = n - n // 4 - 2
    products = [[scales[i] * scales[j] * gram[i][j] for j in range(n)] for i in range(n)]
    sums = []
    for i in range(n):
        squares = [products[i][i] - 2 * products[i][j] + products[j][j] for j in range(n) if j != i]
        sums.append(sum(sorted(squares)[:closest]))
    return sums.index(min(sums))
