"""AdamW on flat vectors."""

from dataclasses import replace

import numpy as np
import torch

from tests.training.lab_model import LAB_MODEL, LAB_SPEC
from training.inner import InnerLoop
from training.layout import parameter_layout
from training.model import NeuroLLM, load_flat, read_flat
from training.schedule import learning_rate


def test_steps_agree_with_torchs_own_adamw(born, draw):
    spec = replace(LAB_SPEC, clip_milli=100)  # So low that every step is clipped.
    loop = InnerLoop(NeuroLLM(LAB_MODEL), spec)
    loop.start(born)
    other = NeuroLLM(LAB_MODEL)
    load_flat(other, born)
    norms = [p for p in other.parameters() if p.dim() == 1]
    rest = [p for p in other.parameters() if p.dim() > 1]
    groups = [{"params": rest, "weight_decay": 0.1}, {"params": norms, "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, betas=(0.9, 0.99), eps=1e-8)
    for step in range(8):
        loop.step(draw(step), 0)
        other.flat_gradient.zero_()
        other.loss(torch.from_numpy(draw(step))).backward()
        assert torch.nn.utils.clip_grad_norm_(other.parameters(), 0.1) > 0.1
        for group in adamw.param_groups:
            group["lr"] = learning_rate(spec, 0, step)
        adamw.step()
    moved = np.linalg.norm(read_flat(loop.model) - born)
    assert np.linalg.norm(read_flat(loop.model) - read_flat(other)) < 1e-4 * moved


def test_a_restored_state_goes_on_bit_for_bit(loop, born, draw):
    for step in range(7):
        loop.step(draw(step), 3)
    middle = loop.state()
    losses = [loop.step(draw(step), 3) for step in range(7, 12)]
    wanted = loop.state()

    elsewhere = InnerLoop(NeuroLLM(LAB_MODEL), LAB_SPEC)
    elsewhere.restore(middle)
    assert [elsewhere.step(draw(step), 3) for step in range(7, 12)] == losses
    found = elsewhere.state()
    assert found.steps_done == wanted.steps_done == 12
    for name in ("theta", "m", "v"):
        assert np.array_equal(getattr(found, name), getattr(wanted, name)), name


def test_a_state_of_a_round_that_began_with_averages_goes_on_bit_for_bit(loop, born, draw):
    for step in range(5):
        loop.step(draw(step), 0)
    loop.start(born, loop.state().v, loop.steps_done)
    for step in range(3):
        loop.step(draw(step), 1)
    middle = loop.state()
    assert (middle.steps_done, middle.v_steps) == (3, 5)
    losses = [loop.step(draw(step), 1) for step in range(3, 8)]
    wanted = loop.state()

    elsewhere = InnerLoop(NeuroLLM(LAB_MODEL), LAB_SPEC)
    elsewhere.restore(middle)
    assert [elsewhere.step(draw(step), 1) for step in range(3, 8)] == losses
    found = elsewhere.state()
    assert (found.steps_done, found.v_steps) == (8, 5)
    for name in ("theta", "m", "v"):
        assert np.array_equal(getattr(found, name), getattr(wanted, name)), name
    # The age is part of the state: another one goes elsewhere.
    elsewhere.restore(replace(middle, v_steps=0))
    elsewhere.step(draw(3), 1)
    other = elsewhere.state()
    elsewhere.restore(middle)
    elsewhere.step(draw(3), 1)
    assert not np.array_equal(elsewhere.state().theta, other.theta)


def test_carried_second_moments_are_those_of_a_run_that_never_stopped(born):
    """Weights and first moments begin anew, the second ones do not notice: the same gradients give the same bits."""
    whole, parted = (InnerLoop(NeuroLLM(LAB_MODEL), LAB_SPEC) for _ in range(2))
    gradients = np.random.default_rng(3).normal(0, 0.001, (9, born.size)).astype(np.float32)

    def take(loop: InnerLoop, gradient: np.ndarray) -> None:
        loop.model.flat_gradient.copy_(torch.from_numpy(gradient))
        loop.steps_done += 1
        loop._apply_gradient(0.001)

    for loop in (whole, parted):
        loop.start(born)
    for step, gradient in enumerate(gradients):
        if step in (3, 6):
            before = parted.state()
            parted.start(born, before.v, before.v_steps + before.steps_done)
            assert not parted.state().m.any()
        for loop in (whole, parted):
            take(loop, gradient.copy())
    one, other = whole.state(), parted.state()
    assert np.array_equal(one.v, other.v) and not np.array_equal(one.m, other.m)
    assert (other.v_steps, other.steps_done) == (6, 3) and one.steps_done == 9


def test_the_age_of_second_moments_corrects_them_and_that_of_the_round_the_first(born):
    """One step from one gradient, by hand."""
    loop = InnerLoop(NeuroLLM(LAB_MODEL), replace(LAB_SPEC, weight_decay_micros=0, clip_milli=10**9))
    old = np.full(born.size, 0.04, dtype=np.float32)
    for age in (1, 100, 10**6, 2**64 - 1):
        loop.start(born, old, age)
        loop.model.flat_gradient.fill_(0.5)
        loop.steps_done = 1
        loop._apply_gradient(0.01)
        v = 0.99 * 0.04 + 0.01 * 0.25
        step = 0.01 * 0.5 / (np.sqrt(v / (1 - 0.99 ** (age + 1))) + 1e-8)
        assert np.allclose(born - loop.state().theta, step, rtol=1e-4, atol=1e-7)
        assert np.allclose(loop.state().v, v, rtol=1e-6)


def test_averages_of_a_huge_age_need_no_correction_and_cause_no_trouble(born, draw):
    loop = InnerLoop(NeuroLLM(LAB_MODEL), LAB_SPEC)
    ends = []
    for age in (10**5, 2**64 - 1):
        loop.start(born, np.full(born.size, 1e-6, dtype=np.float32), age)
        assert all(np.isfinite(loop.step(draw(step), 1)) for step in range(3))
        ends.append(loop.state())
    assert ends[1].v_steps == 2**64 - 1 and np.isfinite(ends[1].theta).all()
    assert np.array_equal(ends[0].theta, ends[1].theta)


def test_a_started_round_forgets_the_averages_of_the_last(loop, born, draw):
    first = [loop.step(draw(step), 0) for step in range(4)]
    loop.start(born)
    state = loop.state()
    assert state.steps_done == 0 and not state.m.any() and not state.v.any()
    assert [loop.step(draw(step), 0) for step in range(4)] == first


def test_a_copied_state_does_not_change_with_the_loop(loop, draw):
    loop.step(draw(0), 0)
    state = loop.state()
    kept = state.theta.copy(), state.m.copy(), state.v.copy()
    loop.step(draw(1), 0)
    for before, now in zip(kept, (state.theta, state.m, state.v), strict=True):
        assert np.array_equal(before, now)


def test_weight_decay_leaves_the_norms_alone(born):
    """Without gradients only decay moves a weight."""
    loop = InnerLoop(NeuroLLM(LAB_MODEL), LAB_SPEC)
    loop.start(born)
    loop.steps_done = 1
    loop._apply_gradient(0.01)
    after = read_flat(loop.model)
    for fragment in parameter_layout(LAB_MODEL):
        for place in fragment.tensors:
            values, old = after[place.start : place.end], born[place.start : place.end]
            factor = 1.0 if place.kind == "norm" else 1 - 0.01 * 0.1
            assert np.allclose(values, old * factor, rtol=1e-6), place.name
