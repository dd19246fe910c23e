"""One round of one node: train alone for `round_steps`, leave a report after every segment.

What the reports are for (hashes, proofs, pay, the outer step) is the caller's; nothing here knows a network.
Source of the scheme: Douillard et al. 2023 (DiLoCo).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.inner import InnerLoop, InnerState
from training.model import FlatVector
from training.schedule import learning_rate

# The batch of a step of this round, int64 [sequences, length + 1].
Draw = Callable[[int], NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class StepReport:
    """One inner step: `step` counts from 0 within the round, `loss` is in nats per token."""

    round_number: int
    step: int
    loss: float
    learning_rate: float


@dataclass(frozen=True, slots=True)
class SegmentReport:
    """One finished segment: the state it ended in and ‖θ_j - θ_{j-1}‖, the Euclidean distance it moved."""

    round_number: int
    segment: int
    loss: float
    distance: float
    tokens: int
    after: InnerState


@dataclass(frozen=True, slots=True)
class RoundReport:
    """What was trained in this call. `theta` ends the last finished segment; `losses` has one per finished step."""

    theta: FlatVector
    segments_done: int
    distances: tuple[float, ...]
    losses: tuple[float, ...]


def _ignore(report: object) -> None:
    """Take no notice."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told of the progress, and who may end it early."""

    on_step: Callable[[StepReport], None] = _ignore
    on_segment: Callable[[SegmentReport], None] = _ignore
    should_stop: Callable[[], bool] = lambda: False


def train_round(loop: InnerLoop, round_number: int, draw: Draw, watch: Watch) -> RoundReport:
    """Train from where `loop` stands (after `start`, or `restore` at a segment boundary) to the end of the round.

    If `should_stop` says so, at a boundary or within a segment, the unfinished segment is dropped and `loop` stands at
    the last finished one: training it again later gives the same bits.
    """
    spec = loop.spec
    before = loop.state()
    assert before.steps_done % spec.segment_steps == 0, "a round goes on at a segment boundary"
    distances: list[float] = []
    losses: list[float] = []

    for segment in range(before.steps_done // spec.segment_steps, spec.segments):
        segment_losses = _train_segment(loop, round_number, draw, watch)
        if segment_losses is None:
            loop.restore(before)
            break
        after = loop.state()
        distances.append(distance(after.theta, before.theta))
        losses += segment_losses
        mean_loss = sum(segment_losses) / spec.segment_steps
        tokens = spec.segment_steps * spec.batch_tokens
        watch.on_segment(SegmentReport(round_number, segment, mean_loss, distances[-1], tokens, after))
        before = after

    return RoundReport(before.theta, before.steps_done // spec.segment_steps, tuple(distances), tuple(losses))


def _train_segment(loop: InnerLoop, round_number: int, draw: Draw, watch: Watch) -> list[float] | None:
    """Take the steps of one segment; None if told to stop before it is finished."""
    losses = []
    for _ in range(loop.spec.segment_steps):
        if watch.should_stop():
            return None
        step = loop.steps_done
        loss = loop.step(draw(step), round_number)
        losses.append(loss)
        watch.on_step(StepReport(round_number, step, loss, learning_rate(loop.spec, round_number, step)))
    return losses


def distance(one: FlatVector, other: FlatVector) -> float:
    """Euclidean distance, summed in 64 bits."""
    difference = one.astype(np.float64) - other
    return float(np.sqrt(np.dot(difference, difference)))
