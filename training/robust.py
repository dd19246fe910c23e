"""How the payloads of a round become one: exact rules on the matrix of their inner products, in Python integers.

Start reading at `merge`. Payloads come in the order of their nodes' ids; the last accepted aggregate, the *centre*, is
the last row and column of the matrix, and absent in the first round. Every vector is a combination of these, written as
a *row* of whole numbers in units of 2^-30, so a rule never sees a model: the aggregate is one weighted sum afterwards.

    n = 1          the payload
    n = 2          the mean, weighted by steps
    n = 3          the median of each coordinate
    n >= 4         the network's rule; f = n // 4 liars are allowed for

1 trimmed_mean       the mean of each coordinate without the max(1, f) largest and smallest
2 krum               the payload with the least sum of squared distances to its n - f - 2 nearest others;
                     the median if n < 2f + 3
3 coordinate_median  the median of each coordinate
4 clip_trust         the steps of `_clip_trust`
0 mean               the mean, weighted by steps; for experiments, no network may choose it

A payload with s of H steps is first made longer by (H / s)^(e / 8), as the length of a delta grows with the steps.
All rounding is towards zero, all ties go to the lowest node id.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from operator import mul

from training.trust import Party, Trust, remember
from training.trust_weights import ONE, share, weights

MEAN, TRIMMED_MEAN, KRUM, COORDINATE_MEDIAN, CLIP_TRUST = range(5)
RULE_NAMES = ("mean", "trimmed_mean", "krum", "coordinate_median", "clip_trust")
RATIO_ONE = 1 << 16
# The weighted sum must fit 64 bits.
RATIO_LIMIT = 16 * RATIO_ONE
LENGTH_EIGHTHS_LIMIT = 8
CLIPPINGS = 3
COSINE_ONE = 1 << 16

Row = list[int]
Matrix = Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True)
class RobustSpec:
    """The numbers of the rule: which, the steps of a whole round (H), and the exponent of a delta's length (e)."""

    rule: int
    round_steps: int
    length_eighths: int


@dataclass(frozen=True, slots=True)
class Merge:
    """What to do with the numbers of the payloads, and what is remembered of the round.

    Either the aggregate is the sum of payloads and centre times `coefficients` (units of 2^-30), or `coefficients` is
    empty and it is, coordinate by coordinate, the mean of the payloads times `ratios` (units of 2^-16) without the
    `trim` largest and smallest.
    """

    coefficients: tuple[int, ...]
    ratios: tuple[int, ...]
    trim: int
    trust: tuple[Trust, ...]


