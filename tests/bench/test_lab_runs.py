"""Rounds in the lab are rounds of the protocol: local training, payloads, outer step, a fresh start."""

import numpy as np
import pytest
import torch

from bench.lab.codec import Codec
from bench.lab.data import Tokens
from bench.lab.fleet import Fleet, FleetSpec, Rows
from bench.lab.runs import Group, MeanInIntegers, MeanInReals, train_runs
from training.birth import birth
from training.inner import InnerLoop
from training.layout import ModelConfig, parameter_layout
from training.model import NeuroLLM, read_flat
from training.outer import Entry, OuterRate, OuterSpec, genesis_state, outer_step
from training.payload import encode_payload
from training.robust import MEAN
from training.schedule import InnerSpec

CONFIG = ModelConfig(vocabulary=128, width=8, layers=1, heads=2, kv_heads=1, ffn_width=12, context=16, rope_base=10_000)
SIZES = tuple(fragment.count for fragment in parameter_layout(CONFIG))
SPEC = FleetSpec(CONFIG, replicas=2, sequences=2, length=16)
RATE = 3_000_000


@pytest.fixture(scope="module")
def tokens():
    chance = np.random.default_rng(1)
    train = (128 * chance.random(3_000) ** 3).astype(np.int32)
    windows = (128 * chance.random((8, 17)) ** 3).astype(np.int64)
    return Tokens(torch.from_numpy(train), torch.from_numpy(windows))


def fleet_of(tokens, seeds, replicas=2, synchronous=0):
    births = torch.from_numpy(np.stack([birth(CONFIG, bytes([seed]) * 32) for seed in seeds]))
    spec = FleetSpec(CONFIG, replicas, 2, 16)
    count = len(seeds)
    curve = torch.ones(1, 100, dtype=torch.float64)
    peaks = torch.full((count,), RATE / 1e9)
    return Fleet(
        spec,
        Rows(torch.tensor(seeds), peaks, torch.zeros(count, dtype=torch.int64), curve, synchronous),
        births,
        tokens,
    )


def milli(rate, momentum, runs=1):
    return torch.full((runs,), rate), torch.full((runs,), momentum)


def test_rounds_of_two_replicas_are_those_of_two_nodes(tokens):
    fleet = fleet_of(tokens, [3, 4])
    rule = MeanInIntegers(Codec(SIZES), milli(600, 900, 2))
    group = Group.of(fleet, [0, 1], 5, rule, [(False, False)] * 2)
    batches = [fleet.batch()[2:]]
    for _ in range(9):
        fleet.step_number += 1
        batches.append(fleet.batch()[2:])
    fleet.step_number.zero_()
    assert [step for step, _ in train_runs(fleet, [group], 10, 10)] == [10]

    inner = InnerSpec(5, 5, 2, 16, RATE, 0, 1, 1, 100, 900, 990, 100_000, 1_000)
    state = genesis_state(birth(CONFIG, bytes([4]) * 32))
    for number in range(2):
        entries = []
        for node in range(2):
            loop = InnerLoop(NeuroLLM(CONFIG), inner)
            loop.start(state.weights)
            for step in range(5):
                loop.step(batches[5 * number + step][node].numpy(), number)
            payload = encode_payload(state.weights, read_flat(loop.model), SIZES)
            entries.append(Entry(bytes([node]) * 32, payload, 5))
        state = outer_step(state, entries, SIZES, OuterSpec(5, (OuterRate(1, 600, 900),), MEAN))
    # Sums in another order may move a code by one here and there.
    moved = np.linalg.norm(state.weights - birth(CONFIG, bytes([4]) * 32))
    assert np.linalg.norm(group.weights[1].numpy() - state.weights) < 0.01 * moved


def test_one_replica_that_carries_its_averages_at_rate_one_just_trains_on(tokens):
    rounds, whole = fleet_of(tokens, [3], 1), fleet_of(tokens, [3], 1)
    group = Group.of(rounds, [0], 5, MeanInReals(milli(1000, 0)), [(True, True)])
    losses = [each.item() for _, each in train_runs(rounds, [group], 20, 10)]
    wanted = [each.item() for _, each in train_runs(whole, [], 20, 10)]
    assert losses == pytest.approx(wanted, rel=1e-5) and len(losses) == 2


def test_groups_of_one_fleet_close_their_rounds_apart(tokens):
    fleet = fleet_of(tokens, [3, 3, 3])
    short = Group.of(fleet, [1], 5, MeanInReals(milli(600, 900)), [(False, False)])
    long = Group.of(fleet, [0, 2], 10, MeanInReals(milli(600, 900, 2)), [(True, True), (False, True)])
    (_, losses), (_, later) = train_runs(fleet, [short, long], 20, 10)
    assert fleet.m_age.tolist() == [20, 20, 0, 0, 0, 0] and fleet.v_age.tolist() == [20, 20, 0, 0, 20, 20]
    assert torch.isfinite(losses).all() and (later < losses).all()
    assert losses[0] == pytest.approx(losses[2].item(), rel=1e-5)  # the first round is not touched by what is kept
    assert later[0] != later[2] and losses[0] != losses[1]


def test_a_rule_sees_every_delta_and_decides_alone(tokens):
    class Still:
        def close(self, number, base, deltas):
            seen.append((number, deltas.shape, bool((deltas != 0).any(-1).all())))
            return base

    seen = []
    fleet = fleet_of(tokens, [3])
    group = Group.of(fleet, [0], 5, Still(), [(False, False)])
    born = group.weights.clone()
    list(train_runs(fleet, [group], 10, 5))
    assert seen == [(number, (1, 2, sum(SIZES)), True) for number in (0, 1)]
    assert torch.equal(fleet.weights()[0], born.expand(2, -1))


def test_a_codec_costs_little_and_its_payload_alone_less(tokens):
    born = fleet_of(tokens, [3]).weights()[0, :1].clone()
    deltas = 0.01 * torch.randn(1, 2, sum(SIZES), generator=torch.Generator().manual_seed(1))
    exact = MeanInReals(milli(600, 900)).close(0, born, deltas)
    payload = MeanInReals(milli(600, 900), Codec(SIZES)).close(0, born, deltas)
    both = MeanInIntegers(Codec(SIZES), milli(600, 900)).close(0, born, deltas)
    assert 0 < (payload - exact).norm() <= (both - exact).norm() < 0.2 * (exact - born).norm()
