"""The end of a round of `bench byzantine`, run by run, in processes of their own that know no torch.

Each process keeps the outer states of its runs. After every round it reads what the fleet trained, lets the liars
choose, encodes all payloads, takes the real outer step, and leaves the new weights where the fleet finds them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.byzantine_cells import NODES, Cell
from tests.adversaries.scene import Scene, Vectors
from training.aggregate import decode8
from training.errors import TrainingError
from training.outer import Entry, OuterSpec, OuterState, genesis_state, outer_step
from training.payload import encode_payload

Floats = NDArray[np.float32]
Combine = Callable[[OuterState, Sequence[Entry], Sequence[int], OuterSpec], OuterState]
# Names of nodes have nothing to do with who lies: ties that go to the lowest name help nobody in particular.
NAMES = tuple(sha256(b"bench byzantine node %d" % place).digest() for place in range(NODES))


@dataclass(frozen=True)
class Setting:
    """What all runs share."""

    fragment_sizes: tuple[int, ...]
    round_steps: int
    rounds: int
    specs: dict[str, OuterSpec]  # by rule


class Run:
    """One cell's outer state and what its liars remember."""

    def __init__(self, cell: Cell, setting: Setting, born: Floats) -> None:
        self.cell, self.setting = cell, setting
        self.born, self.state = born, genesis_state(born)
        self.before: Vectors | None = None
        self.chance = np.random.default_rng([cell.seed, 8, cell.liars])
        self.liar_shares: list[float] = []
        self.ended: str | None = None  # why it could not go on

    def end_round(self, number: int, trained: Floats) -> Floats:
        """The next weights, from what the cell's rows of the fleet hold [rows, P]."""
        if self.ended is None:
            try:
                self._step(number, trained)
            except TrainingError as error:
                self.ended = f"round {number}: {error}"
        return self.state.weights

    def _step(self, number: int, trained: Floats) -> None:
        cell, setting, weights = self.cell, self.setting, self.state.weights
        with np.errstate(over="ignore", invalid="ignore"):
            deltas = weights - trained
        honest = deltas[: cell.honest]
        if not np.isfinite(honest).all():
            raise TrainingError("an honest delta is not finite")
        lies = cell.adversary.publish(self._scene(number, honest, deltas[cell.honest :])) if cell.liars else honest[:0]
        self.before = honest
        zero = np.zeros_like(weights)
        # The encoder subtracts; from a delta nothing is subtracted, so that all say exactly what they chose.
        payloads = [encode_payload(delta, zero, setting.fragment_sizes) for delta in np.concatenate([honest, lies])]
        entries = [Entry(NAMES[i], payload, setting.round_steps) for i, payload in enumerate(payloads)]
        self.state = step_of(cell.rule)(self.state, entries, setting.fragment_sizes, setting.specs[cell.rule])
        liars = set(NAMES[cell.honest : cell.honest + cell.liars])
        self.liar_shares.append(sum(each.weight_ppm for each in self.state.trust if each.node in liars) / 1e6)

    def _scene(self, number: int, honest: Vectors, trained: Vectors) -> Scene:
        aggregate = None
        if self.state.aggregate:
            numbers = decode8(self.state.aggregate, self.setting.fragment_sizes)
            aggregate = (numbers * 2.0**-24).astype(np.float32)
        return Scene(
            honest=honest,
            liars=self.cell.liars,
            round_number=number,
            rounds=self.setting.rounds,
            chance=self.chance,
            before=self.before,
            progress=self.born - self.state.weights if number else None,
            aggregate=aggregate,
            trained=trained if len(trained) else None,
        )


def step_of(rule: str) -> Combine:
    """The project's outer step; trial rules are looked up only where one is asked for."""
    if rule.startswith("try_"):
        from bench.byzantine_trials import trial_step

        return trial_step(rule)
    return outer_step


@dataclass(frozen=True)
class Share:
    """The part of a wave that one process looks after, and where the arrays lie."""

    cells: tuple[tuple[int, int, Cell], ...]  # place in the wave, first row in the fleet, cell
    files: tuple[str, str]  # trained [rows, P] and weights [cells, P]
    shapes: tuple[tuple[int, int], tuple[int, int]]


def serve(connection: Connection, setting: Setting) -> None:
    """A process's life: a share begins a wave, a number ends that round, None ends the process."""
    while (message := connection.recv()) is not None:
        assert isinstance(message, Share)
        _wave(connection, setting, message)


def _wave(connection: Connection, setting: Setting, share: Share) -> None:
    trained, weights = (
        np.memmap(path, dtype=np.float32, mode="r+", shape=shape)
        for path, shape in zip(share.files, share.shapes, strict=True)
    )
    runs = [Run(cell, setting, np.array(weights[place])) for place, _, cell in share.cells]
    while (number := connection.recv()) is not None:
        for run, (place, row, cell) in zip(runs, share.cells, strict=True):
            weights[place] = run.end_round(number, trained[row : row + cell.trained])
        connection.send(None)
    found: dict[str, Any] = {run.cell.name: {"ended": run.ended, "liar_shares": run.liar_shares} for run in runs}
    connection.send(found)
