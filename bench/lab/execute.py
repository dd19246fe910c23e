"""Train cells of one number of replicas together in a fleet, and say what came of each."""

import json
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from math import isfinite, pi
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.lab.cells import BATCHES, Cell
from bench.lab.codec import Codec
from bench.lab.data import Tokens
from bench.lab.fleet import Fleet, FleetSpec, Rows
from bench.lab.runs import Group, MeanInIntegers, MeanInReals, Rule, train_runs
from training.birth import birth
from training.layout import ModelConfig, parameter_layout

GENESIS = Path(__file__).parent.parent.parent / "genesis.json"
# The run's first 24th part warms the rate up; then it falls as a cosine to a tenth.
WARM_UP_PART = 24
LOWEST = 0.1
# How often the held-out loss is measured; rounds of all cells end there.
MEASURED = 6


@dataclass(frozen=True)
class Lab:
    """Where and on what cells are trained. `batches`: of every run; `budget`: logits at a time."""

    config: ModelConfig
    sequences: int
    length: int
    tokens: Tokens
    device: torch.device
    batches: int = BATCHES
    budget: int = 1 << 20
    compiled: bool = False


def lab_profile() -> tuple[ModelConfig, int, int]:
    """Model, sequences and length of genesis.json's lab profile, read without the packages that know genesis."""
    numbers = json.loads(GENESIS.read_text(encoding="utf-8"))["profiles"]["lab"]
    model = {name.partition(".")[2]: value for name, value in numbers.items() if name.startswith("model.")}
    return ModelConfig(**model), numbers["chain.sequences"], numbers["chain.sequence_length"]


def curve(steps: int, round_steps: int, rewarm: int, cold: int = 0) -> NDArray[np.float64]:
    """The learning rate over its peak, [steps]: warm-up, cosine, and the re-warm-up of every round (1: none).

    In the first `cold` steps of a round nothing moves: they only fill AdamW's averages.
    """
    at = np.arange(steps)
    warm_up = max(1, steps // WARM_UP_PART)
    rising = np.minimum((at + 1) / warm_up, 1)
    passed = np.clip((at + 1 - warm_up) / (steps - warm_up), 0, 1)
    falling = LOWEST + (1 - LOWEST) * (1 + np.cos(pi * passed)) / 2
    again = np.clip((at % round_steps + 1 - cold) / rewarm, 0, 1) if round_steps else np.ones(steps)
    return rising * falling * again


def born(config: ModelConfig, seed: int) -> NDArray[np.float32]:
    """The newborn weights of a seed."""
    return birth(config, sha256(b"lab" + seed.to_bytes(8, "big")).digest())


def train_cells(lab: Lab, cells: Sequence[Cell]) -> Iterator[dict[str, Any]]:
    """Train cells with the same number of replicas; yield one record each."""
    each, sequences = cells[0].replicas, cells[0].sequences
    assert all((cell.replicas, cell.sequences) == (each, sequences) for cell in cells)
    cells = sorted(cells, key=lambda cell: cell.method != "sync")
    # Larger batches, fewer of them: the tokens stay the same.
    steps = lab.batches * lab.sequences // (each * sequences)
    assert steps % MEASURED == 0
    began = time.perf_counter()
    fleet = fleet_of(lab, cells, steps)
    measured = []
    for _, losses in train_runs(fleet, _groups(lab, fleet, cells), steps, steps // MEASURED):
        measured.append(losses.tolist())
    seconds = (time.perf_counter() - began) / len(cells)
    for index, cell in enumerate(cells):
        losses = [float(f"{row[index]:.7g}") if isfinite(row[index]) else None for row in measured]
        yield {"cell": asdict(cell), "losses": losses, "seconds": round(seconds, 3)}


def fleet_of(lab: Lab, cells: Sequence[Cell], steps: int) -> Fleet:
    """A fleet of these cells, which all have as many replicas, newborn."""
    kinds = sorted({(cell.round_steps, cell.rewarm, cell.cold) for cell in cells})
    curves = np.stack([curve(steps, *kind) for kind in kinds])
    seeds = [cell.seed for cell in cells]
    births = {seed: born(lab.config, seed) for seed in sorted(set(seeds))}
    rows = Rows(
        seeds=torch.tensor(seeds, device=lab.device),
        peaks=torch.tensor([cell.peak / 1e6 for cell in cells], device=lab.device),
        curve=torch.tensor(
            [kinds.index((cell.round_steps, cell.rewarm, cell.cold)) for cell in cells], device=lab.device
        ),
        curves=torch.from_numpy(curves).to(lab.device),
        epsilons=torch.tensor([10.0**-cell.epsilon for cell in cells], device=lab.device),
        synchronous=sum(cell.method == "sync" for cell in cells),
    )
    spec = FleetSpec(
        lab.config, cells[0].replicas, cells[0].sequences, lab.length, budget=lab.budget, compiled=lab.compiled
    )
    stacked = torch.from_numpy(np.stack([births[seed] for seed in seeds])).to(lab.device)
    return Fleet(spec, rows, stacked, lab.tokens)


def _groups(lab: Lab, fleet: Fleet, cells: Sequence[Cell]) -> list[Group]:
    """Cells that end rounds at the same steps by the same rule share a group."""
    alike: dict[tuple[int, str, int], list[int]] = defaultdict(list)
    for index, cell in enumerate(cells):
        if cell.method != "sync":
            alike[cell.round_steps, cell.method, cell.block].append(index)
    sizes = tuple(fragment.count for fragment in parameter_layout(lab.config))
    groups = []
    for (round_steps, method, block), runs in alike.items():
        rate, momentum = (
            torch.tensor([getattr(cells[run], name) for run in runs], device=lab.device)
            for name in ("rate", "momentum")
        )
        codec, rule = Codec(sizes, block), None
        if method == "4bit":
            rule: Rule = MeanInIntegers(codec, (rate, momentum))
        else:
            rule = MeanInReals((rate, momentum), codec if method == "payload" else None)
        keep = [(cells[run].state == "carried", cells[run].state != "reset") for run in runs]
        groups.append(Group.of(fleet, runs, round_steps, rule, keep))
    return groups