def merge(gram: Matrix, parties: Sequence[Party], trust: Sequence[Trust], spec: RobustSpec) -> Merge:
    """The merge of n >= 1 payloads: `gram` is n by n, or n + 1 with the centre last; parties ascend by node id."""
    n = len(parties)
    assert len(gram) in (n, n + 1) and [each.node for each in parties] == sorted({each.node for each in parties})
    ratios = [length_ratio(party.steps, spec) for party in parties]
    by_steps = share(ONE, [party.steps for party in parties], ONE)
    if n == 1:
        return Merge((ONE, *[0] * (len(gram) - 1)), (RATIO_ONE,), 0, remember(trust, parties, [None], [10**6]))
    scales = clipped_scales(gram, ratios)
    products = scaled(gram, scales)
    rule, trim = _rule_and_trim(n, spec.rule)
    row, counted = by_steps, by_steps
    if rule == CLIP_TRUST:
        row = counted = _clip_trust(products, weights(parties, trust))
    else:
        scales = [ratio * ONE // RATIO_ONE for ratio in ratios]
    if rule == KRUM:
        counted = [0] * n
        counted[krum_choice(scaled(gram, scales), n)] = ONE
        row = counted
    cosines = cosines_with_the_others(products, row if rule == CLIP_TRUST else by_steps, n)
    ppm = [weight * 10**6 // ONE for weight in counted[:n]]
    coefficients = () if rule in (TRIMMED_MEAN, COORDINATE_MEDIAN) else _over_payloads(row, scales, len(gram))
    return Merge(coefficients, tuple(ratios), trim, remember(trust, parties, cosines, ppm))


def _rule_and_trim(n: int, rule: int) -> tuple[int, int]:
    """The rule for n payloads, and how many numbers of each coordinate it trims on either side."""
    liars = n // 4
    median = (COORDINATE_MEDIAN, (n - 1) // 2)
    if rule == MEAN or n == 2:
        return MEAN, 0
    if n == 3 or rule == COORDINATE_MEDIAN or (rule == KRUM and n < 2 * liars + 3):
        return median
    return rule, max(1, liars) if rule == TRIMMED_MEAN else 0


def _over_payloads(row: Row, scales: Sequence[int], size: int) -> tuple[int, ...]:
    """A row over scaled payloads as one over payloads as published; the centre has no scale."""
    scaled_part = [weight * scale // ONE for weight, scale in zip(row, scales, strict=False)]
    return (*scaled_part, *row[len(scales) :], *[0] * (size - max(len(row), len(scales))))


def length_ratio(steps: int, spec: RobustSpec) -> int:
    """(H / steps)^(e / 8), units of 2^-16, rounded down; at most 16. An eighth root is three square roots."""
    exponent = spec.length_eighths
    power = (spec.round_steps**exponent << 128) // steps**exponent
    return min(isqrt(isqrt(isqrt(power))), RATIO_LIMIT)


def clipped_scales(gram: Matrix, ratios: Sequence[int]) -> list[int]:
    """By what each payload is multiplied, units of 2^-30: its ratio, or less where its norm then exceeds the median.

    Of an even number of norms the lower one in the middle counts.
    """
    squares = [ratio * ratio * gram[place][place] for place, ratio in enumerate(ratios)]
    median = sorted(squares)[(len(squares) - 1) // 2]
    return [
        ratio << 14 if square <= median else isqrt((median << 28) // gram[place][place])
        for place, (ratio, square) in enumerate(zip(ratios, squares, strict=True))
    ]


def scaled(gram: Matrix, scales: Sequence[int]) -> list[Row]:
    """The inner products of payloads times their scales, and of the centre if there is one; units of 2^-60."""
    every = [*scales, *[ONE] * (len(gram) - len(scales))]
    return [
        [scale * other * number for other, number in zip(every, line, strict=True)]
        for scale, line in zip(every, gram, strict=True)
    ]


def _clip_trust(products: list[Row], parts: Sequence[int]) -> Row:
    """The row of the aggregate over clipped payloads and centre: neighbours mixed, then clipped around the centre.

    All rows have no negative number and sum to at most 1: the aggregate lies among payloads clipped to the median norm
    and the centre, whatever a liar sends.
    """
    n = len(parts)
    rows = mixed(nearest(products, n, n - n // 4), parts, len(products))
    start = [0] * n + [ONE] if len(products) > n else rows[medoid(rows, products)]
    return clipped_around(start, rows, products, parts)


def nearest(products: Matrix, n: int, count: int) -> list[list[int]]:
    """For each payload the `count` nearest, itself among them."""
    found = []
    for place in range(n):
        distances = [squared_distance(products, place, other) for other in range(n)]
        found.append(sorted(range(n), key=lambda other: (other != place, distances[other], other))[:count])
    return found


def squared_distance(products: Matrix, one: int, other: int) -> int:
    """Of two payloads, by their inner products."""
    return products[one][one] - 2 * products[one][other] + products[other][other]


def mixed(neighbours: Sequence[Sequence[int]], parts: Sequence[int], size: int) -> list[Row]:
    """For each payload the mean of its neighbours by weight: who weighs nothing is in no mean but perhaps its own."""
    rows = []
    for place, near in enumerate(neighbours):
        row = [0] * size
        claims = [parts[other] for other in near]
        for other, part in zip(near, share(ONE, claims, ONE), strict=True):
            row[other] = part
        if not any(claims):
            row[place] = ONE
        rows.append(row)
    return rows


def medoid(rows: Sequence[Row], products: Matrix) -> int:
    """The row with the least sum of distances to all rows."""
    images = [_times(products, row) for row in rows]
    squares = [_dot(row, image) for row, image in zip(rows, images, strict=True)]
    sums = [
        sum(
            isqrt(max(0, squares[one] - 2 * _dot(rows[other], images[one]) + squares[other]))
            for other in range(len(rows))
        )
        for one in range(len(rows))
    ]
    return sums.index(min(sums))


def clipped_around(start: Row, rows: Sequence[Row], products: Matrix, parts: Sequence[int]) -> Row:
    """Centered clipping (arXiv 2012.10333): three times, go by the weighted mean of the clipped ways to all rows.

    The radius is the median distance; of an even number the lower one in the middle.
    """
    images = [_times(products, row) for row in rows]
    squares = [_dot(row, image) for row, image in zip(rows, images, strict=True)]
    centre = start
    for _ in range(CLIPPINGS):
        own = _dot(centre, _times(products, centre))
        distances = [square - 2 * _dot(centre, image) + own for square, image in zip(squares, images, strict=True)]
        radius = sorted(distances)[(len(rows) - 1) // 2]
        pulls = [
            part * (ONE if distance <= radius else isqrt((radius << 60) // distance))
            for part, distance in zip(parts, distances, strict=True)
        ]
        stay = (ONE << 30) - sum(pulls)
        columns = zip(centre, *rows, strict=True)
        centre = [(stay * column[0] + _dot(pulls, column[1:])) >> 60 for column in columns]
    return centre


def krum_choice(products: Matrix, n: int) -> int:
    """The payload with the least sum of squared distances to its n - f - 2 nearest others."""
    closest = n - n // 4 - 2
    sums = [
        sum(sorted(squared_distance(products, place, other) for other in range(n) if other != place)[:closest])
        for place in range(n)
    ]
    return sums.index(min(sums))


def cosines_with_the_others(products: Matrix, row: Sequence[int], n: int) -> list[int | None]:
    """The cosine of each payload with the weighted sum of all others, without the centre, units of 2^-16.

    A payload of zeros has 0; None if the others sum to zero. Scored against the last aggregate a liar could repeat it.
    """
    part = [*row[:n], *[0] * (len(products) - n)]
    image = _times(products, part)
    whole = _dot(part, image)
    found: list[int | None] = []
    for place in range(n):
        own, square = part[place], products[place][place]
        inner = image[place] - own * square
        rest = whole - 2 * own * image[place] + own * own * square
        found.append(None if rest == 0 else _cosine(inner, square * rest))
    return found


def _cosine(inner: int, squares: int) -> int:
    if squares == 0:
        return 0
    cosine = isqrt((inner * inner * COSINE_ONE * COSINE_ONE) // squares)
    return cosine if inner >= 0 else -cosine


def _times(matrix: Matrix, row: Sequence[int]) -> Row:
    return [_dot(line, row) for line in matrix]


def _dot(one: Sequence[int], other: Sequence[int]) -> int:
    return sum(map(mul, one, other))
