"""Is the data ever the bottleneck? Drawing a batch against one training step on it.

.venv/bin/python -m bench corpus
"""

import argparse
import tempfile
import time
from pathlib import Path

from bench.figure import report
from bench.networks import lone_validator
from chain.crypto.hashing import tagged_hash
from node.corpus_choice import shipped_manifest, tokenizer_path
from node.template import Learning, create_network, read_template, template_path
from node.threads import usual_threads
from training.birth import birth
from training.corpus import Corpus
from training.draw import draw_batch
from training.sources import folder_source, package_folder

STEPS = 40


def main(arguments: list[str]) -> None:
    argparse.ArgumentParser(prog="bench corpus").parse_args(arguments)
    import torch

    from training.inner import InnerLoop
    from training.model import NeuroLLM

    torch.set_num_threads(usual_threads())
    template = read_template(template_path(), "dev")
    learning = Learning.of(create_network(template, "bench", 0, (lone_validator(),)))
    with tempfile.TemporaryDirectory() as cache:
        begun = time.perf_counter()
        corpus = Corpus.open(shipped_manifest(), folder_source(package_folder()), tokenizer_path(), Path(cache))
        cold_s = time.perf_counter() - begun
        begun = time.perf_counter()
        corpus = Corpus.open(shipped_manifest(), folder_source(package_folder()), tokenizer_path(), Path(cache))
        report("tokenise_all_seconds", cold_s, "s", None, "first start")
        report(
            "verify_cache_seconds", time.perf_counter() - begun, "s", cold_s, "every later start; reference: the first"
        )
        mix, node = tagged_hash("bench", b"mix"), tagged_hash("bench", b"node")
        inner = learning.inner
        begun = time.perf_counter()
        batches = [draw_batch(corpus.train, mix, node, step, inner.sequences, inner.length) for step in range(STEPS)]
        draw_ms = (time.perf_counter() - begun) * 1000 / STEPS
        loop = InnerLoop(NeuroLLM(learning.model), inner)
        loop.start(birth(learning.model, learning.seed))
        loop.step(batches[0], 0)
        begun = time.perf_counter()
        for batch in batches[1:]:
            loop.step(batch, 0)
        step_ms = (time.perf_counter() - begun) * 1000 / (STEPS - 1)
        report("draw_batch_ms", draw_ms, "ms", step_ms, "reference: one training step on the same threads")
