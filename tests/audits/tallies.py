"""How often a cheat was caught, against how often it should have been."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

from tests.audits.trainer import Trainer
from tests.audits.village import Village

CAUGHT = ("fraud", "withheld")


@dataclass(frozen=True)
class Tally:
    """Of some rounds of some nodes: lots drawn, the sum of their chances, and what came of them."""

    lots: int = 0
    expected: float = 0.0
    variance: float = 0.0
    caught: int = 0
    drawn: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.lots + other.lots,
            self.expected + other.expected,
            self.variance + other.variance,
            self.caught + other.caught,
            self.drawn + other.drawn,
        )

    @property
    def deviations(self) -> float:
        """Standard deviations between what was seen and what was predicted."""
        return (self.caught - self.expected) / sqrt(self.variance) if self.variance else 0.0

    @property
    def power(self) -> float:
        """Standard deviations that a rate off by a third would make."""
        return self.expected / 3 / sqrt(self.variance) if self.variance else float("inf")


def tally(village: Village, node: Trainer) -> Tally:
    """All rounds of a node in which it stood to be audited and that are settled."""
    total = Tally()
    for lot in village.lots:
        watched = village.audits.get((lot.round, lot.node))
        if lot.node != node.key.node or (watched is not None and not watched.outcome):
            continue
        caught = watched is not None and watched.outcome in CAUGHT
        variance = lot.chance * (1 - lot.chance)
        total += Tally(1, lot.chance, variance, int(caught), int(watched is not None))
    return total


def total(tallies: Iterable[Tally]) -> Tally:
    return sum(tallies, Tally())
