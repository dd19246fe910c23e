"""What liars do to the learning, and what each rule does about it: real training, payloads and outer steps.

    .venv/bin/python -m bench byzantine --budget-seconds 14400      # make byzantine; goes on where it stopped
    .venv/bin/python -m bench byzantine --report                    # docs/results/byzantine.json and plots

Eight nodes of the `lab` profile, one or two of them liars that know everything (tests/adversaries). What counts is the
loss on held-out text after the last round, against the same run of the honest nodes alone, with the plain mean.
"""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from bench.byzantine_cells import NODES, RULES, cells, finished, waves
from bench.byzantine_fleet import Plan, Pool, append, train_wave
from bench.byzantine_round import Setting
from bench.lab.data import Tokens
from tests.adversaries.suite import SUITE
from training.layout import ModelConfig, parameter_layout
from training.outer import OuterRate, OuterSpec
from training.robust import RULE_NAMES
from training.schedule import InnerSpec

ROOT = Path(__file__).parent.parent
# Rows of a fleet and logits at a time: what two cores and 2 GB manage well, and what a large GPU does.
CPU_ROWS, GPU_ROWS = 64, 4096
CPU_BUDGET, GPU_BUDGET = 1 << 20, 1 << 29
WINDOWS = 128


def main(arguments: list[str]) -> None:
    options = _options(arguments)
    model, inner, setting = _lab(options)
    if options.report:
        from bench.byzantine_report import write_report

        setting_words = _in_words(options, model, inner, setting)
        write_report(finished(options.out), options.results / options.out.stem, setting_words)
        return
    begun = time.time()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    pool = Pool(options.processes, setting)
    tokens = Tokens.load(options.tokens, device, WINDOWS, inner.length)
    on_gpu = device.type == "cuda"
    budget = options.logits or (GPU_BUDGET if on_gpu else CPU_BUDGET)
    plan = Plan(model, inner, setting, tokens, device, budget, options.measure_every)
    done = {result["cell"] for result in finished(options.out)}
    wanted = cells(options.rules, options.attacks, options.liars, (options.seeds, options.seeds_without_liars))
    todo = [cell for cell in wanted if cell.name not in done]
    print(f"{len(todo)} runs to make, {len(done)} are there", flush=True)
    deadline = begun + options.budget_seconds
    for wave in waves(todo, options.rows or (GPU_ROWS if on_gpu else CPU_ROWS)):
        if time.time() > deadline:
            break
        for result in train_wave(plan, pool, wave, deadline):
            append(options.out, result)
    pool.close()
    print(f"{time.time() - begun:.0f} s", flush=True)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench byzantine")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "byzantine.jsonl", help="results, a line each")
    parser.add_argument("--report", action="store_true", help="only write what docs/results holds")
    parser.add_argument("--results", type=Path, default=ROOT / "docs" / "results", help="where the report goes")
    parser.add_argument("--tokens", type=Path, default=ROOT / "build" / "lab", help="where bench.lab.export wrote")
    parser.add_argument("--budget-seconds", type=float, default=14_400)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2, help="of the device, if it is the CPU")
    parser.add_argument("--processes", type=int, default=2, help="for the outer steps")
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--steps", type=int, default=50, help="inner steps of a round")
    parser.add_argument("--sequences", type=int, default=2, help="per batch")
    # Near the best for eight replicas and rounds of 50 steps (bench convergence); with momentum, runs scatter too much.
    parser.add_argument("--peak", type=int, default=8_000_000, help="inner learning rate in nanos")
    parser.add_argument("--outer", type=_numbers, default=[1000, 0], help="rate and momentum in thousandths")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seeds-without-liars", type=int, default=12, help="what a rule costs then is a small number")
    parser.add_argument("--rules", type=lambda text: text.split(","), default=list(RULES))
    parser.add_argument("--attacks", type=lambda text: text.split(","), default=list(SUITE))
    parser.add_argument("--liars", type=_numbers, default=[2, 1])
    parser.add_argument("--rows", type=int, help="nodes that train at a time")
    parser.add_argument("--logits", type=int, help="logits that may exist at a time")
    parser.add_argument("--measure-every", type=int, default=4, help="rounds")
    return parser.parse_args(arguments)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _lab(options: argparse.Namespace) -> tuple[ModelConfig, InnerSpec, Setting]:
    """The lab profile, read from genesis.json without the packages of the ledger."""
    template = json.loads((ROOT / "genesis.json").read_text())
    numbers: dict[str, int] = {**template["parameters"], **template["profiles"]["lab"]}

    def section(prefix: str) -> dict[str, Any]:
        return {name[len(prefix) + 1 :]: n for name, n in numbers.items() if name.startswith(f"{prefix}.")}

    model, length = ModelConfig(**section("model")), section("chain")["sequence_length"]
    inner = InnerSpec(
        round_steps=options.steps,
        segment_steps=options.steps,
        sequences=options.sequences,
        length=length,
        **{**section("inner"), "peak_rate_nanos": options.peak},
    )
    # The same rate for any number of payloads: rules are compared, not rates.
    spec = OuterSpec(options.steps, (OuterRate(1, *options.outer),))
    specs = {rule: _with_rule(spec, rule) for rule in (*RULE_NAMES, *options.rules)}
    sizes = tuple(fragment.count for fragment in parameter_layout(model))
    return model, inner, Setting(sizes, options.steps, options.rounds, specs)


def _with_rule(spec: OuterSpec, rule: str) -> OuterSpec:
    number = RULE_NAMES.index(rule) if rule in RULE_NAMES else RULE_NAMES.index("mean")
    return OuterSpec(spec.round_steps, spec.rates, number, spec.length_eighths)


def _in_words(options: argparse.Namespace, model: ModelConfig, inner: InnerSpec, setting: Setting) -> dict[str, Any]:
    """What the report says of how its runs were made."""
    return {
        "nodes": NODES,
        "parameters": sum(setting.fragment_sizes),
        "model": asdict(model),
        "inner": asdict(inner),
        "rounds": options.rounds,
        "tokens_per_node": options.rounds * options.steps * inner.batch_tokens,
        "outer": asdict(setting.specs["mean"].rates[0]),
    }
