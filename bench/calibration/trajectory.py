"""Real rounds on the real corpus, cut into segments of many lengths: where the replayed segments come from."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from training.birth import birth
from training.draw import draw_batch
from training.inner import InnerLoop, InnerState
from training.layout import ModelConfig
from training.model import FlatVector, NeuroLLM
from training.round import Draw
from training.schedule import InnerSpec, learning_rate

GENESIS = Path(__file__).parent.parent.parent / "genesis.json"
ROUND_STEPS = 250
# Lengths of segments; the profiles have 10 and 25.
LENGTHS = (10, 10, 10, 15, 20, 25, 25, 35, 50)
# Rounds of one trajectory: warm-up, the peak, and rates that have fallen to a third and to the floor of a tenth.
ROUNDS = ((0, 2, 9, 50, 400), (0, 3, 5, 20, 120))
CARRIED = 0.7


@dataclass(frozen=True)
class Size:
    """A model, how it is trained, and the tokens."""

    name: str
    model: ModelConfig
    inner: InnerSpec
    tokens: NDArray[np.uint16]

    @classmethod
    def load(cls, name: str, data: Path, round_steps: int = ROUND_STEPS) -> "Size":
        """The model of genesis.json's profile `lab` or `dev`, on what bench.lab.export wrote into `data`."""
        template = json.loads(GENESIS.read_text(encoding="utf-8"))
        numbers: dict[str, int] = {**template["parameters"], **template["profiles"][name]}

        def section(prefix: str) -> dict[str, Any]:
            return {key[len(prefix) + 1 :]: number for key, number in numbers.items() if key.startswith(f"{prefix}.")}

        sequences, length = numbers["chain.sequences"], numbers["chain.sequence_length"]
        inner = InnerSpec(round_steps, round_steps, sequences, length, **section("inner"))
        return cls(name, ModelConfig(**section("model")), inner, np.load(data / "train.npy", mmap_mode="r"))

    def loop(self, device: str = "cpu") -> InnerLoop:
        """A new inner loop."""
        return InnerLoop(NeuroLLM(self.model, torch.device(device)), self.inner)

    def born(self, trajectory: int) -> FlatVector:
        """The newborn weights of a trajectory."""
        return birth(self.model, digest("born", trajectory))

    def draw(self, trajectory: int, round_number: int) -> Draw:
        """The batches of a round."""
        mix, node = digest("mix", round_number), digest("node", trajectory)
        return lambda step: draw_batch(self.tokens, mix, node, step, self.inner.sequences, self.inner.length)


@dataclass(frozen=True)
class Start:
    """A segment about to be trained. `shift`: from the round's model back to the one before it, if there was one."""

    trajectory: int
    round_number: int
    fresh: bool
    steps: int
    before: InnerState
    shift: FlatVector | None

    def words(self, size: Size) -> dict[str, Any]:
        """What a record says of it."""
        rate = learning_rate(size.inner, self.round_number, self.before.steps_done)
        return {
            "size": size.name,
            "trajectory": self.trajectory,
            "round": self.round_number,
            "step": self.before.steps_done,
            "steps": self.steps,
            "fresh": self.fresh,
            "rate": round(rate / (size.inner.peak_rate_nanos / 1e9), 4),
        }


def digest(name: str, number: int) -> bytes:
    return sha256(f"calibrate {name} {number}".encode()).digest()


def segments(
    size: Size, loop: InnerLoop, trajectory: int, lengths: tuple[int, ...] = LENGTHS
) -> Iterator[tuple[Start, InnerState]]:
    """Train the rounds of a trajectory on `loop`; yield every segment with the state that it ended in.

    Between two segments the caller may use `loop` as it likes.
    """
    chance = np.random.default_rng([trajectory, len(size.name)])
    theta = size.born(trajectory)
    shift, v, age = None, None, 0
    for round_number in ROUNDS[trajectory % len(ROUNDS)]:
        fresh = v is None or chance.random() > CARRIED
        loop.start(theta, None if fresh else v, 0 if fresh else age)
        state, base = loop.state(), theta
        draw = size.draw(trajectory, round_number)
        while state.steps_done < size.inner.round_steps:
            steps = min(int(chance.choice(lengths)), size.inner.round_steps - state.steps_done)
            start = Start(trajectory, round_number, fresh, steps, state, shift)
            loop.restore(state)
            for _ in range(steps):
                loop.step(draw(loop.steps_done), round_number)
            state = loop.state()
            # A rest of another length is trained and not judged.
            if steps in lengths:
                yield start, state
        theta, v, age = state.theta, state.v, state.steps_done + state.v_steps
        shift = base - theta


def settings_words(size: Size) -> dict[str, Any]:
    """What the report says of a size."""
    return {"model": asdict(size.model), "inner": asdict(size.inner)}
