"""One machine trains, two nodes claim it. As it is, or with one weight nudged so that the payloads differ."""

from dataclasses import dataclass, field, replace

import numpy as np

from chain.state import NodeRecord, Round
from tests.adversaries.work.cheat import Cheat
from tests.audits.trainer import Trainer
from training.inner import InnerState


@dataclass
class SharedWork(Cheat):
    """The second node. The first one stands before it in the village, and is honest."""

    first: Trainer | None = field(default=None, repr=False)
    nudged: bool = False

    def states(self, current: Round, record: NodeRecord) -> list[InnerState]:
        assert self.first is not None
        # It may claim to have begun with its own moments only: the ledger knows them.
        states = [self.begin(current, record), *self.first.work[current.number].states[1:]]
        if not self.nudged:
            return states
        last = states[-1]
        theta = last.theta.copy()
        theta[0] += np.float32(0.01)
        return [*states[:-1], replace(last, theta=theta)]
