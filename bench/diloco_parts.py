"""Seconds of each part of an outer step, and by calculation the share of time in which a node does not train.

Parts are measured in this process on the models of the profiles dev and main, the best of some passes, and scaled by
parameters to 100 million. What a block costs is taken from networks that were observed (`bench diloco --only idle`).
"""

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from bench.figure import report
from bench.networks import lone_validator
from node.model_store import ModelStore, load_base, outer_root
from node.payload_store import PayloadStore
from node.template import Learning, create_network, read_template, template_path
from training.aggregate import aggregate_size
from training.evaluate import validation_parts
from training.model import NeuroLLM, load_flat
from training.outer import Entry, apply_aggregate, outer_step, rate_for
from training.payload import encode_payload, payload_norm, payload_size

PASSES, CORES = 3, 2
TRAINERS = 8  # all of them validators
UP, DOWN = 100e6 / 8, 500e6 / 8  # bytes a second
SPEED = Path(__file__).parent.parent / "docs/results/training_speed.json"
BLOCKS = 5  # commit, reveal, hold, result and opening, mix
FINALITY = Path(__file__).parent.parent / "docs/results/consensus.json"
LARGE = 100_000_000


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds of one node, for a model of so many parameters."""

    parameters: int
    payload_bytes: int
    aggregate_bytes: int
    seconds: dict[str, float]

    def scaled(self, parameters: int) -> "Costs":
        """For another size: every part reads or writes each parameter once or a few times."""
        factor = parameters / self.parameters
        return Costs(
            parameters,
            round(self.payload_bytes * factor),
            round(self.aggregate_bytes * factor),
            {name: value * factor for name, value in self.seconds.items()},
        )

    def transfers(self) -> dict[str, float]:
        """Every node is a validator: it gets the payloads of all others, and on average gives as many."""
        others = (TRAINERS - 1) * self.payload_bytes
        return {"payloads_up": others / UP, "payloads_down": others / DOWN}

    def aggregate_down(self) -> float:
        """For a trainer that is no validator, in place of the payloads."""
        return self.aggregate_bytes / DOWN


def best(work: Callable[[], object]) -> float:
    """Of the processor: other programs on the machine do not count, nor does waiting for the disk."""
    found = []
    for _ in range(PASSES):
        begun = time.process_time()
        work()
        found.append(time.process_time() - begun)
    return min(found)


def measure(profile: str, folder: Path) -> Costs:
    """All parts, for the model of a profile and TRAINERS payloads."""
    learning = learning_of(profile)
    sizes, born = learning.fragment_sizes, learning.born()
    chance = np.random.default_rng(1)
    moved = [(born.weights - chance.normal(0, 0.01, born.weights.size)).astype(np.float32) for _ in range(TRAINERS)]
    payloads = [encode_payload(born.weights, theta, sizes) for theta in moved]
    entries = [Entry(bytes([i]) * 32, payload, learning.outer.round_steps) for i, payload in enumerate(payloads)]
    state = outer_step(born, entries, sizes, learning.outer)
    rate, accepted = rate_for(learning.outer.rates, TRAINERS), (state.aggregate, state.trust)
    (folder / profile).mkdir()
    models, store = ModelStore(folder / profile, learning), PayloadStore(folder / profile)
    models.save_candidate(state, 1, outer_root(state, learning))
    saved = next((folder / profile).glob("*.safetensors"))
    seconds = {
        "encode": best(lambda: store.put(encode_payload(born.weights, moved[0], sizes))),
        "judge": TRAINERS * best(lambda: payload_norm(payloads[0], sizes)),
        "outer_step": best(lambda: outer_step(born, entries, sizes, learning.outer)),
        "apply": best(lambda: apply_aggregate(born, accepted, sizes, rate)),
        "roots": best(lambda: learning.outcome(bytes(32), state)),
        "save": best(lambda: models.save_candidate(state, 1, outer_root(state, learning))),
        "load": best(lambda: load_base(saved, learning)),
    }
    return Costs(sum(sizes), payload_size(sizes), aggregate_size(sizes), seconds)


def validation_seconds(learning: Learning) -> float:
    """On CORES, of the part of measuring the loss that a round which can begin waits for."""
    model = NeuroLLM(learning.model)
    load_flat(model, learning.born().weights)
    tokens = np.random.default_rng(2).integers(0, learning.model.vocabulary, 1 << 16).astype(np.uint16)
    torch.set_num_threads(1)
    return best(lambda: next(validation_parts(model, tokens))) / CORES


def learning_of(profile: str) -> Learning:
    return Learning.of(create_network(read_template(template_path(), profile), "bench", 0, (lone_validator(),)))


def idle_seconds(costs: Costs, interval_s: float, validation_s: float) -> dict[str, float]:
    """Seconds of an outer step of a node that is a validator, one after another."""
    finality_s = json.loads(FINALITY.read_text())["figures"]["finality_p50_ms"]["value"] / 1_000
    return {
        "compute": sum(costs.seconds.values()) - costs.seconds["apply"],
        "transfer": max(costs.transfers().values()),
        "blocks": BLOCKS * interval_s + finality_s,
        "validation": validation_s,
    }


def tell() -> None:
    """The figures."""
    with tempfile.TemporaryDirectory() as folder:
        found = {profile: measure(profile, Path(folder)) for profile in ("dev", "main")}
    for profile, costs in found.items():
        for name, seconds in costs.seconds.items():
            report(
                f"part_{name}_{profile}_seconds", seconds, "s", note=f"{costs.parameters} parameters, n = {TRAINERS}"
            )
    speed = max(json.loads(SPEED.read_text())["node"])
    measured_s = validation_seconds(learning_of("dev"))
    interval_s, tokens = _round_of("dev")
    parts = idle_seconds(found["dev"], interval_s, measured_s)
    _tell_share("dev", found["dev"], parts, tokens)
    idle, trained = sum(parts.values()), tokens / speed
    words = f"rounds of {trained:.1f} s by the recorded speed of one node on two cores"
    report("idle_share_calculated_dev", idle / (idle + trained), "", 0.05, words)
    large = found["main"].scaled(LARGE)
    interval_s, tokens = _round_of("main")
    _tell_share("100m", large, idle_seconds(large, interval_s, 0.0), tokens)


def _round_of(profile: str) -> tuple[float, int]:
    """The least interval of blocks in seconds, and the tokens of a round."""
    numbers = read_template(template_path(), profile)["parameters"]
    batch = numbers["chain.sequences"] * numbers["chain.sequence_length"]
    return numbers["chain.block_interval_min_ms"] / 1_000, numbers["chain.inner_steps"] * batch


def _tell_share(name: str, costs: Costs, parts: dict[str, float], tokens: int) -> None:
    idle = sum(parts.values())
    words = ", ".join(f"{part} {seconds:.2f} s" for part, seconds in parts.items())
    note = f"{costs.parameters} parameters, {TRAINERS} trainers that are all validators, 100/500 Mbit/s: {words}"
    report(f"idle_seconds_calculated_{name}", idle, "s", note=note)
    report(f"aggregate_down_{name}_seconds", costs.aggregate_down(), "s", note="a trainer that is no validator")
    least = 19 * idle
    words = f"with it 5 % are kept; a node slower than {tokens / least:.0f} tokens/s keeps them"
    report(f"least_training_seconds_{name}", least, "s", note=words)
