"""What the nodes and validators of a village share: the network's numbers, its corpus, and one model to train with.

A state is kept as three flat vectors; the model is loaded with the one that is to be trained on. Inner steps are
counted by what they were taken for, so that the cost of checking can be compared with the cost of training.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from chain.audit_messages import StateParts
from chain.block import Outcome
from chain.crypto.hashing import ZERO, merkle_root
from chain.genesis import Network, Parameter, check_network
from node.template import Learning
from tests.builders import a_network
from training.draw import draw_batch
from training.inner import InnerLoop, InnerState
from training.model import NeuroLLM
from training.outer import Entry, OuterState, outer_step
from training.pages import pages_root

Batch = NDArray[np.int64]
Draw = Callable[[int], Batch]

TINY = {
    "model.vocabulary": 32,
    "model.width": 8,
    "model.layers": 1,
    "model.heads": 1,
    "model.kv_heads": 1,
    "model.ffn_width": 16,
    "model.context": 8,
    "model.rope_base": 10_000,
    "inner.beta1_milli": 900,
    "inner.beta2_milli": 990,
    "inner.clip_milli": 1_000,
    "inner.rewarm_steps": 2,
    "inner.weight_decay_micros": 100_000,
    "inner.peak_rate_nanos": 6_000_000,
    "inner.floor_rate_nanos": 600_000,
    "inner.warmup_steps": 8,
    "inner.hold_steps": 1_000,
    "outer.rule": 4,
    "outer.length_eighths": 7,
    "outer.1.rate_milli": 1_000,
    "outer.1.momentum_milli": 0,
    "outer.2.rate_milli": 700,
    "outer.2.momentum_milli": 500,
}
LITTLE_CHAIN = {
    "inner_steps": 8,
    "segment_steps": 2,
    "sequences": 4,
    "sequence_length": 8,
    "seats": 64,
    "train_blocks": 8,
    "grace_blocks_minimum": 4,
    "registrations_per_block": 64,
    "block_gas_maximum": 20_000_000,
    "lane_gas_maximum": 5_000_000,
    "base_fee_initial": 1,
    "base_fee_minimum": 1,
    "vest_rounds": 6,
}


def a_learning_network(validators: int = 1, learning: dict[str, int] | None = None, **chain: int) -> Network:
    """A checked network whose model is really born. Keywords replace `chain.*` parameters."""
    numbers = TINY | (learning or {})
    bare = a_network(validators, **(LITTLE_CHAIN | chain))
    extra = tuple(Parameter(name.encode(), value) for name, value in numbers.items())
    parameters = tuple(sorted((*bare.parameters, *extra), key=lambda parameter: parameter.name))
    draft = replace(bare, parameters=parameters)
    found = Learning.of(draft)
    network = replace(draft, start=found.outcome(ZERO, found.born()))
    check_network(network)
    return network


def some_tokens(vocabulary: int, count: int = 5_000) -> NDArray[np.uint16]:
    """Tokens with something to learn: each is followed by one of two."""
    choices = np.random.default_rng(7).integers(0, 2, count)
    tokens = np.zeros(count, dtype=np.uint16)
    for index in range(1, count):
        tokens[index] = (int(tokens[index - 1]) * 3 + 1 + choices[index]) % vocabulary
    return tokens


def root_of(whole: NDArray[np.float32] | bytes) -> bytes:
    return pages_root(whole, merkle_root)


def parts_of(state: InnerState) -> StateParts:
    return StateParts(root_of(state.theta), root_of(state.m), root_of(state.v))


@dataclass
class School:
    """One network's learning, and the machine on which everybody in the village computes."""

    network: Network
    tokens: NDArray[np.uint16]
    steps: Counter[str] = field(default_factory=Counter)  # inner steps taken, by purpose
    seconds: Counter[str] = field(default_factory=Counter)  # that training and judging took
    fetched: int = 0  # bytes of blobs that auditors got
    judged: int = 0  # replays with all that belongs to them
    last_replay: tuple[object, tuple[InnerState, tuple[bytes, ...]]] | None = None

    def __post_init__(self) -> None:
        self.params = self.network.params
        self.learning = Learning.of(self.network)
        self.loop = InnerLoop(NeuroLLM(self.learning.model), self.learning.inner)
        born = self.learning.born()
        self.bases: dict[bytes, OuterState] = {self.network.start.outer_root: born}
        self._results: dict[tuple[bytes, bytes], Outcome] = {}

    def weights(self, base: Outcome) -> NDArray[np.float32]:
        return self.bases[base.outer_root].weights

    def draw(self, mix: bytes, node: bytes) -> Draw:
        inner = self.learning.inner
        return lambda step: draw_batch(self.tokens, mix, node, step, inner.sequences, inner.length)

    def train(self, before: InnerState, number: int, draw: Draw, steps: int, purpose: str) -> InnerState:
        """Take `steps` inner steps of round `number` from a state of it."""
        begun = time.perf_counter()
        self.loop.restore(before)
        for _ in range(steps):
            self.loop.step(draw(self.loop.steps_done), number - 1)
        self.steps[purpose] += steps
        self.seconds["training"] += time.perf_counter() - begun
        return self.loop.state()

    def result(self, base: Outcome, counted_root: bytes, entries: list[Entry]) -> Outcome:
        """The outer step over the counted payloads. It is computed once: all validators would compute the same."""
        place = base.outer_root, counted_root
        if place not in self._results:
            state = outer_step(self.bases[base.outer_root], entries, self.learning.fragment_sizes, self.learning.outer)
            outcome = self.learning.outcome(counted_root, state)
            self.bases[outcome.outer_root] = state
            self._results[place] = outcome
        return self._results[place]


@contextmanager
def remembered_signatures() -> Iterator[None]:
    """Within, a BLS signature is checked once: a village fills a block and then builds it, by the same checks."""
    from functools import lru_cache
    from types import SimpleNamespace

    from chain.crypto import bls

    real = bls._choice.module
    names = ("public_key", "sign", "prove_possession", "verify_possession", "aggregate")
    verify = lru_cache(maxsize=4_096)(real.fast_aggregate_verify)
    remembering = SimpleNamespace(**{name: getattr(real, name) for name in names})
    remembering.fast_aggregate_verify = lambda keys, message, signature: verify(tuple(keys), message, signature)
    bls._choice.module = remembering
    try:
        yield
    finally:
        bls._choice.module = real
