"""Cheats with friends among the validators: how often they are caught, and how often they should be.

All validators have the same power here, so a share of the power is a share of the draws.
"""

from tests.adversaries.work.colluding_pair import Accomplice
from tests.adversaries.work.invented_states import InventedStates
from tests.audits.people import a_node, a_school, a_village, an_auditor
from tests.audits.tallies import CAUGHT, Tally
from tests.builders import a_key

CHEATS, EVER = 4, 1_000_000


def collusion(accomplices: int, honest: int, rounds: int, seed: int = 0, plant_basis_points: int = 500) -> Tally:
    """Of cheats that are always audited, by `honest` validators (a founder among them) and by their friends."""
    school = a_school(
        audit_warmup_rounds=EVER,
        audit_floor_rounds=EVER,
        suspension_rounds=0,
        plant_basis_points=plant_basis_points,
    )
    cheats = [InventedStates(school, a_key(f"cheat {k} of {seed}"), a_key(f"wallet {k}")) for k in range(CHEATS)]
    friends = [an_auditor(school, f"friend {k}", Accomplice, friends=cheats) for k in range(accomplices)]
    for each in friends:
        each.fellows = friends
    village = a_village(school, [a_node(school, "honest"), *cheats], friends, accomplices + honest - 1).run(rounds)
    assert not village.named("AuditFault", "Jailed")
    of_cheats = {cheat.key.node for cheat in cheats}
    found = Tally()
    for watched in village.audits.values():
        if watched.node in of_cheats and watched.outcome:
            planted = plant_basis_points / 10_000 if watched.round > 1 else 0.0  # the first round has no secret yet
            chance = detection(accomplices, honest, planted, school.params.audit_second_basis_points / 10_000)
            found += Tally(1, chance, chance * (1 - chance), int(watched.outcome in CAUGHT), 1)
    return found


def detection(friends: int, honest: int, planted: float, second: float) -> float:
    """How likely an audit of a forged segment convicts, if friends pass what they can pass unpunished.

    Somebody honest has to look at the true data order: in the first attempt, or after a planted one in the second. And
    the honest have to be more than two thirds in the dispute that follows.
    """
    if not honest > 2 * friends:
        return 0.0
    everybody = friends + honest
    missed = (1 - planted) * _only_friends(friends, everybody, second)
    for number, share in ((1, 1 - second), (2, second)):
        for known in range(number + 1):
            drawn = _drawn(friends, everybody, number, known)
            missed += planted * share * drawn * _only_friends(friends - known, everybody - number, second)
    return 1 - missed


def _only_friends(friends: int, everybody: int, second: float) -> float:
    return (1 - second) * _drawn(friends, everybody, 1, 1) + second * _drawn(friends, everybody, 2, 2)


def _drawn(friends: int, everybody: int, number: int, known: int) -> float:
    """How likely so many of one or two drawn are friends."""
    first = friends / everybody
    if number == 1:
        return first if known else 1 - first
    both = first * max(0, friends - 1) / (everybody - 1)
    neither = (1 - first) * max(0, everybody - friends - 1) / (everybody - 1)
    return (neither, 1 - both - neither, both)[known]
