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
