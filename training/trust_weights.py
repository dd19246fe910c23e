"""What a payload may weigh in a round, from what is remembered of its node: integers only.

Start reading at `weights`. A node counted in fewer than NEWCOMER_ROUNDS rounds is a newcomer; the others are known.
Known nodes weigh by steps times their standing, a table of their score against the median score of the known ones:
who does as well as the median stands in full, and no score is worth more than that, so there is nothing to win by
agreeing too well. Newcomers weigh by steps, jointly at most a tenth, unless all are newcomers.
"""

from collections.abc import Sequence

from training.trust import Party, Trust

ONE = 1 << 30
NEWCOMER_ROUNDS = 3
NEWCOMER_DIVISOR = 10  # newcomers jointly weigh at most ONE // 10
FULL_STANDING = 8
# Standing by eighths of the median score, rounded down; below 2/8 a payload weighs nothing.
STANDING = (0, 0, 1, 2, 4, 6, 8, 8, FULL_STANDING)


def weights(parties: Sequence[Party], trust: Sequence[Trust]) -> list[int]:
    """The weight of each party, units of 2^-30; together exactly 1.

    No party weighs more than 1.5 / n, but where so few known nodes stand above zero that the rest needs more room:
    then those share it alike.
    """
    records = {record.node: record for record in trust}
    scores = {
        place: records[party.node].score
        for place, party in enumerate(parties)
        if party.node in records and records[party.node].rounds >= NEWCOMER_ROUNDS
    }
    known = list(scores)
    newcomers = [place for place in range(len(parties)) if place not in scores]
    bases = dict(zip(known, standings([scores[place] for place in known]), strict=True))
    claims = {place: parties[place].steps * bases.get(place, FULL_STANDING) for place in range(len(parties))}
    cap = 3 * ONE // (2 * len(parties))
    found = [0] * len(parties)
    left = ONE
    if known:
        natural = ONE * sum(claims[place] for place in newcomers) // sum(claims.values())
        room = min(natural, ONE // NEWCOMER_DIVISOR, cap * len(newcomers))
        for place, weight in zip(newcomers, share(room, [claims[place] for place in newcomers], cap), strict=True):
            found[place] = weight
        left -= room
    rest = known or newcomers
    for place, weight in zip(rest, share(left, [claims[place] for place in rest], cap), strict=True):
        found[place] = weight
    return found


def standings(scores: Sequence[int]) -> list[int]:
    """How known nodes stand, 0 to 8, by score against the median (of an even number: the lower one in the middle)."""
    if not scores:
        return []
    median = sorted(scores)[(len(scores) - 1) // 2]
    if median <= 0:
        return [FULL_STANDING] * len(scores)
    return [STANDING[max(0, min(8 * score // median, len(STANDING) - 1))] for score in scores]


def share(total: int, claims: Sequence[int], cap: int) -> list[int]:
    """`total` split in proportion to the claims, none above the cap: what a cap cuts off goes to the others.

    A cap too low for the total rises to the equal share of those that claim anything. Whole numbers by the largest
    remainder; of equal remainders the earlier one first. The sum is exact unless nobody claims anything.
    """
    claiming = [place for place, claim in enumerate(claims) if claim]
    found = [0] * len(claims)
    if not claiming:
        return found
    cap = max(cap, -(-total // len(claiming)))
    free, left = claiming, total
    while True:
        sum_of_claims = sum(claims[place] for place in free)
        # Not all can be above: their shares sum to `left`, which is at most the sum of their caps.
        above = [place for place in free if claims[place] * left > cap * sum_of_claims]
        if not above:
            break
        for place in above:
            found[place] = cap
        left -= cap * len(above)
        free = [place for place in free if not found[place]]
    for place in free:
        found[place] = claims[place] * left // sum_of_claims
    missing = left - sum(found[place] for place in free)
    by_remainder = sorted(free, key=lambda place: (-(claims[place] * left % sum_of_claims), place))
    for place in by_remainder[:missing]:
        found[place] += 1
    return found
