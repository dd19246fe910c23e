"""States of a past round made again, in the trainer: a power cut, a damaged disk or a careless hand has taken them.

Training is deterministic for a number of threads. So the round is trained again from its base, with the second moments
that it began with, and the states that an audit wants are kept as they come. The number of threads is the one whose
first segment ends in the state that the ledger has.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from node.errors import NodeError
from node.segment_store import Boundary, SegmentStore, Vectors
from node.trainer_messages import Remake
from node.work_log import state_hash
from training.checkpoint import Averages
from training.inner import InnerLoop
from training.round import Draw, SegmentReport, Watch, train_round

THREADS_TRIED = 64


class OtherBits(NodeError):
    """Training again does not lead to the states that this node has proven."""


@dataclass(slots=True)
class Remaking:
    """One round that is trained again. `set_threads` sets torch's."""

    command: Remake
    loop: InnerLoop
    states: SegmentStore
    set_threads: Callable[[int], object]
    is_ending: Callable[[], bool]
    _differs: bool = field(default=False, init=False)

    def run(self, base: NDArray[np.float32], kept: Averages | None, draw: Draw, threads: int) -> None:
        """Raises OtherBits if no number of threads gives the proven states."""
        for count in _numbers(threads):
            self.set_threads(count)
            if kept is None:
                self.loop.start(base)
            else:
                self.loop.start(base, kept.v, kept.steps)
            self._differs = False
            self._keep(0)
            watch = Watch(on_segment=self._on_segment, should_stop=self._should_stop)
            train_round(self.loop, self.command.round - 1, draw, watch)
            if not self._differs:
                return
        raise OtherBits(f"the states of round {self.command.round} cannot be made again on this machine as it is")

    def _should_stop(self) -> bool:
        ends_at = self.command.segments * self.loop.spec.segment_steps
        return self.is_ending() or self._differs or self.loop.steps_done >= ends_at

    def _on_segment(self, report: SegmentReport) -> None:
        command, number = self.command, report.segment + 1
        after = report.after
        parts = Vectors(after.theta, after.m, after.v).parts()
        proven = {1: command.first, command.segments: command.last}.get(number)
        if proven is not None and state_hash(parts) != proven:
            self._differs = True
        else:
            self._keep(number)

    def _keep(self, number: int) -> None:
        """Keep the state in which the loop is, if the audit wants it."""
        if number in (self.command.segment, self.command.segment + 1, self.command.segments):
            now = self.loop.state()
            state = Vectors(now.theta, now.m, now.v)
            boundary = Boundary(self.command.round, number, state.parts(), now.v_steps)
            self.states.load(boundary, now.theta.size)  # which removes damaged files
            self.states.put(boundary, state)


def _numbers(first: int) -> Iterator[int]:
    """The numbers of threads to try: the present one, then all that this machine may have had."""
    yield first
    yield from (count for count in range(1, min(os.cpu_count() or 1, THREADS_TRIED) + 1) if count != first)
