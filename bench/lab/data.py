"""The lab's tokens and which of them every replica reads at every step.

A run of seed s reads batches 0, 1, 2 … of one endless stream: of M replicas, replica j takes batch step * M + j. So
with equal seeds all methods, all M and all H train on the same batches in the same order, as far as M lets them.
Where a sequence starts is drawn by a counter-based hash, the finaliser of splitmix64 (Steele et al. 2014) applied
twice: no SHA as in the protocol, but it runs on any device without a loop.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

MASK = (1 << 64) - 1


def _signed(number: int) -> int:
    """The 64-bit pattern of `number` as a signed integer."""
    number &= MASK
    return number - (1 << 64) if number >> 63 else number


GOLDEN, FIRST, SECOND = (_signed(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


@dataclass(frozen=True)
class Tokens:
    """Both splits on the device: the corpus as int32 [N], and the held-out windows, int64 [windows, length + 1]."""

    train: Tensor
    windows: Tensor

    @classmethod
    def load(cls, folder: Path, device: torch.device, windows: int, length: int) -> "Tokens":
        """What `bench.lab.export` wrote; the windows lie evenly over the held-out split, as in training.evaluate."""
        train = np.load(folder / "train.npy").astype(np.int32)
        held_out = np.load(folder / "validation.npy").astype(np.int64)
        last = len(held_out) - 1 - length
        starts = last * np.arange(windows) // max(windows - 1, 1)
        cut = held_out[starts[:, None] + np.arange(length + 1)]
        return cls(torch.from_numpy(train).to(device), torch.from_numpy(cut).to(device))


def mixed(x: Tensor) -> Tensor:
    """The finaliser of splitmix64 on int64 bit patterns."""
    x = (x ^ _right(x, 30)) * FIRST
    x = (x ^ _right(x, 27)) * SECOND
    return x ^ _right(x, 31)


def _right(x: Tensor, bits: int) -> Tensor:
    """Shift as unsigned numbers."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def draw_starts(seeds: Tensor, batches: Tensor, sequences: int, positions: int) -> Tensor:
    """Where the sequences of some batches start: seeds and batches int64 [R] -> int64 [R, sequences]."""
    key = mixed(seeds * GOLDEN + SECOND)[:, None]
    counter = batches[:, None] * sequences + torch.arange(sequences, device=batches.device)
    drawn = mixed(mixed(key + counter * GOLDEN) + key)
    return _right(drawn, 1) % positions


def cut_batches(train: Tensor, starts: Tensor, length: int) -> Tensor:
    """The batches int64 [R, sequences, length + 1] that start there."""
    places = starts[..., None] + torch.arange(length + 1, device=train.device)
    return train[places].long()
