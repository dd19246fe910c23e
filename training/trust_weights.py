"""What a payload may weigh in a round, from what is remembered of its node: integers only.

Start reading at `weights`. A payload claims by its steps, its merit in this round, and its node's standing in the
rounds before. A node counted in fewer than NEWCOMER_ROUNDS rounds is a newcomer and has no past; newcomers jointly
weigh at most a tenth, unless all are newcomers.
"""

from collections.abc import Sequence

from training.agreement import UNIT, standing
from training.trust import Party, Trust

ONE = 1 << 30
NEWCOMER_ROUNDS = 3
NEWCOMER_DIVISOR = 10  # newcomers jointly weigh at most ONE // 10


def weights(parties: Sequence[Party], merits: Sequence[int], trust: Sequence[Trust]) -> list[int]:
    """The weight of each party, units of 2^-30; together exactly 1.

    No party weighs more than 1.5 / n, but where so few known nodes claim anything that the rest needs more room: then
    those share it alike. If no known node claims anything, they claim by their steps.
    """
    records = {record.node: record for record in trust if record.rounds >= NEWCOMER_ROUNDS}
    known = [place for place, party in enumerate(parties) if party.node in records]
    newcomers = [place for place, party in enumerate(parties) if party.node not in records]
    pasts = [standing(records[party.node].score) if party.node in records else UNIT for party in parties]
    claims = [party.steps * merit * past for party, merit, past in zip(parties, merits, pasts, strict=True)]
    cap = 3 * ONE // (2 * len(parties))
    found = [0] * len(parties)
    left = ONE
    if known:
        if not any(claims[place] for place in known):
            for place in known:
                claims[place] = parties[place].steps * UNIT * UNIT
        new_claims = [claims[place] for place in newcomers]
        room = min(ONE * sum(new_claims) // sum(claims), ONE // NEWCOMER_DIVISOR, cap * len(newcomers))
        given = share(room, new_claims, cap)
        for place, weight in zip(newcomers, given, strict=True):
            found[place] = weight
        left -= sum(given)
    rest = known or newcomers
    for place, weight in zip(rest, share(left, [claims[place] for place in rest], cap), strict=True):
        found[place] = weight
    return found


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
