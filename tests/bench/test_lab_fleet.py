"""A fleet computes what training.inner computes, whoever trains beside."""

import numpy as np
import pytest
import torch

from bench.lab.data import Tokens
from bench.lab.fleet import Fleet, FleetSpec, Rows
from training.birth import birth
from training.inner import InnerLoop
from training.layout import ModelConfig
from training.model import NeuroLLM, load_flat
from training.schedule import InnerSpec, learning_rate

CONFIG = ModelConfig(
    vocabulary=512, width=16, layers=2, heads=2, kv_heads=1, ffn_width=44, context=32, rope_base=10_000
)
INNER = InnerSpec(
    round_steps=20,
    segment_steps=20,
    sequences=4,
    length=32,
    peak_rate_nanos=6_000_000,
    floor_rate_nanos=0,
    warmup_steps=10,
    rewarm_steps=5,
    hold_steps=1_000,
    beta1_milli=900,
    beta2_milli=990,
    weight_decay_micros=100_000,
    clip_milli=1_000,
)
SPEC = FleetSpec(CONFIG, replicas=2, sequences=4, length=32, budget=3 * 128 * 512)


DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


@pytest.fixture(scope="module", params=DEVICES)
def tokens(request):
    chance = np.random.default_rng(1)
    # Skewed like text, so that there is something to learn and the gradients differ by row.
    train = (512 * chance.random(5_000) ** 3).astype(np.int32)
    windows = (512 * chance.random((16, 33)) ** 3).astype(np.int64)
    return Tokens(torch.from_numpy(train).to(request.param), torch.from_numpy(windows).to(request.param))


def births(seeds):
    return torch.from_numpy(np.stack([birth(CONFIG, bytes([seed]) * 32) for seed in seeds]))


def fleet_of(tokens, seeds, spec=SPEC, **extra):
    curve = torch.tensor([[learning_rate(INNER, 0, step) / 6e-3 for step in range(20)]], dtype=torch.float64)
    count = len(seeds)
    numbers = torch.tensor(seeds), torch.full((count,), 6e-3), torch.zeros(count, dtype=torch.int64), curve
    rows = Rows(*(each.to(tokens.train.device) for each in numbers), **extra)
    return Fleet(spec, rows, births(seeds).to(tokens.train.device), tokens)


