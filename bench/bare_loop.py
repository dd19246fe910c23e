"""`python -m bench.bare_loop THREADS KINDS`: train on random tokens, nothing else; prints tokens per second by kind.

The kinds take turns of a few steps, so that a neighbour's load falls on all alike.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from bench.networks import lone_validator
from bench.textbook import Textbook
from node.template import Learning, create_network, read_template, template_path
from training.draw import draw_batch
from training.inner import InnerLoop
from training.model import NeuroLLM

TURNS, STEPS, WARM_UP = 20, 10, 5


def ours(learning: Learning, tokens: np.ndarray) -> Callable[[], object]:
    loop = InnerLoop(NeuroLLM(learning.model), learning.inner)
    loop.start(learning.born().weights)
    inner = learning.inner

    def step() -> object:
        loop.steps_done %= inner.round_steps
        batch = draw_batch(tokens, bytes(32), bytes(32), loop.steps_done, inner.sequences, inner.length)
        return loop.step(batch, 0)

    return step


def textbook(learning: Learning, tokens: np.ndarray, compiled: bool) -> Callable[[], object]:
    inner = learning.inner
    model = Textbook(learning.model)
    loss_of = torch.compile(model) if compiled else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1, fused=True)
    done = 0

    def step() -> object:
        nonlocal done
        batch = draw_batch(tokens, bytes(32), bytes(32), done, inner.sequences, inner.length)
        optimizer.zero_grad()
        loss = loss_of(torch.from_numpy(batch))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        done += 1
        return loss.item()

    return step


def main() -> None:
    threads, kinds = int(sys.argv[1]), sys.argv[2].split(",")
    torch.set_num_threads(threads)
    learning = Learning.of(create_network(read_template(template_path(), "dev"), "bench", 0, (lone_validator(),)))
    tokens = np.random.default_rng(0).integers(0, learning.model.vocabulary, 1_000_000).astype(np.uint16)
    steps, speeds = {}, {}
    for kind in kinds:
        begun = time.monotonic()
        step = ours(learning, tokens) if kind == "ours" else textbook(learning, tokens, kind == "compiled")
        step()
        if kind == "compiled":
            speeds["compiled_start_seconds"] = time.monotonic() - begun
        for _ in range(WARM_UP):
            step()
        steps[kind] = step
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(TURNS):
        for kind, step in steps.items():
            begun = time.monotonic()
            for _ in range(STEPS):
                step()
            times[kind].append(time.monotonic() - begun)
    for kind in kinds:
        speeds[kind] = STEPS * learning.inner.batch_tokens / statistics.median(times[kind])
    print(json.dumps(speeds))


if __name__ == "__main__":
    main()
