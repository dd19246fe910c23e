"""Segments trained on one machine, to be replayed on another of a different make.

    .venv/bin/python -m bench.calibration.reference make --data build/lab --file build/reference.npz
    python3 -m bench.calibration.reference check --data build/lab --file build/reference.npz --out OUT/honest.jsonl

At lab size a chain of whole states: each is the end of one segment and the start of the next. At dev size segments from
birth, since both machines make the same newborn model, of whose ends every 128th number is kept.
"""

import argparse
import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.calibration.numerics import apply_environment
from bench.calibration.records import append, distances
from bench.calibration.trajectory import Size, Start
from training.inner import InnerState
from training.replay import replay_segment

CHAIN = (10, 25, 50, 10, 25, 50, 10, 10)
# Rounds of the chain's steps, so that several learning rates occur.
CHAIN_ROUNDS = (0, 1, 2, 3, 20, 50, 120, 400)
BORN = tuple((trajectory, steps) for trajectory in range(6) for steps in (10, 25, 50))
# The first three with the warm-up of a newborn network; the others at once at the full rate, harder than life.
BORN_ROUNDS = (0, 0, 0, 3, 3, 3)
HARD = 3
KEPT = 128


def chain_start(at: int, before: InnerState) -> Start:
    """One segment of the chain."""
    return Start(0, CHAIN_ROUNDS[at], False, CHAIN[at], before, None)


def born_start(size: Size, trajectory: int, steps: int) -> Start:
    """A segment from birth."""
    theta = size.born(trajectory)
    zero = np.zeros_like(theta)
    return Start(trajectory, BORN_ROUNDS[trajectory], True, steps, InnerState(theta, zero, zero, 0), None)


def ended(size: Size, start: Start) -> InnerState:
    """The end of a segment, by this machine."""
    draw = size.draw(start.trajectory, start.round_number)
    return replay_segment(size.loop(), start.before, draw, start.round_number, start.steps)


def thinned(state: InnerState) -> InnerState:
    return InnerState(state.theta[::KEPT], state.m[::KEPT], state.v[::KEPT], state.steps_done)


def machine() -> str:
    """The processor, as the system calls it."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, torch {torch.__version__}"


def make(data: Path, file: Path) -> None:
    """Train all segments here and write the file."""
    size = Size.load("lab", data)
    state = born_start(size, 0, 1).before
    kept: dict[str, Any] = {"machine": np.array(machine())}
    for at in range(len(CHAIN)):
        state = ended(size, chain_start(at, state))
        kept[f"chain-{at}"] = np.stack([state.theta, state.m, state.v])
    size = Size.load("dev", data)
    for trajectory, steps in BORN:
        end = thinned(ended(size, born_start(size, trajectory, steps)))
        kept[f"born-{trajectory}-{steps}"] = np.stack([end.theta, end.m, end.v])
    np.savez_compressed(file, **kept)


def check(data: Path, file: Path, out: Path) -> None:
    """Replay all segments here and append how far the ends lie apart."""
    with np.load(file) as loaded:
        kept = {name: loaded[name] for name in loaded.files}
    pair = {"kind": "honest", "setting": "another machine", "machines": [str(kept["machine"]), machine()]}
    size = Size.load("lab", data)
    before = born_start(size, 0, 1).before
    for at in range(len(CHAIN)):
        start = chain_start(at, before)
        claimed = InnerState(*kept[f"chain-{at}"], start.before.steps_done + start.steps)
        append(out, {**pair, **start.words(size), **distances(before, claimed, ended(size, start))})
        before = claimed
    size = Size.load("dev", data)
    for trajectory, steps in BORN:
        start = born_start(size, trajectory, steps)
        claimed = InnerState(*kept[f"born-{trajectory}-{steps}"], steps)
        found = distances(thinned(start.before), claimed, thinned(ended(size, start)))
        hard = {"setting": "another machine, no warm-up"} if BORN_ROUNDS[trajectory] == HARD else {}
        append(out, {**pair, **hard, **start.words(size), **found})


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.calibration.reference")
    parser.add_argument("what", choices=("make", "check"))
    parser.add_argument("--data", type=Path, default=Path("build/lab"))
    parser.add_argument("--file", type=Path, default=Path("build/reference.npz"))
    parser.add_argument("--out", type=Path, default=Path("build/calibrate/honest.jsonl"))
    options = parser.parse_args()
    apply_environment()
    if options.what == "make":
        make(options.data, options.file)
    else:
        check(options.data, options.file, options.out)


if __name__ == "__main__":
    main()
