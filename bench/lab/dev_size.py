"""The dev profile's model (1.09 M parameters, batches of 8 x 128 tokens): outer rates and AdamW's fate at its size.

    python -m bench.lab.dev_size --data build/lab --out build/lab/dev_size.jsonl --device cuda

One seed or two: a look at whether what the lab profile says also holds where nodes train, not a table of results.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import torch

from bench.lab.cells import Cell
from bench.lab.data import Tokens
from bench.lab.execute import GENESIS, Lab, train_cells
from training.layout import ModelConfig

BATCHES = 12_000  # of 1,024 tokens; four replicas do 3,000 steps each, twelve rounds of 250
PEAK = 3_000
OUTER = ((1000, 0), (700, 500), (600, 900), (800, 900))


def dev_profile() -> tuple[ModelConfig, int, int]:
    """Model, sequences and length of genesis.json's dev profile."""
    numbers = json.loads(GENESIS.read_text(encoding="utf-8"))["profiles"]["dev"]
    model = {name.partition(".")[2]: value for name, value in numbers.items() if name.startswith("model.")}
    return ModelConfig(**model), numbers["chain.sequences"], numbers["chain.sequence_length"]


def cells_of_four() -> list[Cell]:
    """Four replicas: the grid."""
    found = [Cell("sync", 4, 0, "carried", peak, 0, 0, 1, rewarm=1) for peak in (PEAK, 2 * PEAK)]
    for state in ("reset", "v", "carried"):
        rewarm = 1 if state == "carried" else 10
        found += [Cell("fp32", 4, 250, state, PEAK, *outer, 1, rewarm) for outer in OUTER]
        found.append(Cell("fp32", 4, 500, state, PEAK, 1000, 0, 1, rewarm))
    found += [Cell("fp32", 4, 250, "reset", 2 * PEAK, *outer, 1) for outer in OUTER[:2]]
    found += [Cell("fp32", 4, 250, "reset", PEAK, 1000, 0, 1, rewarm=50)]
    found += [Cell("fp32", 4, 250, "reset", PEAK, 1000, 0, 1, epsilon=6)]
    found += [Cell("4bit", 4, 250, "reset", PEAK, *outer, 1) for outer in (OUTER[0], OUTER[2])]
    found += [Cell("sync", 4, 0, "carried", PEAK, 0, 0, 2, rewarm=1)]
    for state in ("reset", "v", "carried"):
        found.append(Cell("fp32", 4, 250, state, PEAK, 1000, 0, 2, 1 if state == "carried" else 10))
    return [*found, Cell("4bit", 4, 250, "reset", PEAK, 1000, 0, 2)]


def cells_of_one() -> list[Cell]:
    """A lone replica: what starting afresh costs it."""
    found = [Cell("sync", 1, 0, "carried", PEAK, 0, 0, seed, rewarm=1) for seed in (1, 2)]
    return found + [Cell("fp32", 1, 250, state, PEAK, 1000, 0, seed) for state in ("reset", "v") for seed in (1, 2)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path("build/lab"))
    parser.add_argument("--out", type=Path, default=Path("build/lab/dev_size.jsonl"))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batches", type=int, default=BATCHES)
    options = parser.parse_args()
    device = torch.device(options.device)
    config, sequences, length = dev_profile()
    tokens = Tokens.load(options.data, device, 256, length)
    lab = Lab(config, sequences, length, tokens, device, options.batches, 1 << (28 if device.type == "cuda" else 20))
    more = {"batches": lab.batches, "device": device.type, "profile": "dev"}
    for each in (cells_of_four(), cells_of_one()):
        cells = [replace(cell, sequences=sequences) for cell in each]
        began = time.monotonic()
        with options.out.open("a", encoding="utf-8") as file:
            for record in train_cells(lab, cells):
                file.write(json.dumps({**record, **more}) + "\n")
        print(f"{len(cells)} runs in {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main()
