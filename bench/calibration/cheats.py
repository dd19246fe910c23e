"""What a cheat leaves behind instead of the honest end of a segment. Every one is the smallest of its kind."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from bench.calibration.numerics import products_by, shortened
from bench.calibration.trajectory import Size, Start
from training.inner import InnerLoop, InnerState
from training.model import FlatVector
from training.round import Draw


@dataclass(frozen=True)
class Case:
    """A segment, its honest end, and where chance strikes."""

    size: Size
    loop: InnerLoop
    start: Start
    honest: InnerState
    chance: np.random.Generator

    def draw(self) -> Draw:
        """The batches that the segment should read."""
        return self.size.draw(self.start.trajectory, self.start.round_number)

    def other(self) -> Draw:
        """The batches of another node."""
        return self.size.draw(self.start.trajectory + 1_000_003, self.start.round_number)

    def struck(self) -> int:
        """One step of the segment."""
        return self.start.before.steps_done + int(self.chance.integers(self.start.steps))

    def train(self, draw: Draw, skipped: Callable[[int], bool] = lambda step: False) -> InnerState:
        """Train the segment on `draw`; of skipped steps only the count is kept."""
        loop = self.loop
        loop.restore(self.start.before)
        for _ in range(self.start.steps):
            if skipped(loop.steps_done):
                loop.steps_done += 1
            else:
                loop.step(draw(loop.steps_done), self.start.round_number)
        return loop.state()


def skip_one(case: Case) -> InnerState:
    """One step of the segment is not taken."""
    struck = case.struck()
    return case.train(case.draw(), lambda step: step == struck)


def skip_tenths(case: Case) -> InnerState:
    """Every tenth step is not taken."""
    struck = case.struck()
    return case.train(case.draw(), lambda step: step % 10 == struck % 10)


def half_batch(case: Case) -> InnerState:
    """Every batch is half as large."""
    draw = case.draw()
    return case.train(lambda step: draw(step)[: case.size.inner.sequences // 2])


def other_batch(case: Case) -> InnerState:
    """One step reads another batch."""
    draw, other, struck = case.draw(), case.other(), case.struck()
    return case.train(lambda step: other(step) if step == struck else draw(step))


def other_sequence(case: Case) -> InnerState:
    """One sequence of one batch is another."""
    draw, other, struck = case.draw(), case.other(), case.struck()
    place = int(case.chance.integers(case.size.inner.sequences))

    def changed(step: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        batch = draw(step)
        if step == struck:
            batch[place] = other(step)[place]
        return batch

    return case.train(changed)


def wrong_label(case: Case) -> InnerState:
    """One label of one batch is wrong: a last token, which nothing reads on from."""
    draw, struck = case.draw(), case.struck()
    place = int(case.chance.integers(case.size.inner.sequences))
    vocabulary = case.size.model.vocabulary

    def changed(step: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        batch = draw(step)
        if step == struck:
            batch[place, -1] = (batch[place, -1] + case.chance.integers(1, vocabulary)) % vocabulary
        return batch

    return case.train(changed)


def stale_base(case: Case) -> InnerState | None:
    """Trained from the round before's model, and the way added to this round's."""
    if case.start.shift is None:
        return None
    before = replace(case.start.before, theta=case.start.before.theta + case.start.shift)
    ended = replace(case, start=replace(case.start, before=before)).train(case.draw())
    return replace(ended, theta=case.start.before.theta + (ended.theta - before.theta))


def precision(name: str) -> Callable[[Case], InnerState]:
    """All matrix products with shortened factors."""

    def cheat(case: Case) -> InnerState:
        with products_by(shortened(name)):
            return case.train(case.draw())

    return cheat


def noise(relative: float) -> Callable[[Case], InnerState]:
    """The honest weights with noise of that size, relative to the segment's way."""

    def cheat(case: Case) -> InnerState:
        return replace(case.honest, theta=case.honest.theta + relative * _like_the_way(case))

    return cheat


def invented(case: Case) -> InnerState:
    """A way of the right length in a direction of chance; the moments as they were."""
    before = case.start.before
    return replace(before, theta=before.theta + _like_the_way(case), steps_done=case.honest.steps_done)


def nothing(case: Case) -> InnerState:
    """The state as it was."""
    return replace(case.start.before, steps_done=case.honest.steps_done)


def _like_the_way(case: Case) -> FlatVector:
    way = case.honest.theta - case.start.before.theta
    chance = case.chance.standard_normal(way.size).astype(np.float32)
    return chance * np.float32(np.linalg.norm(way) / np.linalg.norm(chance))


Cheat = Callable[[Case], InnerState | None]
# Those that train take as long as the honest segment; the others cost nothing.
TRAINED: dict[str, Cheat] = {
    "skips a step": skip_one,
    "skips every 10th step": skip_tenths,
    "half the batch": half_batch,
    "one other batch": other_batch,
    "one other sequence": other_sequence,
    "one wrong label": wrong_label,
    "stale base": stale_base,
    "bf16 products": precision("bf16"),
    "fp16 products": precision("fp16"),
    "TF32 products": precision("tf32"),
}
UNTRAINED: dict[str, Cheat] = {
    "noise 1e-3": noise(1e-3),
    "noise 1e-4": noise(1e-4),
    "noise 1e-5": noise(1e-5),
    "invented": invented,
    "nothing done": nothing,
}
CHEATS = {**TRAINED, **UNTRAINED}
