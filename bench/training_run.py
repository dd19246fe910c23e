"""Train one node alone from birth, through real rounds, and record the held-out loss over tokens as JSON.

    python bench/training_run.py docs/results/genesis_run.json --rounds 16 --threads 1

Every round starts from fresh optimizer state; its 4-bit payload is applied by the outer step for one node.
"""

import argparse
import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import torch

from training.bigram import bigram_loss
from training.birth import birth
from training.corpus import Corpus
from training.draw import draw_batch
from training.evaluate import validation_loss
from training.generate import generate
from training.inner import InnerLoop
from training.layout import ModelConfig, parameter_count, parameter_layout
from training.manifest import read_manifest
from training.model import NeuroLLM, load_flat
from training.outer import OuterRate, genesis_state, outer_step
from training.payload import encode_payload
from training.round import Watch, train_round
from training.schedule import InnerSpec
from training.sources import folder_source, package_folder, shipped_file
from training.tags import tagged
from training.tokens import Tokenizer

MODEL = ModelConfig(
    vocabulary=4096, width=128, layers=3, heads=4, kv_heads=1, ffn_width=384, context=128, rope_base=10_000
)
SPEC = InnerSpec(
    round_steps=250,
    segment_steps=10,
    sequences=8,
    length=128,
    peak_rate_nanos=3_000_000,
    floor_rate_nanos=300_000,
    warmup_steps=100,
    rewarm_steps=10,
    hold_steps=1000,
    beta1_milli=900,
    beta2_milli=990,
    weight_decay_micros=100_000,
    clip_milli=1000,
)
ALONE = OuterRate(from_payloads=1, rate_milli=1000, momentum_milli=0)
NODE = tagged("bench", b"node")
PROMPTS = ("Fellow-Citizens of the Senate", "The President. Tonight", "The Treasury")


def open_corpus() -> Corpus:
    """The embedded corpus, cached for this machine."""
    manifest = read_manifest(shipped_file("manifest.json").read_text(encoding="utf-8"))
    cache = Path(tempfile.gettempdir()) / "neuroshard-bench"
    return Corpus.open(manifest, folder_source(package_folder()), shipped_file("tokenizer.json"), cache)


def run(rounds: int, seed: bytes, target: Path) -> None:
    """Train, print a line a round, and rewrite the record after each."""
    corpus, tokenizer = open_corpus(), Tokenizer.load(shipped_file("tokenizer.json"))
    sizes = [fragment.count for fragment in parameter_layout(MODEL)]
    loop = InnerLoop(NeuroLLM(MODEL), SPEC)
    state = genesis_state(birth(MODEL, seed))
    record = {
        "model": asdict(MODEL),
        "parameters": parameter_count(MODEL),
        "inner": asdict(SPEC),
        "seed": seed.hex(),
        "corpus_root": corpus.manifest.root.hex(),
        "threads": torch.get_num_threads(),
        "bigram_loss": bigram_loss(corpus.train, corpus.validation, MODEL.vocabulary),
        "rounds": [],
    }
    trained_s = 0.0
    for number in range(rounds):
        mix = tagged("bench", b"mix", number.to_bytes(4, "big"))
        begun = time.perf_counter()
        loop.start(state.weights)
        report = train_round(
            loop,
            number,
            lambda step, mix=mix: draw_batch(corpus.train, mix, NODE, step, SPEC.sequences, SPEC.length),
            Watch(),
        )
        payload = encode_payload(state.weights, report.theta, sizes)
        state = outer_step(state, [payload], sizes, [ALONE])
        trained_s += time.perf_counter() - begun
        before = validation_loss(loop.model, corpus.validation)
        load_flat(loop.model, state.weights)
        entry = {
            "tokens": (number + 1) * SPEC.round_steps * SPEC.batch_tokens,
            "training_loss": sum(report.losses) / len(report.losses),
            "validation_loss_before_quantising": before,
            "validation_loss": validation_loss(loop.model, corpus.validation),
            "seconds_of_training": round(trained_s, 1),
            "payload_bytes": len(payload),
        }
        record["rounds"].append(entry)
        record["samples"] = {prompt: "".join(generate(loop.model, tokenizer, prompt, 60, 0.7, 1)) for prompt in PROMPTS}
        target.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(json.dumps(entry), flush=True)


def main() -> None:
    """Parse the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path)
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", default="00" * 32)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    run(arguments.rounds, bytes.fromhex(arguments.seed), arguments.target)


if __name__ == "__main__":
    main()
