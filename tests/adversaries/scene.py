"""What a liar knows when it chooses its payload: everything that the honest nodes did in this round, and the past.

An attack is a pure function from a `Scene` to the deltas that the liars publish. Deltas are float32 vectors of the
whole model, before minus after training, as the payload's encoder takes them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]  # [P]
Vectors = NDArray[np.float32]  # [rows, P]


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One round, as an omniscient liar sees it before it publishes."""

    honest: Vectors  # what the honest nodes publish in this round, one row each
    liars: int
    round_number: int
    rounds: int
    chance: np.random.Generator
    before: Vectors | None = None  # what the honest nodes published in the round before; None in the first
    aggregate: Vector | None = None  # the last accepted aggregate; None in the first round
    progress: Vector | None = None  # what all rounds so far took from the newborn weights; None in the first round
    trained: Vectors | None = None  # what the liars' own training gave, for attacks that train, one row each

    @property
    def mean(self) -> NDArray[np.float64]:
        """The mean of the honest deltas."""
        return self.honest.mean(axis=0, dtype=np.float64)

    @property
    def spread(self) -> NDArray[np.float64]:
        """The standard deviation of the honest deltas, coordinate by coordinate."""
        return self.honest.std(axis=0, dtype=np.float64)

    @property
    def size(self) -> float:
        """The median norm of the honest deltas."""
        return float(np.median(np.linalg.norm(self.honest.astype(np.float64), axis=1)))

    def all_say(self, delta: NDArray[np.float64]) -> Vectors:
        """Every liar publishes this."""
        return np.tile(delta.astype(np.float32), (self.liars, 1))

    def own_training(self) -> Vectors:
        """What the liars' own training gave; only attacks that say so in the suite may ask."""
        assert self.trained is not None and len(self.trained) == self.liars
        return self.trained


Attack = Callable[[Scene], Vectors]
