"""Trains from the model of the round before, so that it can begin early; only its first segment shows it.

It says that its first segment went as far as the others: what was said truly would draw the audit there.
"""

from dataclasses import dataclass, replace

from chain.block import Outcome
from chain.state import NodeRecord, Round
from tests.adversaries.work.cheat import Cheat
from training.inner import InnerState


@dataclass
class StaleBase(Cheat):
    newest: Outcome | None = None
    stale: Outcome | None = None

    def begin(self, current: Round, record: NodeRecord) -> InnerState:
        if self.newest != current.base:
            self.newest, self.stale = current.base, self.newest
        honest = super().begin(current, record)
        return honest if self.stale is None else replace(honest, theta=self.school.weights(self.stale))

    def cheated(self, current: Round) -> frozenset[int]:
        return frozenset() if self.stale is None else frozenset({0})
