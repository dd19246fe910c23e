"""What a GPU adds: fp32 against the CPU, and the one-step rule for bf16.

    python3 -m bench.calibration.gpu --data build/lab --out OUT --seconds 300

fp32 (TF32 off): segments trained on the GPU and replayed on the CPU. bf16: the gradient of one batch from a trained
state, honest in three ways (split batches, the CPU's kernels) and dishonest in others.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.calibration.cheats import Case, wrong_label
from bench.calibration.numerics import apply_environment, half_products, products_by
from bench.calibration.records import append, distances
from bench.calibration.trajectory import Size, Start, segments
from training.device import choose_device
from training.inner import InnerLoop, InnerState
from training.model import FlatVector, read_flat, to_numpy
from training.replay import replay_segment

LENGTHS = (1, 5, 10, 25, 50)
# Of the segments trained on the GPU so many are left out for one that the CPU replays.
APART = {"lab": 2, "dev": 6}
Batch = NDArray[np.int64]


def fp32(size: Size, device: str, trajectory: int, out: Path, until: float) -> None:
    """Segments of every length on the device, replayed by the CPU, by the device again, and with TF32 on."""
    trainer, auditor, again = size.loop(device), size.loop("cpu"), size.loop(device)
    chance = np.random.default_rng([trajectory, 5])
    for at, (start, ended) in enumerate(segments(size, trainer, trajectory, LENGTHS)):
        if time.time() > until:
            return
        if at % APART[size.name]:
            continue

        def by(loop: InnerLoop, start: Start = start) -> InnerState:
            draw = size.draw(start.trajectory, start.round_number)
            return replay_segment(loop, start.before, draw, start.round_number, start.steps)

        words = start.words(size)
        ours = by(auditor)
        append(out, {"kind": "honest", "setting": device, **words, **distances(start.before, ended, ours)})
        append(
            out, {"kind": "honest", "setting": f"{device} twice", **words, **distances(start.before, ended, by(again))}
        )
        if device == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = True
            short = by(again)
            torch.backends.cuda.matmul.allow_tf32 = False
            append(out, {"kind": "TF32 on", "setting": device, **words, **distances(start.before, short, ours)})
        with products_by(half_products(torch.bfloat16)):
            short = by(again)
        append(out, {"kind": "bf16 products", "setting": device, **words, **distances(start.before, short, ours)})
        case = Case(size, again, start, ended, chance)
        forged = wrong_label(case)
        append(out, {"kind": "one wrong label", "setting": device, **words, **distances(start.before, forged, ours)})


def gradient(loop: InnerLoop, theta: FlatVector, batches: list[Batch]) -> FlatVector:
    """The gradient of the mean loss over the sequences of some batches, one backward pass each."""
    model = loop.model
    model.flat.copy_(torch.from_numpy(theta))
    model.flat_gradient.zero_()
    whole = sum(len(batch) for batch in batches)
    for batch in batches:
        loss: Any = model.loss(torch.from_numpy(batch).to(model.flat.device)) * (len(batch) / whole)
        loss.backward()
    return to_numpy(model.flat_gradient)


def stepped(loop: InnerLoop, start: Start, found: FlatVector) -> InnerState:
    """The state after one step of `start` with this gradient."""
    loop.restore(start.before)
    loop.model.flat_gradient.copy_(torch.from_numpy(found))
    loop.steps_done += 1
    loop._apply_gradient(1e-3)
    return replace(loop.state(), theta=read_flat(loop.model))


def bf16(size: Size, device: str, trajectory: int, out: Path, until: float) -> None:
    """One step in bf16: how far honest gradients lie apart, and how far dishonest ones."""
    trainer, other, here = size.loop(device), size.loop(device), size.loop("cpu")
    short = half_products(torch.bfloat16)
    for at, (start, _) in enumerate(segments(size, trainer, trajectory, (10,))):
        if time.time() > until or at >= 60:
            return
        if at % 2:
            continue
        batch = size.draw(trajectory, start.round_number)(start.before.steps_done)
        away = size.draw(trajectory + 1_000_003, start.round_number)(start.before.steps_done)
        label, sequence, half = batch.copy(), batch.copy(), len(batch) // 2
        label[0, -1] = (label[0, -1] + 1) % size.model.vocabulary
        sequence[0] = away[0]
        short_on: dict[str, tuple[InnerLoop, list[Batch]]] = {
            "honest: batch in halves": (other, [batch[:half], batch[half:]]),
            "honest: by sequences": (other, [batch[i : i + 1] for i in range(len(batch))]),
            "honest: CPU": (here, [batch]),
            "one wrong label": (other, [label]),
            "one other sequence": (other, [sequence]),
            "half the batch": (other, [batch[:half]]),
            "one other batch": (other, [away]),
        }

        def by(loop: InnerLoop, batches: list[Batch], start: Start = start) -> FlatVector:
            return gradient(loop, start.before.theta, batches)

        with products_by(short):
            claimed = by(other, [batch])
            found = {name: by(loop, batches) for name, (loop, batches) in short_on.items()}
        found["fp32"] = by(other, [batch])
        with products_by(half_products(torch.float16)):
            found["fp16"] = by(other, [batch])
        size_of_it = float(np.linalg.norm(claimed.astype(np.float64)))
        end = stepped(other, start, claimed)
        for name, each in found.items():
            apart = float(np.linalg.norm(each.astype(np.float64) - claimed)) / size_of_it
            record = {"kind": f"bf16 step, {name}", "setting": device, **start.words(size)}
            ends = distances(start.before, stepped(other, start, each), end)
            append(out, {**record, "gradient": float(f"{apart:.4g}"), **ends})


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.calibration.gpu")
    parser.add_argument("--data", type=Path, default=Path("build/lab"))
    parser.add_argument("--out", type=Path, default=Path("build/calibrate"))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=300)
    options = parser.parse_args()
    apply_environment()
    choose_device(options.device)
    began, out = time.time(), options.out / "gpu.jsonl"
    # A part of the time for each, and what one leaves goes to the next.
    Part = Callable[[Size, str, int, Path, float], None]
    parts: list[tuple[float, Part, str, int]] = [
        (0.12, bf16, "lab", 0),
        (0.24, bf16, "dev", 1),
        (0.45, fp32, "lab", 1),
        (0.75, fp32, "dev", 0),
        (1.0, fp32, "dev", 1),
    ]
    for share, part, name, trajectory in parts:
        part(Size.load(name, options.data), options.device, trajectory, out, began + share * options.seconds)
    print(f"the GPU's part took {time.time() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
