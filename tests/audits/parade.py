"""A village with every cheat in it, beside three honest nodes, at one rate of audits and without second chances lost.

Nobody is suspended for longer than the round in which it is convicted, so that it cheats again in the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.adversaries.work.suite import a_cheat
from tests.audits.people import a_node, a_school, a_village
from tests.audits.trainer import Trainer
from tests.audits.village import Village

EVER = 1_000_000  # rounds
HONEST = 2


@dataclass
class Parade:
    village: Village
    honest: list[Trainer]
    cheats: dict[str, Trainer]


def a_parade(names: Sequence[str], rate_basis_points: int, rounds: int, seed: int = 0) -> Parade:
    """Run it. Another seed gives other keys, and so other lots."""
    school = a_school(
        audit_warmup_rounds=0,
        audit_steady_basis_points=rate_basis_points,
        audit_floor_rounds=EVER,
        suspension_rounds=0,
        vest_rounds=40,
    )
    honest = [a_node(school, f"honest {place} of {seed}") for place in range(HONEST)]
    cheats = {name: a_cheat(school, name, honest[0], seed) for name in names}
    village = a_village(school, [*honest, *cheats.values()])
    return Parade(village.run(rounds), honest, cheats)
