"""Train one node's rounds from birth, without a ledger, and record the held-out loss over tokens.

    .venv/bin/python -m bench learning --rounds 16 --threads 1 --record docs/results/genesis_run.json

Every round goes on with the second moments of the one before; its 4-bit payload is applied by the outer step for one
node.
"""

import argparse
import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from bench.figure import report
from bench.networks import lone_validator
from chain.crypto.hashing import tagged_hash
from node.corpus_choice import open_corpus, tokenizer_path
from node.template import Learning, create_network, read_template, template_path
from training.bigram import bigram_loss
from training.corpus import Corpus
from training.device import choose_device
from training.draw import draw_batch
from training.evaluate import WINDOW_TOKENS, WINDOWS, validation_loss, validation_windows
from training.generate import generate
from training.inner import InnerLoop
from training.model import NeuroLLM, load_flat
from training.outer import Entry, outer_step
from training.payload import encode_payload
from training.round import Watch, train_round
from training.tokens import Tokenizer

NODE = tagged_hash("bench", b"node")
PROMPTS = ("Fellow-Citizens of the Senate", "The President. Tonight", "The Treasury")


class Run:
    """One training run; every round appends to the record."""

    def __init__(self, learning: Learning, corpus: Corpus, device: torch.device) -> None:
        self.learning, self.corpus = learning, corpus
        self.state = learning.born()
        self.loop = InnerLoop(NeuroLLM(learning.model, device), learning.inner)
        self.tokenizer = Tokenizer.load(tokenizer_path())
        self.trained_s = 0.0
        windows = validation_windows(corpus.validation, WINDOWS, min(WINDOW_TOKENS, learning.model.context))
        self.record: dict[str, Any] = {
            "model": asdict(learning.model),
            "parameters": learning.parameters,
            "inner": asdict(learning.inner),
            "seed": learning.seed.hex(),
            "corpus_root": corpus.manifest.root.hex(),
            "device": str(device),
            "threads": torch.get_num_threads(),
            "bigram_loss": bigram_loss(corpus.train, windows, learning.model.vocabulary),
            "rounds": [],
        }

    def round(self, number: int) -> dict[str, Any]:
        """Train one round and measure the model before and after its delta is quantised."""
        inner, sizes = self.learning.inner, self.learning.fragment_sizes
        mix = tagged_hash("bench", b"mix", number.to_bytes(4, "big"))

        def draw(step: int) -> Any:
            return draw_batch(self.corpus.train, mix, NODE, step, inner.sequences, inner.length)

        begun = time.perf_counter()
        before = self.loop.state()
        self.loop.start(self.state.weights, before.v, before.v_steps + before.steps_done)
        done = train_round(self.loop, number, draw, Watch())
        payload = encode_payload(self.state.weights, done.theta, sizes)
        self.state = outer_step(self.state, [Entry(NODE, payload, inner.round_steps)], sizes, self.learning.outer)
        self.trained_s += time.perf_counter() - begun
        before = validation_loss(self.loop.model, self.corpus.validation)
        load_flat(self.loop.model, self.state.weights)
        entry = {
            "tokens": (number + 1) * inner.round_steps * inner.batch_tokens,
            "training_loss": sum(done.losses) / len(done.losses),
            "validation_loss_before_quantising": before,
            "validation_loss": validation_loss(self.loop.model, self.corpus.validation),
            "seconds_of_training": round(self.trained_s, 1),
            "payload_bytes": len(payload),
        }
        self.record["rounds"].append(entry)
        return entry

    def samples(self) -> dict[str, str]:
        return {p: "".join(generate(self.loop.model, self.tokenizer, p, 60, 0.7, 1)) for p in PROMPTS}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench learning")
    parser.add_argument("--record", type=Path, help="write the loss curve and samples there after every round")
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    network = create_network(read_template(template_path(), "dev"), "bench", 0, (lone_validator(),))
    cache = Path(tempfile.gettempdir()) / "neuroshard-bench"
    corpus = open_corpus(network, cache, lambda done, total: None)
    run = Run(Learning.of(network), corpus, choose_device(options.device)[0])
    for number in range(options.rounds):
        entry = run.round(number)
        note = f"after {entry['tokens']} tokens and {entry['seconds_of_training']} s of training; reference: the bigram"
        report("validation_loss", entry["validation_loss"], "nats/token", run.record["bigram_loss"], note)
        if options.record:
            content = {**run.record, "samples": run.samples()}
            options.record.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
