"""What cheats of the work have in common: the segments in which they cheat."""

from dataclasses import dataclass

from chain.state import Round
from tests.audits.trainer import Trainer


@dataclass
class Cheat(Trainer):
    """A node that cheats in some of its segments, by default in all. Its inner steps are not counted as training."""

    segments: frozenset[int] | None = None
    purpose = "cheating"

    def cheats_in(self, segment: int) -> bool:
        return self.segments is None or segment in self.segments

    def cheated(self, current: Round) -> frozenset[int]:
        """The segments that a replay contradicts."""
        return frozenset(each for each in range(self.school.params.segments) if self.cheats_in(each))
