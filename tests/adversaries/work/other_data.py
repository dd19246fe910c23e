"""Reads other text of the corpus than the draw says: always the same, which learns fast and teaches nothing."""

from dataclasses import dataclass

from tests.adversaries.work.cheat import Cheat
from tests.audits.school import Batch, Draw


@dataclass
class OtherData(Cheat):
    def batch(self, draw: Draw, step: int) -> Batch:
        if not self.cheats_in(step // self.school.params.segment_steps):
            return draw(step)
        return self.school.draw(bytes(32), self.key.node)(0)
