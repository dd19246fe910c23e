"""The rules that make one vector of many payloads again, on the vectors themselves, in plain integers.

Written from section 15 of docs/protocol.md. No numpy and no code of `training`. A point is a list of integers.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import floor, isqrt
from struct import pack

ONE = 2**30
LARGEST = 7 * 255 * 2**15

Point = list[int]
# score, counted rounds, rounds of absence, weight in millionths
Records = dict[bytes, tuple[int, int, int, int]]
# node, steps, numbers
Counted = tuple[bytes, int, Point]
# rule, steps of a round, eighths of the length's exponent
Numbers = tuple[int, int, int]


def outer_input(counted: Sequence[Counted], records: Records, numbers: Numbers) -> tuple[Point, Records]:
    """The integers that are then encoded as the aggregate, and the records after the round."""
    entries = sorted(counted)
    n = len(entries)
    nodes, steps, payloads = ([entry[part] for entry in entries] for part in range(3))
    if n == 1:
        return payloads[0], remembered(records, nodes, [None], [10**6])
    rule, trim = rule_for(numbers[0], n)
    ratios = [ratio(each, numbers[1], numbers[2]) for each in steps]
    scores, merits = judged(payloads)
    parts = divided(ONE, steps, ONE)
    scales = [r * 2**14 for r in ratios]
    if rule == "clip_trust":
        scales = even(payloads, ratios)
        parts = weights(nodes, [each * merit for each, merit in zip(steps, merits, strict=True)], steps, records)
    elif rule == "krum":
        chosen = krum([[r * value for value in payload] for r, payload in zip(ratios, payloads, strict=True)])
        parts = [ONE if place == chosen else 0 for place in range(n)]
    if rule == "sorted":
        found = sorted_mean(payloads, ratios, trim)
    else:
        found = rounded_sum(payloads, [part * scale // ONE for part, scale in zip(parts, scales, strict=True)])
    return found, remembered(records, nodes, scores, [part * 10**6 // ONE for part in parts])


def rule_for(rule: int, n: int) -> tuple[str, int]:
    """What is done with n payloads, and how many numbers are trimmed on either side."""
    f = n // 4
    if rule == 0 or n == 2:
        return "mean", 0
    if n == 3 or rule == 3 or (rule == 2 and n < 2 * f + 3):
        return "sorted", (n - 1) // 2
    return {1: ("sorted", max(1, f)), 2: ("krum", 0), 4: ("clip_trust", 0)}[rule]


def ratio(steps: int, whole: int, eighths: int) -> int:
    """The greatest r of at most 2^20 with (r / 2^16)^8 <= (whole / steps)^eighths, by halving."""
    low, high = 0, 2**20
    while low < high:
        middle = (low + high + 1) // 2
        if middle**8 * steps**eighths <= 2**128 * whole**eighths:
            low = middle
        else:
            high = middle - 1
    return low


def norm2(point: Point) -> int:
    return sum(value * value for value in point)


def between(one: Point, other: Point) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def lower_median(numbers: Sequence[int]) -> int:
    return sorted(numbers)[(len(numbers) - 1) // 2]


def upper_median(numbers: Sequence[int]) -> int:
    return sorted(numbers)[len(numbers) // 2]


def even(payloads: Sequence[Point], ratios: Sequence[int]) -> list[int]:
    """Multipliers that bring payloads to the median norm, units of 2^-30."""
    middle = lower_median([r * r * norm2(payload) for r, payload in zip(ratios, payloads, strict=True)])
    found = []
    for r, payload in zip(ratios, payloads, strict=True):
        wanted = isqrt(middle * 2**28 // norm2(payload)) if any(payload) else 0
        found.append(min(wanted, 4 * r * 2**14, 2**34))
    return found


def cosine(one: Point, other: Point) -> int:
    """Units of 2^-16, rounded towards zero."""
    if not any(one) or not any(other):
        return 0
    inner = sum(a * b for a, b in zip(one, other, strict=True))
    size = isqrt(inner**2 * 2**32 // (norm2(one) * norm2(other)))
    return size if inner >= 0 else -size


def upto(low: int, number: Fraction, high: int) -> int:
    """Rounded down, then limited."""
    return max(low, min(high, floor(number)))


def judged(payloads: Sequence[Point]) -> tuple[list[int | None], list[int]]:
    """Scores and merits, units of 2^-16."""
    n, one = len(payloads), 2**16
    pairs = {(i, j): cosine(payloads[i], payloads[j]) for i in range(n) for j in range(n) if i != j}
    medians = [upper_median([pairs[i, j] for j in range(n) if j != i]) for i in range(n)]
    usual = lower_median(medians)
    if usual <= 0:
        return [None] * n, [one] * n
    begin = usual + (one - usual) // 4
    scores, merits = [], []
    for i in range(n):
        score = upto(-one, Fraction(one * medians[i], usual), one)
        alike = [
            upto(0, Fraction(one * (pairs[i, j] - begin), one - begin), one) if begin < one else 0
            for j in range(n)
            if j != i
        ]
        scores.append(score)
        merits.append(standing(score) * one // (one + sum(alike)))
    return scores, merits


def standing(score: int) -> int:
    """From a quarter to three quarters of the usual, units of 2^-16."""
    return upto(0, Fraction(score - 2**14, 2**15) * 2**16, 2**16)


def divided(total: int, claims: Sequence[int], cap: int) -> list[int]:
    """In proportion to the claims, none above the cap."""
    those = [place for place, claim in enumerate(claims) if claim > 0]
    if not those:
        return [0] * len(claims)
    cap = max(cap, -(-total // len(those)))
    capped: list[int] = []
    while True:
        free = [place for place in those if place not in capped]
        level = Fraction(total - cap * len(capped), sum(claims[place] for place in free))
        more = [place for place in free if claims[place] * level > cap]
        if not more:
            break
        capped += more
    exact = {place: claims[place] * level for place in free}
    parts = [cap if place in capped else int(exact.get(place, 0)) for place in range(len(claims))]
    for place in sorted(free, key=lambda place: (int(exact[place]) - exact[place], place))[: total - sum(parts)]:
        parts[place] += 1
    return parts


def weights(
    nodes: Sequence[bytes],
    deserved: Sequence[int],
    steps: Sequence[int],
    records: Mapping[bytes, tuple[int, int, int, int]],
) -> Point:
    """By steps times merit, and by the past."""
    n, cap = len(nodes), 3 * ONE // (2 * len(nodes))
    known = [place for place in range(n) if records.get(nodes[place], (0, 0))[1] >= 3]
    fresh = [place for place in range(n) if place not in known]
    claims = [
        own * (standing(records[node][0]) if place in known else 2**16)
        for place, (node, own) in enumerate(zip(nodes, deserved, strict=True))
    ]
    if known and not any(claims[place] for place in known):
        claims = [steps[place] * 2**32 if place in known else claims[place] for place in range(n)]
    found, rest = [0] * n, ONE
    if known:
        wanted = floor(Fraction(ONE * sum(claims[place] for place in fresh), sum(claims)))
        allowed = min(wanted, ONE // 10, len(fresh) * cap)
        for place, part in zip(fresh, divided(allowed, [claims[each] for each in fresh], cap), strict=True):
            found[place] = part
            rest -= part
    others = known or fresh
    for place, part in zip(others, divided(rest, [claims[each] for each in others], cap), strict=True):
        found[place] = part
    return found


def combined(points: Sequence[Point], parts: Sequence[int]) -> Point:
    """The sum of points times parts."""
    return [
        sum(part * value for part, value in zip(parts, column, strict=True)) for column in zip(*points, strict=True)
    ]


def krum(points: Sequence[Point]) -> int:
    """The place of the chosen one."""
    n = len(points)
    closest = n - n // 4 - 2
    sums = []
    for place in range(n):
        distances = [between(points[place], points[other]) for other in range(n) if other != place]
        sums.append(sum(sorted(distances)[:closest]))
    return sums.index(min(sums))


def cut(number: int) -> int:
    return max(-LARGEST, min(LARGEST, number))


def rounded_sum(points: Sequence[Point], factors: Sequence[int]) -> Point:
    """The sum of points times factors of 2^-30."""
    return [cut(round(Fraction(value, ONE))) for value in combined(points, factors)]


def sorted_mean(payloads: Sequence[Point], ratios: Sequence[int], trim: int) -> Point:
    """Of each coordinate the mean of what is left."""
    found = []
    for column in zip(*payloads, strict=True):
        ordered = sorted(r * value for r, value in zip(ratios, column, strict=True))
        left = ordered[trim : len(ordered) - trim]
        found.append(cut(round(Fraction(sum(left), 2**16 * len(left)))))
    return found


def remembered(
    records: Records, nodes: Sequence[bytes], scores: Sequence[int | None], millionths: Sequence[int]
) -> Records:
    """After the round."""
    found = {node: (score, rounds, absent + 1, 0) for node, (score, rounds, absent, _) in records.items()}
    for node, now, weight in zip(nodes, scores, millionths, strict=True):
        score, rounds, *_ = records.get(node, (0, 0, 0, 0))
        if now is not None:
            score = now if score == 0 else (7 * score + now) // 8
        found[node] = (score, min(rounds + 1, 2**32 - 1), 0, weight)
    kept = [(-absent, score, node) for node, (score, _, absent, _) in found.items() if absent < 64]
    return {node: found[node] for _, _, node in sorted(kept)[-4096:]}


def records_bytes(records: Records) -> bytes:
    """The blob."""
    lines = [node + pack("<iIII", *records[node]) for node in sorted(records)]
    return b"NST1" + b"".join(lines) if lines else b""
