"""The matrix products of a training step on one thread: oneDNN, PyTorch's own, and numpy's OpenBLAS, in GFLOP/s.

OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 .venv/bin/python -m bench products
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from bench.figure import report
from training.products import product

# (rows, inner, columns) at the genesis size: head, its gradients by input and weight, query-key-value, gate-up, down.
SHAPES = ((256, 128, 4096), (256, 4096, 128), (128, 256, 4096), (1024, 128, 192), (1024, 128, 768), (1024, 384, 128))
REPEATS = 60


def seconds(work: Callable[[], object]) -> float:
    """The faster quartile of many runs: a neighbour only ever slows one down."""
    work()
    found = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        work()
        found.append(time.perf_counter() - begun)
    return statistics.quantiles(found, n=4)[0]


def main(arguments: list[str]) -> None:
    torch.set_num_threads(1)
    for rows, inner, columns in SHAPES:
        x, weight = torch.randn(rows, inner), torch.randn(columns, inner)
        left, right = x.numpy(), np.ascontiguousarray(weight.numpy().T)
        work = 2 * rows * inner * columns / 1e9
        with torch.no_grad():
            ours = seconds(lambda x=x, weight=weight: product(x, weight))
            theirs = seconds(lambda x=x, weight=weight: x @ weight.T)
        numpy = seconds(lambda left=left, right=right: left @ right)
        note = f"{rows}x{inner}x{columns}; reference: PyTorch's own; numpy {work / numpy:.0f}"
        report("product_gflops", work / ours, "GFLOP/s", round(work / theirs, 1), note)
