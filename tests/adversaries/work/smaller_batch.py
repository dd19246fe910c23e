"""Trains on half of every batch."""

from dataclasses import dataclass

from tests.adversaries.work.cheat import Cheat
from tests.audits.school import Batch, Draw


@dataclass
class SmallerBatch(Cheat):
    def batch(self, draw: Draw, step: int) -> Batch:
        batch = draw(step)
        return batch[: len(batch) // 2] if self.cheats_in(step // self.school.params.segment_steps) else batch
