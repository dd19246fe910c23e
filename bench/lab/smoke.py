"""A minute on a new device before hours are spent on it: replica-steps a second, and what the switches change.

    python -m bench.lab.smoke --device cuda --data build/lab

One JSON line per measurement, in the form of the other benchmarks.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from bench.convergence import WINDOWS
from bench.figure import report
from bench.lab.cells import Cell
from bench.lab.data import Tokens
from bench.lab.execute import Lab, fleet_of, lab_profile

CELL = Cell("fp32", 1, 50, "reset", 8_000, 600, 900, 1)


def settled(device: torch.device) -> float:
    """The time once the device has done all it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def pace(lab: Lab, rows: int, steps: int) -> tuple[float, float, float]:
    """Seconds until the first steps are done, replica-steps a second after that, and the last mean loss."""
    began = settled(lab.device)
    fleet = fleet_of(lab, [replace(CELL, seed=seed) for seed in range(rows)], 24_000)
    fleet.train(8)
    ready = settled(lab.device)
    fleet.train(steps)
    return ready - began, rows * steps / (settled(lab.device) - ready), fleet.losses.mean().item()


def measure(lab: Lab, rows: Sequence[int], steps: int, words: str) -> None:
    for count in rows:
        begun, rate, loss = pace(lab, count, steps)
        note = f"{count} replicas, {words}; {begun:.1f} s until it ran; mean loss after {steps + 8} steps {loss:.6f}"
        report("replica_steps_per_second", rate, "1/s", None, note)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.lab.smoke")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--data", type=Path, default=Path("build/lab"))
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    device = torch.device(options.device)
    config, sequences, length = lab_profile()
    tokens = Tokens.load(options.data, device, WINDOWS, length)
    lab = Lab(config, sequences, length, tokens, device, budget=1 << (28 if device.type == "cuda" else 20))
    measure(lab, options.rows, options.steps, "fp32")
    if device.type != "cuda":
        return
    for power in (23, 25, 30):
        measure(replace(lab, budget=1 << power), options.rows[-1:], options.steps, f"fp32, at most 2^{power} logits")
    torch.backends.cuda.matmul.allow_tf32 = True
    measure(lab, options.rows[-1:], options.steps, "tf32")
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        measure(replace(lab, compiled=True), options.rows, options.steps, "fp32, optimizer compiled")
    except Exception as error:  # the switch is optional, and its faults are of many kinds
        report("replica_steps_per_second", None, "1/s", None, f"torch.compile failed: {error!r:.300}")


if __name__ == "__main__":
    main()
