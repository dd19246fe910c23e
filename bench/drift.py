"""How far two honest machines drift apart on one segment: the same steps on two devices or thread counts.

    .venv/bin/python -m bench drift --first cpu:1 --second cpu:2 --steps 10,50
    .venv/bin/python -m bench drift --first cpu:1 --second cuda --steps 10,50

Figures are ‖Δ − Δ′‖ / ‖Δ‖ over the weights, and over both AdamW moments ‖m − m′‖ / ‖m‖. Reference: other data.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.figure import report
from bench.networks import lone_validator
from chain.crypto.hashing import tagged_hash
from node.corpus_choice import open_corpus
from node.template import Learning, create_network, read_template, template_path
from training.corpus import Corpus
from training.device import choose_device
from training.draw import draw_batch
from training.inner import InnerLoop, InnerState
from training.model import NeuroLLM

MIX = tagged_hash("bench", b"mix")


def segment(place: str, learning: Learning, corpus: Corpus, steps: int, node: bytes) -> InnerState:
    """The state after `steps` steps from birth at a place: cpu:THREADS, cuda or mps."""
    kind, _, threads = place.partition(":")
    torch.set_num_threads(int(threads or 1))
    loop = InnerLoop(NeuroLLM(learning.model, choose_device(kind)[0]), learning.inner)
    loop.start(learning.born().weights)
    for step in range(steps):
        loop.step(draw_batch(corpus.train, MIX, node, step, learning.inner.sequences, learning.inner.length), 0)
    return loop.state()


def apart(one: Any, other: Any, start: Any = 0.0) -> float:
    """Relative Euclidean distance of two vectors, or of their differences from `start`."""
    first, second = one.astype(np.float64) - start, other.astype(np.float64) - start
    return float(np.linalg.norm(first - second) / np.linalg.norm(first))


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench drift")
    parser.add_argument("--first", default="cpu:1")
    parser.add_argument("--second", default="cpu:2")
    parser.add_argument("--steps", default="10,50")
    options = parser.parse_args(arguments)
    network = create_network(read_template(template_path(), "dev"), "bench", 0, (lone_validator(),))
    learning = Learning.of(network)
    corpus = open_corpus(network, Path(tempfile.gettempdir()) / "neuroshard-bench", lambda done, total: None)
    born = learning.born().weights
    for steps in map(int, options.steps.split(",")):
        runs = [segment(place, learning, corpus, steps, MIX) for place in (options.first, options.second)]
        other = segment(options.first, learning, corpus, steps, tagged_hash("bench", b"other data"))
        cheat = apart(runs[0].theta, other.theta, born)
        note = f"{options.first} against {options.second}, {steps} steps; reference: other data on {options.first}"
        report(f"drift_theta_{steps}", apart(runs[0].theta, runs[1].theta, born), "relative", cheat, note)
        report(f"drift_m_{steps}", apart(runs[0].m, runs[1].m), "relative", apart(runs[0].m, other.m), note)
        report(f"drift_v_{steps}", apart(runs[0].v, runs[1].v), "relative", apart(runs[0].v, other.v), note)
