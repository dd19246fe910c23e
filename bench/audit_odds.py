"""How likely audits by lot find a cheat, and what it costs it, by exact formulas.

A cheat forges some of its segments in every round, and lists distances as it likes: half of the lots go by them.
Nothing is assumed about it but that it keeps to that; about auditors, that they look: what colluding ones change is
`seen_share`.
"""

from dataclasses import dataclass
from math import ceil, log

from chain.genesis import Params
from chain.money import NEURO

CERTAIN = 0.99


@dataclass(frozen=True, slots=True)
class Forgery:
    """What a cheat does in each round."""

    share: float  # of its segments that are forged, and of its work that it saves
    weighted: float  # chance that a lot by distance falls on what a replay contradicts
    uniform: float | None = None  # the same of a uniform lot; None: the share

    @property
    def found_if_drawn(self) -> float:
        """Half of the lots are uniform, half weighted by distance."""
        return ((self.share if self.uniform is None else self.uniform) + self.weighted) / 2


def in_proportion(forged: int, segments: int) -> Forgery:
    """All segments list the same distance."""
    return _forgery(forged, [1] * segments)


def hidden(forged: int, segments: int) -> Forgery:
    """What is forged lists no distance, and one honest segment all: nothing is drawn less often."""
    return _forgery(forged, [0] * (segments - 1) + [1]) if forged < segments else in_proportion(forged, segments)


def exposed(forged: int, segments: int) -> Forgery:
    """What is forged lists all of the distance, as it must if it carries the payload."""
    return _forgery(forged, [1] * forged + [0] * (segments - forged))


def everywhere(forged: int, segments: int) -> Forgery:
    """Whichever segment is drawn contradicts it, such as by a wrong distance."""
    return Forgery(forged / segments, 1.0, 1.0)


def _forgery(forged: int, distances: list[int]) -> Forgery:
    """The first `forged` segments are. The rule of lots by distance: none weighs less than the mean distance."""
    segments, total = len(distances), sum(distances)
    weights = [max(segments * distance, total) for distance in distances]
    return Forgery(forged / segments, sum(weights[:forged]) / sum(weights))


@dataclass(frozen=True, slots=True)
class Terms:
    """What the ledger says about it."""

    warmup: int  # passes at rate 1
    steady: float
    floor_from: int  # passes
    floor: float
    vest_rounds: int
    lost_rounds: int  # whose pay a node loses that is drawn on a forged segment: the least of what it can choose
    pay: float  # NEURO for a whole round

    def rate(self, passes: int) -> float:
        if passes < self.warmup:
            return 1.0
        return self.steady if passes < self.floor_from else self.floor


def terms_of(params: Params, lost_rounds: int | None = None) -> Terms:
    """The terms of a network. Without `lost_rounds`: all that vest."""
    return Terms(
        params.audit_warmup_rounds,
        params.audit_steady_basis_points / 10_000,
        params.audit_floor_rounds,
        params.audit_floor_basis_points / 10_000,
        params.vest_rounds,
        params.vest_rounds if lost_rounds is None else lost_rounds,
        params.inner_steps * params.rate_batch_nanos / NEURO,
    )


def rounds_until(chance: float, wanted: float = CERTAIN) -> int:
    """Rounds until a cheat that is found with this chance in each has been found with the wanted one."""
    return 1 if chance >= 1 else ceil(log(1 - wanted) / log(1 - chance))


def seen_share(own_power: float, second: float) -> float:
    """Chance that not all auditors of a draw are the cheat's own, which hold this share of the power."""
    return 1 - (1 - second) * own_power - second * own_power**2


# ---- A veteran: it has worked honestly until its vesting is full, and then forges until it is found


def veteran_ratio(forgery: Forgery, rate: float, terms: Terms) -> float:
    """What a round costs it on average, over what it saves. Saved work is worth what it pays: it can be worth no more.

    What was released before it is found is counted as won: it loses only what vests then. It is not counted that it
    loses stake, because who shows nothing keeps that; nor that it may not work for a while.
    """
    return rate * forgery.found_if_drawn * terms.lost_rounds / forgery.share


def veteran_profit(forgery: Forgery, rate: float, terms: Terms) -> float:
    """NEURO a round more than honest work would leave it."""
    return forgery.share * terms.pay * (1 - veteran_ratio(forgery, rate, terms))


# ---- A sleeper: it works honestly for some rounds, with 0 from the first one on, then forges until it is found


@dataclass(frozen=True, slots=True)
class Life:
    """Of a node from its first forged round until it is found, on average."""

    rounds: float  # of forging
    lost: float  # rounds whose pay it never gets, honest ones before among them
    saved: float  # rounds of work

    @property
    def ratio(self) -> float:
        return self.lost / self.saved


def sleeper(forgery: Forgery, honest_rounds: int, terms: Terms) -> Life:
    """Exactly, over what its audits may have been until then."""
    passes = _honest_passes(honest_rounds, terms)
    expected = _rounds_left(forgery.found_if_drawn, terms)
    rounds = sum(chance * expected[place] for place, chance in enumerate(passes))
    lost = float(min(honest_rounds, terms.lost_rounds))
    for _ in range(max(0, terms.lost_rounds - honest_rounds)):
        lost += sum(passes)  # not found before this round
        passes = _after_round(passes, forgery.found_if_drawn, terms)
    return Life(rounds, lost, forgery.share * rounds)


def _after_round(passes: list[float], found: float, terms: Terms) -> list[float]:
    """Chances of so many passes after one more round in which the node was not found."""
    after = [0.0] * len(passes)
    for place, chance in enumerate(passes):
        drawn = chance * terms.rate(place)
        after[place] += chance - drawn
        after[min(place + 1, len(passes) - 1)] += drawn * (1 - found)
    return after


def _honest_passes(rounds: int, terms: Terms) -> list[float]:
    passes = [1.0] + [0.0] * terms.floor_from
    for _ in range(rounds):
        passes = _after_round(passes, 0.0, terms)
    return passes


def _rounds_left(found: float, terms: Terms) -> list[float]:
    """Expected rounds until a node with so many passes is found."""
    left = [1 / (terms.floor * found)] * (terms.floor_from + 1)
    for place in range(terms.floor_from - 1, -1, -1):
        left[place] = 1 / terms.rate(place) + (1 - found) * left[place + 1]
    return left


# ---- Auditors


def lazy_chance(params: Params) -> float:
    """How likely one verdict of an auditor that never looks is a fault: what the ledger finds by planted segments.

    Only those who look first cannot know the secret; whoever follows on a planted segment replays the true data, and
    then a pass is no fault. So of 1 + p verdicts p are found out. An audit must end passed for that: the node keeps its
    promise, and somebody else is eligible and answers.
    """
    planted = params.plant_basis_points / 10_000
    return planted / (1 + planted)


def lazy_ratio(params: Params, stake: float) -> float:
    """What a verdict without a replay costs an auditor on average, over what the replay would have cost it."""
    fine = lazy_chance(params) * params.audit_fault_basis_points / 10_000 * stake
    return fine / (params.segment_steps * params.rate_batch_nanos / NEURO)
