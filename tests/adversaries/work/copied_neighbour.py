"""Publishes what another node published in the round before, with states invented on a straight line to it."""

from dataclasses import dataclass, field

import numpy as np

from chain.state import NodeRecord, Round
from tests.adversaries.work.cheat import Cheat
from tests.audits.trainer import Trainer
from training.blocks import UNITS_PER_ONE
from training.inner import InnerState
from training.payload import decode_payload


@dataclass
class CopiedNeighbour(Cheat):
    neighbour: Trainer | None = field(default=None, repr=False)

    def states(self, current: Round, record: NodeRecord) -> list[InnerState]:
        assert self.neighbour is not None
        published = self.neighbour.work.get(current.number - 1)
        if published is None:
            return super().states(current, record)
        begun = self.begin(current, record)
        sizes, params = self.school.learning.fragment_sizes, self.school.params
        way = -(decode_payload(published.payload, sizes) / UNITS_PER_ONE).astype(np.float32)
        last = published.states[-1]
        states = [begun]
        for segment in range(1, params.segments + 1):
            theta = begun.theta + way * np.float32(segment / params.segments)
            states.append(InnerState(theta, last.m, last.v, segment * params.segment_steps, begun.v_steps))
        return states

    def cheated(self, current: Round) -> frozenset[int]:
        assert self.neighbour is not None
        return super().cheated(current) if current.number - 1 in self.neighbour.work else frozenset()
