"""Does not train at all: its states are random steps of a likely size."""

from dataclasses import dataclass, replace

import numpy as np

from chain.state import Round
from tests.adversaries.work.cheat import Cheat
from tests.audits.school import Draw
from training.inner import InnerState


@dataclass
class InventedStates(Cheat):
    def segment(self, before: InnerState, current: Round, segment: int, draw: Draw) -> InnerState:
        if not self.cheats_in(segment):
            return super().segment(before, current, segment, draw)
        chance = np.random.default_rng([*self.key.node[:4], current.number, segment])
        step = chance.standard_normal(before.theta.size).astype(np.float32)
        steps = self.school.params.segment_steps
        return replace(
            before,
            theta=before.theta + np.float32(0.003) * step,
            m=np.float32(0.01) * step,
            v=np.float32(0.0001) * step * step,
            steps_done=before.steps_done + steps,
        )
