"""Trains honestly but for one segment, which carries the payload where the liar wants it, twenty times as far.

`told` is what it says of that: the truth, which draws the audit there; nothing, and then the payload is longer than its
path, so that nobody attests it; or the truth spread over all segments, and then every one of them contradicts it.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from chain.state import Round
from tests.adversaries.work.cheat import Cheat
from tests.audits.school import Draw
from training.inner import InnerState

TIMES = 20


@dataclass
class HugeSegment(Cheat):
    told: Literal["truth", "hidden", "spread"] = "truth"
    place = 1

    def segment(self, before: InnerState, current: Round, segment: int, draw: Draw) -> InnerState:
        after = super().segment(before, current, segment, draw)
        return (
            replace(after, theta=before.theta + TIMES * (before.theta - after.theta))
            if segment == self.place
            else after
        )

    def distances(self, moved: list[float]) -> tuple[int, ...]:
        honest = [each for segment, each in enumerate(moved) if segment != self.place]
        match self.told:
            case "hidden":
                moved = [
                    each if segment != self.place else float(np.mean(honest)) for segment, each in enumerate(moved)
                ]
            case "spread":
                moved = [sum(moved) / len(moved)] * len(moved)
        return super().distances(moved)

    def cheated(self, current: Round) -> frozenset[int]:
        return frozenset(range(self.school.params.segments)) if self.told == "spread" else frozenset({self.place})
