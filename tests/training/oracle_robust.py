"""The rules that make one vector of many payloads again, on the vectors themselves, in plain integers.

Written from section 15 of docs/protocol.md. No numpy and no code of `training`. A point is a list of integers; what
the protocol calls a row is here the point that it stands for, in units of 2^-60 times those of the payloads.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import isqrt
from struct import pack

ONE = 2**30
LARGEST = 7 * 255 * 2**15
STANDING = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 6, 6: 8, 7: 8, 8: 8}

Point = list[int]
# score, counted rounds, rounds of absence, weight in millionths
Records = dict[bytes, tuple[int, int, int, int]]
# node, steps, numbers
Counted = tuple[bytes, int, Point]
# rule, steps of a round, eighths of the length's exponent
Numbers = tuple[int, int, int]


def outer_input(
    counted: Sequence[Counted], before: Point | None, records: Records, numbers: Numbers
) -> tuple[Point, Records]:
    """The integers that are then encoded as the aggregate, and the records after the round."""
    entries = sorted(counted)
    n = len(entries)
    nodes, steps, payloads = ([entry[part] for entry in entries] for part in range(3))
    if n == 1:
        return payloads[0], remembered(records, nodes, [None], [10**6])
    rule, trim = rule_for(numbers[0], n)
    ratios = [ratio(each, numbers[1], numbers[2]) for each in steps]
    scales = clip(payloads, ratios)
    points = [[scale * value for value in payload] for scale, payload in zip(scales, payloads, strict=True)]
    by_steps = divided(ONE, steps, ONE)
    reference = weighed = by_steps
    if rule == "clip_trust":
        parts, of_centre = clip_trust(points, before, weights(nodes, steps, records))
        reference = weighed = parts
        factors = [part * scale // ONE for part, scale in zip(parts, scales, strict=True)]
        found = rounded_sum([*payloads, before or [0] * len(payloads[0])], [*factors, of_centre])
    elif rule == "sorted":
        found = sorted_mean(payloads, ratios, trim)
    else:
        if rule == "krum":
            chosen = krum([[r * value for value in payload] for r, payload in zip(ratios, payloads, strict=True)])
            weighed = [ONE if place == chosen else 0 for place in range(n)]
        found = rounded_sum(payloads, [part * r // 2**16 for part, r in zip(weighed, ratios, strict=True)])
    cosines = [cosine(place, points, reference) for place in range(n)]
    return found, remembered(records, nodes, cosines, [part * 10**6 // ONE for part in weighed])


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


def clip(payloads: Sequence[Point], ratios: Sequence[int]) -> list[int]:
    """Multipliers, units of 2^-30."""
    longer = [norm2([r * value for value in payload]) for r, payload in zip(ratios, payloads, strict=True)]
    middle = lower_median(longer)
    scales = []
    for r, payload, length in zip(ratios, payloads, longer, strict=True):
        scales.append(r * 2**14 if length <= middle else isqrt(middle * 2**28 // norm2(payload)))
    return scales


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


def weights(nodes: Sequence[bytes], steps: Sequence[int], records: Mapping[bytes, tuple[int, int, int, int]]) -> Point:
    """By trust and steps."""
    n, cap = len(nodes), 3 * ONE // (2 * len(nodes))
    known = [place for place in range(n) if records.get(nodes[place], (0, 0))[1] >= 3]
    fresh = [place for place in range(n) if place not in known]
    claims = [8 * each for each in steps]
    if known:
        middle = lower_median([records[nodes[place]][0] for place in known])
        for place in known:
            if middle > 0:
                claims[place] = steps[place] * STANDING[max(0, min(8, 8 * records[nodes[place]][0] // middle))]
    found, rest = [0] * n, ONE
    if known:
        wanted = int(Fraction(ONE * sum(claims[place] for place in fresh), sum(claims)))
        allowed = min(wanted, ONE // 10, len(fresh) * cap)
        for place, part in zip(fresh, divided(allowed, [claims[each] for each in fresh], cap), strict=True):
            found[place] = part
        rest -= allowed
    others = known or fresh
    for place, part in zip(others, divided(rest, [claims[each] for each in others], cap), strict=True):
        found[place] = part
    return found


def combined(points: Sequence[Point], parts: Sequence[int]) -> Point:
    """The sum of points times parts."""
    return [
        sum(part * value for part, value in zip(parts, column, strict=True)) for column in zip(*points, strict=True)
    ]


def clip_trust(points: list[Point], before: Point | None, parts: Sequence[int]) -> tuple[list[int], int]:
    """What each clipped payload weighs, and the last aggregate, in units of 2^-30."""
    n = len(points)
    f = n // 4
    axes = [*points, [ONE * value for value in before]] if before is not None else points
    rows = []
    for place in range(n):
        order = sorted(range(n), key=lambda other: (other != place, between(points[place], points[other]), other))
        near = order[: n - f]
        row = [0] * len(axes)
        for other, part in zip(near, divided(ONE, [parts[each] for each in near], ONE), strict=True):
            row[other] = part
        if not any(parts[other] for other in near):
            row[place] = ONE
        rows.append(row)
    mixtures = [combined(axes, row) for row in rows]
    if before is not None:
        at = [0] * n + [ONE]
    else:
        sums = [sum(isqrt(between(one, other)) for other in mixtures) for one in mixtures]
        at = rows[sums.index(min(sums))]
    for _ in range(3):
        here = combined(axes, at)
        distances = [between(mixture, here) for mixture in mixtures]
        radius = lower_median(distances)
        pulls = []
        for part, distance in zip(parts, distances, strict=True):
            pulls.append(part * (ONE if distance <= radius else isqrt(radius * 2**60 // distance)))
        at = [
            int(Fraction(own * ONE**2 + sum(p * (row[axis] - own) for p, row in zip(pulls, rows, strict=True)), ONE**2))
            for axis, own in enumerate(at)
        ]
    return at[:n], at[n] if before is not None else 0


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


def cosine(place: int, points: Sequence[Point], parts: Sequence[int]) -> int | None:
    """With the sum of the others by these parts, 2^-16."""
    others = [0 if other == place else part for other, part in enumerate(parts)]
    reference = combined(points, others)
    if not any(reference):
        return None
    if not any(points[place]):
        return 0
    inner = sum(a * b for a, b in zip(points[place], reference, strict=True))
    size = isqrt(2**32 * inner * inner // (norm2(points[place]) * norm2(reference)))
    return size if inner >= 0 else -size


def remembered(
    records: Records, nodes: Sequence[bytes], cosines: Sequence[int | None], millionths: Sequence[int]
) -> Records:
    """After the round."""
    found = {node: (score, rounds, absent + 1, 0) for node, (score, rounds, absent, _) in records.items()}
    for node, now, weight in zip(nodes, cosines, millionths, strict=True):
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
