"""Trains one wave of `bench byzantine`: all runs in lockstep on one device, their outer steps in other processes."""

import json
import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from shutil import disk_usage
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.byzantine_cells import NODES, Cell
from bench.byzantine_round import Setting, Share, serve
from bench.lab.data import Tokens
from bench.lab.fleet import Fleet, FleetSpec, Rows
from training.birth import birth
from training.layout import ModelConfig
from training.schedule import InnerSpec, learning_rate_nanos


@dataclass(frozen=True)
class Plan:
    """How runs are trained."""

    model: ModelConfig
    inner: InnerSpec
    setting: Setting
    tokens: Tokens
    device: torch.device
    budget: int  # logits at a time
    measure_every: int  # rounds


class Pool:
    """Processes that take the outer steps. They begin before the device is used, and by spawning: no copied locks."""

    def __init__(self, count: int, setting: Setting) -> None:
        # A process for each core is enough: their matrix products must not use threads too.
        os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
        context = multiprocessing.get_context("spawn")
        self.connections: list[Connection] = []
        self.processes = []
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=serve, args=(theirs, setting), daemon=True)
            process.start()
            self.connections.append(ours)
            self.processes.append(process)

    def tell(self, messages: Sequence[object]) -> None:
        for connection, message in zip(self.connections, messages, strict=True):
            connection.send(message)

    def tell_all(self, message: object) -> None:
        self.tell([message] * len(self.connections))

    def answers(self) -> list[Any]:
        return [connection.recv() for connection in self.connections]

    def close(self) -> None:
        self.tell_all(None)
        for process in self.processes:
            process.join(timeout=10)


def train_wave(plan: Plan, pool: Pool, wave: Sequence[Cell], deadline: float) -> Iterator[dict[str, Any]]:
    """Train all cells of a wave and yield what became of each. Past the deadline it stops at the next measurement."""
    rounds, steps = plan.setting.rounds, plan.setting.round_steps
    starts = np.cumsum([0, *(cell.trained for cell in wave)])
    with _shared((int(starts[-1]), sum(plan.setting.fragment_sizes)), len(wave)) as (trained, weights, files):
        born = {seed: birth(plan.model, b"bench byzantine %16d" % seed) for seed in {cell.seed for cell in wave}}
        for place, cell in enumerate(wave):
            weights[place] = born[cell.seed]
        parts = [(place, int(starts[place]), cell) for place, cell in enumerate(wave)]
        count = len(pool.connections)
        shapes = (trained.shape, weights.shape)
        pool.tell([Share(tuple(parts[k::count]), files, shapes) for k in range(count)])
        fleet = _fleet(plan, wave)
        row_of_run = torch.tensor(np.repeat(np.arange(len(wave)), [cell.trained for cell in wave]), device=plan.device)
        losses: list[tuple[int, list[float]]] = []
        begun = time.perf_counter()
        for number in range(rounds):
            _restart(fleet, torch.from_numpy(weights).to(plan.device)[row_of_run])
            fleet.train(steps)
            torch.from_numpy(trained).copy_(fleet.weights()[:, 0])
            half = time.perf_counter()
            pool.tell_all(number)
            pool.answers()
            if (number + 1) % plan.measure_every == 0 or number + 1 == rounds:
                held_out = fleet.held_out(torch.from_numpy(weights).to(plan.device))
                losses.append((number + 1, held_out.tolist()))
                print(
                    f"loss {wave[0].name}: {losses[-1][1][0]:.4f}, median {np.nanmedian(losses[-1][1]):.4f}", flush=True
                )
            now = time.perf_counter()
            print(f"round {number + 1}: {now - begun:.1f} s, outer steps {now - half:.2f} s", flush=True)
            if time.time() > deadline:
                break
        pool.tell_all(None)
        ends = {name: end for answer in pool.answers() for name, end in answer.items()}
    for place, cell in enumerate(wave):
        yield _result(cell, [(at, each[place]) for at, each in losses], ends[cell.name], rounds)


def _result(cell: Cell, curve: list[tuple[int, float]], end: dict[str, Any], rounds: int) -> dict[str, Any]:
    return {
        "cell": cell.name,
        "rule": cell.rule,
        "attack": cell.attack,
        "liars": cell.liars,
        "absent": cell.absent,
        "seed": cell.seed,
        # A number that JSON cannot say is a loss that diverged.
        "curve": [(at, loss if np.isfinite(loss) else None) for at, loss in curve],
        "complete": bool(curve) and curve[-1][0] == rounds,
        **end,
    }


def _fleet(plan: Plan, wave: Sequence[Cell]) -> Fleet:
    """One row per node that trains. Node i of a seed reads the same text in every cell of that seed."""
    spec = FleetSpec(plan.model, 1, plan.inner.sequences, plan.inner.length, budget=plan.budget)
    rounds, steps = plan.setting.rounds, plan.setting.round_steps
    peak = plan.inner.peak_rate_nanos
    rates = [learning_rate_nanos(plan.inner, number, step) / peak for number in range(rounds) for step in range(steps)]
    nodes = [(cell, node) for cell in wave for node in range(cell.trained)]
    flipped = [cell.adversary.training == "flipped" and node >= cell.honest for cell, node in nodes]
    device = plan.device
    rows = Rows(
        seeds=torch.tensor([cell.seed * NODES + node for cell, node in nodes], device=device),
        peaks=torch.full((len(nodes),), peak / 1e9, device=device),
        curve=torch.zeros(len(nodes), dtype=torch.int64, device=device),
        # The fleet may look one step beyond the last while it records itself.
        curves=torch.tensor([[*rates, rates[-1]]], device=device),
        flipped=torch.tensor(flipped, device=device),
    )
    parameters = sum(plan.setting.fragment_sizes)
    return Fleet(spec, rows, torch.zeros(len(nodes), parameters, device=device), plan.tokens)


def _restart(fleet: Fleet, weights: torch.Tensor) -> None:
    """All nodes begin a round, with empty averages."""
    everyone = torch.arange(fleet.runs, device=fleet.device)
    no = torch.zeros(fleet.runs, dtype=torch.bool, device=fleet.device)
    fleet.restart(everyone, weights, (no, no))


@contextmanager
def _shared(
    trained: tuple[int, int], cells: int
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32], tuple[str, str]]]:
    """Two arrays that the processes of the pool see too: files mapped into memory."""
    shapes = (trained, (cells, trained[1]))
    need = 4 * sum(rows * width for rows, width in shapes)
    # In memory if there is room: in a container there often is next to none.
    memory = Path("/dev/shm")
    roomy = memory.exists() and disk_usage(memory).free > 2 * need
    with TemporaryDirectory(prefix="bench-byzantine-", dir=memory if roomy else None) as folder:
        paths = (f"{folder}/trained", f"{folder}/weights")
        arrays = [
            np.memmap(path, dtype=np.float32, mode="w+", shape=shape) for path, shape in zip(paths, shapes, strict=True)
        ]
        yield arrays[0], arrays[1], paths


def append(path: Path, result: dict[str, Any]) -> None:
    with path.open("a") as file:
        file.write(json.dumps(result) + "\n")
