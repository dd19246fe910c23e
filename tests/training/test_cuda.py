"""Training on an NVIDIA GPU: replayed by others, so it must give its own bits again and stay near a CPU's.

Skipped where there is none.
"""

import numpy as np
import pytest
import torch

from tests.training.lab_model import LAB_MODEL, LAB_SPEC
from training.device import choose_device
from training.evaluate import validation_loss
from training.inner import InnerLoop, InnerState
from training.model import NeuroLLM, load_flat
from training.payload import encode_payload

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
SEGMENT = 10


def trained(place, born, draw, steps=SEGMENT) -> InnerState:
    loop = InnerLoop(NeuroLLM(LAB_MODEL, choose_device(place)[0]), LAB_SPEC)
    loop.start(born)
    for step in range(steps):
        loop.step(draw(step), 0)
    return loop.state()


def test_the_same_segment_twice_gives_the_same_bits(born, draw):
    first, second = trained("cuda", born, draw), trained("cuda", born, draw)
    for name in ("theta", "m", "v"):
        assert np.array_equal(getattr(first, name), getattr(second, name)), name


def test_a_restored_state_goes_on_bit_for_bit(born, draw):
    middle, wanted = trained("cuda", born, draw, 4), trained("cuda", born, draw)
    loop = InnerLoop(NeuroLLM(LAB_MODEL, torch.device("cuda")), LAB_SPEC)
    loop.restore(middle)
    for step in range(4, SEGMENT):
        loop.step(draw(step), 0)
    assert np.array_equal(loop.state().theta, wanted.theta)


def test_a_segment_ends_where_a_processor_ends_it(born, draw):
    gpu, cpu = trained("cuda", born, draw), trained("cpu", born, draw)
    apart = np.linalg.norm(gpu.theta.astype(np.float64) - cpu.theta)
    assert apart <= 1e-4 * np.linalg.norm(cpu.theta.astype(np.float64) - born)
    assert not np.array_equal(cpu.theta, born)


def test_its_payload_is_encoded_like_any_other(born, draw):
    sizes = (LAB_MODEL.vocabulary * LAB_MODEL.width, born.size - LAB_MODEL.vocabulary * LAB_MODEL.width)
    payload = encode_payload(born, trained("cuda", born, draw).theta, sizes)
    assert payload[:4] == b"NSP1" and any(payload[12:])


def test_the_held_out_loss_is_a_processors(born, lab_tokens):
    losses = []
    for place in ("cuda", "cpu"):
        model = NeuroLLM(LAB_MODEL, torch.device(place))
        load_flat(model, born)
        losses.append(validation_loss(model, lab_tokens))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
