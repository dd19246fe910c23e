"""The outer step: the same bits everywhere, in the right direction, within the integers it is stored in."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy._core import _multiarray_umath as umath

from chain.crypto.hashing import merkle_root, tagged_hash
from tests.training import oracle, oracle_rounds
from tests.training.oracle_robust import records_bytes
from tests.training.pseudo_gradients import FRAGMENT_SIZES, deltas, payloads
from tests.training.recorded_round import RATES, SPEC, all_roots, entries, replay
from training import blocks
from training.aggregate import NUMBER_LIMIT, encode8
from training.errors import PayloadError, TrainingError
from training.outer import (
    MOMENTUM_LIMIT_UNITS,
    Entry,
    OuterRate,
    OuterSpec,
    OuterState,
    apply_aggregate,
    genesis_state,
    outer_step,
    rate_for,
    roots,
)
from training.pages import pages_root
from training.payload import LARGEST_UNITS, encode_payload
from training.robust import CLIP_TRUST, RULE_NAMES
from training.rounding import divide_half_even
from training.trust import trust_bytes

ONE_BLOCK = (256,)
REPOSITORY = Path(__file__).parents[2]
JUST_TRAIN = OuterRate(1, 1000, 0)


def recorded(name: str) -> bytes:
    return (oracle_rounds.VECTORS / name).read_bytes()


def recorded_roots() -> dict[str, list[str]]:
    return json.loads(recorded("round_roots.json"))["outer_roots"]


def same(one: OuterState, other: OuterState) -> bool:
    """Equal to the bit; -0.0 is not 0.0."""
    return [one.weights.tobytes(), one.momentum.tobytes(), one.aggregate] == [
        other.weights.tobytes(),
        other.momentum.tobytes(),
        other.aggregate,
    ]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_rounds_agree_with_integer_arithmetic_to_the_bit(choice):
    sizes = choice.draw(FRAGMENT_SIZES)
    state = genesis_state(choice.draw(deltas(sizes)))
    expected: oracle.State = (state.weights.tobytes(), state.momentum.tolist(), b"", {})
    spec = OuterSpec(8, RATES, choice.draw(st.integers(0, 4)))
    for count in choice.draw(st.lists(st.integers(1, 6), min_size=1, max_size=2)):
        kinds = ("zeros", "denormals", "half a unit", "ties", "saturating", "trained")
        drawn = [choice.draw(deltas(sizes, kinds)) for _ in range(count)]
        published = [
            Entry(bytes([place] * 32), encode_payload(delta, np.zeros_like(delta), sizes), 8 - place)
            for place, delta in enumerate(drawn)
        ]
        state = outer_step(state, published, sizes, spec)
        counted = [(entry.node, entry.steps, bytes(entry.payload)) for entry in published]
        expected = oracle.step(expected, counted, sizes, (spec.rule, 8, 7))
        assert (state.weights.tobytes(), state.momentum.tolist(), state.aggregate) == expected[:3]
        assert trust_bytes(state.trust) == records_bytes(expected[3])


def test_a_lone_node_at_outer_rate_one_just_trains():
    # Weights on the grid of 2^-24 whose deltas both codes hold exactly: nothing is rounded on the way.
    chance = np.random.default_rng(9)
    sizes = (256, 300)
    codes = chance.integers(-7, 8, 556) * np.repeat((18, 1, 9), (256, 256, 44))
    codes[[0, 256, 512]] = (126, 7, -63)
    before = (chance.integers(-(1 << 23), 1 << 23, 556) * 2.0**-24).astype(np.float32)
    after = (before - codes * 2.0**-24).astype(np.float32)
    state = outer_step(genesis_state(before), entries([encode_payload(before, after, sizes)]), sizes, SPEC)
    assert np.array_equal(state.weights, after)
    assert not np.array_equal(before, after)


def test_the_step_goes_where_training_went():
    before = np.linspace(-1, 1, 256, dtype=np.float32)
    ends = [before + np.float32(0.01) * np.sign(before), before + np.float32(0.02) * np.sign(before)]
    published = [encode_payload(before, end, ONE_BLOCK) for end in ends]
    moved = outer_step(genesis_state(before), entries(published), ONE_BLOCK, SPEC).weights - before
    # Nesterov's first step is rate * (1 + factor) = 0.6 * 1.9 times the mean.
    assert np.allclose(moved, 0.015 * 1.14 * np.sign(before), rtol=0.1)


def test_nesterov_momentum_by_hand():
    row = np.zeros(256, dtype=np.int32)
    row[:2] = 100, -3
    aggregate = encode8(row, ONE_BLOCK)
    momentum = np.zeros(256, dtype=np.int32)
    momentum[:3] = 5, 15, -15
    state = OuterState(np.zeros(256, dtype=np.float32), momentum)
    after = apply_aggregate(state, (aggregate, ()), ONE_BLOCK, OuterRate(1, 500, 900))
    # 0.9 * 5 = 4.5 ties to 4; 13.5 ties to 14; -13.5 to -14.
    assert after.momentum[:3].tolist() == [104, 11, -14]
    step = np.array([0.5 * (100 + 0.9 * 104), 0.5 * (-3 + 0.9 * 11), 0.5 * 0.9 * -14])
    assert np.allclose(after.weights[:3], -step * 2.0**-24, rtol=1e-6)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.integers(-3000, 3000), st.integers(-(1 << 42), 1 << 42)), min_size=1))
def test_division_rounds_half_to_even(numbers):
    ties = [500 * number for number in numbers]
    found = divide_half_even(np.array(numbers + ties, dtype=np.int64), 1000)
    assert found.tolist() == [round(oracle.Fraction(number, 1000)) for number in numbers + ties]


@pytest.mark.parametrize("sign", [1, -1])
def test_at_the_limits_nothing_overflows(sign):
    # The largest momentum, the largest aggregate that decodes and the largest rates, all of one sign.
    aggregate = blocks.header(blocks.AGGREGATE, ONE_BLOCK) + bytes((255, 11, sign * 127 % 256)) + bytes(255)
    gradient = oracle.decode(aggregate, ONE_BLOCK, 127)
    assert 0.98 * NUMBER_LIMIT < abs(gradient[0]) < NUMBER_LIMIT
    momentum = [sign * (MOMENTUM_LIMIT_UNITS - 2 * NUMBER_LIMIT // 100), *[0] * 255]
    weights = np.full(256, 0.5, dtype=np.float32)
    state = OuterState(weights, np.array(momentum, dtype=np.int32))
    for _ in range(3):
        expected = oracle.apply(state.weights.tobytes(), state.momentum.tolist(), gradient, (2000, 960))
        state = apply_aggregate(state, (aggregate, ()), ONE_BLOCK, OuterRate(1, 2000, 960))
        assert (state.weights.tobytes(), state.momentum.tolist()) == expected
    assert abs(int(state.momentum[0])) > 24.5 * NUMBER_LIMIT


def test_the_step_is_divided_once_and_not_multiplied_by_a_reciprocal():
    # Weights that the step all but cancels: what is left shows the last bits of s / 10^6.
    momentum = np.random.default_rng(4).integers(-MOMENTUM_LIMIT_UNITS, MOMENTUM_LIMIT_UNITS, 2560).astype(np.int32)
    sizes = (momentum.size,)
    aggregate = encode8(np.zeros_like(momentum), sizes)
    still = OuterState(np.zeros(momentum.size, dtype=np.float32), momentum)
    weights = -apply_aggregate(still, (aggregate, ()), sizes, OuterRate(1, 600, 900)).weights
    after = apply_aggregate(OuterState(weights, momentum), (aggregate, ()), sizes, OuterRate(1, 600, 900))
    expected = oracle.apply(weights.tobytes(), momentum.tolist(), [0] * momentum.size, (600, 900))
    assert (after.weights.tobytes(), after.momentum.tolist()) == expected


def test_the_momentum_bound_holds_for_the_largest_aggregate_forever():
    # v' <= (960 v + 500) / 1000 + G - 1 in whole numbers, from rest, until it no longer grows.
    velocity, before = 0, -1
    while velocity != before:
        before = velocity
        velocity = round(oracle.Fraction(960 * velocity, 1000)) + NUMBER_LIMIT - 1
        assert velocity <= MOMENTUM_LIMIT_UNITS
    assert MOMENTUM_LIMIT_UNITS < 1 << 31
    assert 2000 * (1000 * NUMBER_LIMIT + 960 * MOMENTUM_LIMIT_UNITS) < 1 << 53


def test_a_momentum_that_no_round_reaches_is_refused():
    momentum = np.full(256, -(1 << 31), dtype=np.int32)
    state = OuterState(np.zeros(256, dtype=np.float32), momentum)
    aggregate = encode8(np.zeros(256, dtype=np.int32), ONE_BLOCK)
    with pytest.raises(TrainingError, match="momentum beyond"):
        apply_aggregate(state, (aggregate, ()), ONE_BLOCK, OuterRate(1, 1000, 960))


def test_rates_beyond_the_overflow_proof_are_refused():
    OuterRate(1, 2000, 960)
    OuterRate(1, 0, 0)
    for rate, momentum in ((2001, 0), (0, 961), (-1, 0), (0, -1)):
        with pytest.raises(TrainingError, match="thousandths"):
            OuterRate(1, rate, momentum)


def test_the_rate_follows_from_the_number_of_payloads():
    found = [(rate_for(RATES, n).rate_milli, rate_for(RATES, n).momentum_milli) for n in (1, 2, 4, 5, 7, 8, 64)]
    assert found == [(1000, 0), (600, 900), (600, 900), (700, 900), (700, 900), (800, 900), (800, 900)]
    with pytest.raises(TrainingError, match="3 payloads"):
        rate_for([OuterRate(4, 600, 900)], 3)


def test_the_step_leaves_the_old_state_alone():
    state = genesis_state(np.ones(256, dtype=np.float32))
    after = outer_step(state, entries(payloads(3, ONE_BLOCK, 1)), ONE_BLOCK, SPEC)
    assert same(state, genesis_state(np.ones(256, dtype=np.float32)))
    kept = OuterState(after.weights.copy(), after.momentum.copy(), after.aggregate)
    outer_step(after, entries(payloads(2, ONE_BLOCK, 2)), ONE_BLOCK, SPEC)
    assert same(after, kept)


def test_a_bad_payload_gives_no_state():
    with pytest.raises(PayloadError):
        outer_step(genesis_state(np.ones(256, dtype=np.float32)), entries([b"NSP1"]), ONE_BLOCK, SPEC)


def test_a_plain_trainer_needs_only_the_aggregate():
    state = genesis_state(np.ones(300, dtype=np.float32))
    full = outer_step(state, entries(payloads(3, (300,), 4)), (300,), SPEC)
    assert same(apply_aggregate(state, (full.aggregate, ()), (300,), rate_for(RATES, 3)), full)


def test_weights_that_stay_keep_the_sign_of_zero():
    weights = np.array([-0.0, 0.0, 2.0**-149, -(2.0**-149)], dtype=np.float32)
    aggregate = encode8(np.zeros(4, dtype=np.int32), (4,))
    assert (
        apply_aggregate(genesis_state(weights), (aggregate, ()), (4,), JUST_TRAIN).weights.tobytes()
        == weights.tobytes()
    )


def test_an_overlarge_pseudo_gradient_moves_weights_by_at_most_its_cap():
    before = np.zeros(256, dtype=np.float32)
    payload = encode_payload(before, before + np.float32(1e30), ONE_BLOCK)
    after = outer_step(genesis_state(before), entries([payload]), ONE_BLOCK, SPEC)
    assert np.allclose(after.weights, LARGEST_UNITS * 2.0**-24, rtol=0.01)


def test_work_in_chunks_of_any_size_gives_the_same_state(monkeypatch):
    sizes = (blocks.CHUNK_BLOCKS * 256 + 257, 900)
    state = genesis_state(np.random.default_rng(1).standard_normal(sum(sizes), dtype=np.float32))
    published = payloads(2, sizes, 2)
    after = outer_step(state, entries(published), sizes, SPEC)
    for chunk_blocks in (5, 1 << 20):
        monkeypatch.setattr(blocks, "CHUNK_BLOCKS", chunk_blocks)
        assert same(outer_step(state, entries(published), sizes, SPEC), after)


def test_the_recorded_rounds_give_the_recorded_bytes():
    joined, state, _ = replay(CLIP_TRUST)
    assert joined == recorded("payload_rounds.bin")
    assert state.aggregate == recorded("round_aggregate.bin")
    assert all_roots() == recorded_roots()


def test_the_recorded_rounds_differ_by_rule_from_the_first_that_has_one():
    found = recorded_roots()
    assert list(found) == list(RULE_NAMES)
    three = {tuple(each[:4]) for name, each in found.items() if name != "mean"}
    assert len(three) == 1
    assert len({each[-1] for each in found.values()}) == len(RULE_NAMES)


def dispatched() -> str:
    """The processor features beyond its baseline that numpy uses on this machine."""
    return " ".join(name for name in umath.__cpu_dispatch__ if umath.__cpu_features__[name])


@pytest.mark.parametrize(
    "changed",
    [
        {"NPY_DISABLE_CPU_FEATURES": dispatched(), "OMP_NUM_THREADS": "1"},
        {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"},
        {"OPENBLAS_CORETYPE": "Haswell"},
        {"OPENBLAS_CORETYPE": "SkylakeX", "OPENBLAS_NUM_THREADS": "2"},
        {"OPENBLAS_CORETYPE": "Prescott", "OPENBLAS_NUM_THREADS": "1"},
        {"OPENBLAS_CORETYPE": "Nehalem"},
        {"PYTHONHASHSEED": "1", "LC_ALL": "tr_TR.UTF-8", "TZ": "Asia/Kathmandu"},
    ],
    ids=["plain processor, one thread", "two threads", "Haswell", "SkylakeX", "Prescott", "Nehalem", "elsewhere"],
)
def test_the_recorded_rounds_give_the_same_roots_with_other_threads_kernels_features_and_places(changed):
    command = [sys.executable, "-m", "tests.training.recorded_round"]
    answer = subprocess.run(
        command, cwd=REPOSITORY, env={**os.environ, **changed}, capture_output=True, text=True, check=True, timeout=60
    )
    lines = [line.split() for line in answer.stdout.splitlines()]
    assert {name: found for name, *found in lines} == recorded_roots()


def test_the_outer_root_commits_to_all_parts():
    state = outer_step(
        genesis_state(np.ones(256, dtype=np.float32)), entries(payloads(2, ONE_BLOCK, 1)), ONE_BLOCK, SPEC
    )
    found = roots(state, ONE_BLOCK, merkle_root, tagged_hash)
    parts = found.model_root, found.weights_root, found.momentum_root, found.aggregate_root, found.trust_root
    assert found.outer_root == oracle.tagged("outer-state", *parts)
    records = {each.node: (each.score, each.rounds, each.absent, each.weight_ppm) for each in state.trust}
    plain = (state.weights.tobytes(), state.momentum.tolist(), state.aggregate, records)
    assert found.outer_root == oracle.outer_root(plain, ONE_BLOCK)
    assert found.aggregate_root == pages_root(state.aggregate, merkle_root) != bytes(32)
    assert found.trust_root == pages_root(trust_bytes(state.trust), merkle_root) != bytes(32)


def test_at_genesis_momentum_and_aggregate_have_no_root():
    found = roots(genesis_state(np.ones(256, dtype=np.float32)), ONE_BLOCK, merkle_root, tagged_hash)
    assert found.momentum_root == found.aggregate_root == found.trust_root == bytes(32)
    assert found.model_root != bytes(32)
