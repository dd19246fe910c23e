"""Skips the last step of a segment: with two steps a segment that is half of the work, with 25 a twenty-fifth."""

from dataclasses import dataclass, replace

from chain.state import Round
from tests.adversaries.work.cheat import Cheat
from tests.audits.school import Draw
from training.inner import InnerState


@dataclass
class SkippedSteps(Cheat):
    def segment(self, before: InnerState, current: Round, segment: int, draw: Draw) -> InnerState:
        if not self.cheats_in(segment):
            return super().segment(before, current, segment, draw)
        steps = self.school.params.segment_steps
        after = self.school.train(before, current.number, draw, steps - 1, self.purpose)
        return replace(after, steps_done=before.steps_done + steps)