def alone(tokens, seeds, row, steps=20):
    """Weights and losses of the inner loop on the batches of one row."""
    fleet = fleet_of(tokens, seeds)
    loop = InnerLoop(NeuroLLM(CONFIG), INNER)
    loop.start(births(seeds)[row // 2].numpy())
    losses = []
    for _ in range(steps):
        losses.append(loop.step(fleet.batch()[row].cpu().numpy(), 0))
        fleet.step_number += 1
    return loop, losses


@pytest.mark.parametrize("row", [0, 3])
def test_twenty_steps_of_a_replica_are_those_of_the_inner_loop(tokens, row):
    fleet, losses = fleet_of(tokens, [1, 2]), []
    for _ in range(20):
        fleet.train(1)
        losses.append(fleet.losses[row].item())
    loop, wanted = alone(tokens, [1, 2], row)
    assert losses == pytest.approx(wanted, rel=1e-4)
    assert wanted[-1] < wanted[0]
    moved = loop.model.flat - births([1, 2])[row // 2]
    assert torch.linalg.vector_norm(fleet.flat[row].cpu() - loop.model.flat) < 1e-3 * torch.linalg.vector_norm(moved)


def test_gradients_are_those_of_the_model(tokens):
    fleet = fleet_of(tokens, [1, 2])
    batch = fleet.batch()
    stacked, batch = fleet.gradients(batch).cpu(), batch.cpu()
    model = NeuroLLM(CONFIG)
    for row in range(4):
        load_flat(model, fleet.flat[row].detach().cpu().numpy())
        model.flat_gradient.zero_()
        model.loss(batch[row]).backward()
        torch.testing.assert_close(stacked[row], model.flat_gradient, rtol=1e-3, atol=1e-7)


def test_a_recorded_step_is_the_step(tokens):
    """On a GPU twenty steps in one call are a recorded graph, replayed; elsewhere both ways are one."""
    one, other = fleet_of(tokens, [1, 2]), fleet_of(tokens, [1, 2])
    one.train(20)
    for _ in range(20):
        other.train(1)
    assert one.step_number.item() == other.step_number.item() == 20
    torch.testing.assert_close(one.weights(), other.weights(), rtol=1e-3, atol=1e-4)


def test_a_run_is_the_same_alone_and_beside_others(tokens):
    together, lone = fleet_of(tokens, [1, 2, 3]), fleet_of(tokens, [2])
    together.train(10)
    lone.train(10)
    torch.testing.assert_close(together.weights()[1], lone.weights()[0], rtol=1e-4, atol=1e-6)


def test_runs_of_one_seed_read_the_same_stream_whatever_their_number_of_replicas(tokens):
    two, one = fleet_of(tokens, [5]), fleet_of(tokens, [5], FleetSpec(CONFIG, 1, 4, 32))
    first = one.batch()[0]
    one.step_number += 1
    assert torch.equal(two.batch(), torch.stack([first, one.batch()[0]]))
    assert not torch.equal(first, fleet_of(tokens, [6]).batch()[0])


def test_synchronous_replicas_are_one_model_on_the_joint_batch(tokens):
    fleet = fleet_of(tokens, [1, 2], synchronous=1)
    batch = fleet.batch()
    fleet.train(1)
    assert torch.equal(fleet.weights()[0, 0], fleet.weights()[0, 1])
    assert not torch.equal(fleet.weights()[1, 0], fleet.weights()[1, 1])
    loop = InnerLoop(NeuroLLM(CONFIG), INNER)
    loop.start(births([1])[0].numpy())
    loop.step(batch[:2].flatten(0, 1).cpu().numpy(), 0)
    torch.testing.assert_close(fleet.weights()[0, 0].cpu(), loop.model.flat, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("keep_m", "keep_v"), [(False, False), (True, True), (False, True)])
def test_a_restarted_round_keeps_the_averages_it_is_told_to(tokens, keep_m, keep_v):
    fleet = fleet_of(tokens, [1, 2])
    fleet.train(3)
    other, moved = fleet.weights()[0].clone(), births([9]).to(fleet.device)
    indices, kept_m, kept_v = (torch.tensor([x], device=fleet.device) for x in (1, keep_m, keep_v))
    fleet.restart(indices, moved, (kept_m, kept_v))
    assert torch.equal(fleet.weights()[1, 1], moved[0]) and torch.equal(fleet.weights()[0], other)
    assert fleet.m_age.tolist() == [3, 3, 3 * keep_m, 3 * keep_m] and fleet.v_age.tolist() == [3, 3] + 2 * [3 * keep_v]
    assert bool(fleet.m[2:].any()) == keep_m and bool(fleet.v[2:].any()) == keep_v


def test_a_run_may_have_an_epsilon_of_its_own(tokens):
    usual = fleet_of(tokens, [1, 1])
    other = fleet_of(tokens, [1, 1], epsilons=torch.tensor([1e-8, 1e-2], device=tokens.train.device))
    for fleet in (usual, other):
        fleet.train(3)
    torch.testing.assert_close(other.weights()[0], usual.weights()[0], rtol=1e-4, atol=1e-5)
    born = births([1]).to(fleet.device)
    assert (other.weights()[1, 0] - born).norm() < 0.5 * (other.weights()[0, 0] - born).norm()


def test_flipped_labels_reach_only_the_marked_replicas(tokens):
    honest, liar = (
        fleet_of(tokens, [1]),
        fleet_of(tokens, [1], flipped=torch.tensor([False, True], device=tokens.train.device)),
    )
    batch = honest.batch()
    good, bad = honest.gradients(batch), liar.gradients(batch)
    # A GPU adds in no fixed order.
    torch.testing.assert_close(good[0], bad[0])
    assert (good[1] - bad[1]).norm() > 0.1 * good[1].norm()


def test_the_held_out_loss_is_the_models(tokens):
    fleet = fleet_of(tokens, [1, 2])
    found = fleet.held_out(births([1, 2]).to(fleet.device))
    model = NeuroLLM(CONFIG)
    load_flat(model, births([2])[0].numpy())
    assert found[1].item() == pytest.approx(model.loss(tokens.windows.cpu()).item(), rel=1e-5)
