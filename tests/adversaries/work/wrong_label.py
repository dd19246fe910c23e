"""Gets one token of one batch of a segment wrong: the least that can be done."""

from dataclasses import dataclass

from tests.adversaries.work.cheat import Cheat
from tests.audits.school import Batch, Draw


@dataclass
class WrongLabel(Cheat):
    def batch(self, draw: Draw, step: int) -> Batch:
        batch = draw(step)
        if step % self.school.params.segment_steps == 0 and self.cheats_in(step // self.school.params.segment_steps):
            # The last token of a sequence is a label only; every other is read as well.
            batch[0, -1] = (batch[0, -1] + 1) % self.school.learning.model.vocabulary
        return batch
