"""The lab's stacked codec and outer step are those of the protocol, bit for bit."""

import numpy as np
import pytest
import torch

from bench.lab.codec import Codec, divide_half_even, mean, nesterov
from training.aggregate import decode8, encode8
from training.outer import Entry, OuterRate, OuterSpec, OuterState, apply_aggregate, outer_step
from training.outer import divide_half_even as even_division
from training.payload import decode_payload, encode_payload
from training.robust import MEAN

SIZES = (700, 256, 16)
TOTAL = sum(SIZES)
DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


@pytest.fixture(autouse=True, params=DEVICES)
def device(request):
    with torch.device(request.param):
        yield request.param


def on(array):
    return torch.from_numpy(array).to(torch.get_default_device())


def vectors(seed, scale=0.02, count=2):
    chance = np.random.default_rng(seed)
    before = chance.standard_normal((count, TOTAL)).astype(np.float32)
    heavy = chance.standard_normal((count, TOTAL)) * np.exp(2 * chance.standard_normal((count, TOTAL)))
    return before, (before + scale * heavy).astype(np.float32)


@pytest.mark.parametrize("scale", [0.0, 1e-9, 1e-7, 1e-5, 0.02, 1.0, 30.0])
def test_the_payloads_numbers_are_those_of_the_protocol(scale):
    before, after = vectors(3, scale)
    found = Codec(SIZES).payload(on(before - after))
    for row in range(2):
        assert found[row].tolist() == decode_payload(encode_payload(before[row], after[row], SIZES), SIZES).tolist()


@pytest.mark.parametrize("scale", [0, 1, 100, 10**6, 7 * 255 << 15])
def test_the_aggregates_numbers_are_those_of_the_protocol(scale):
    numbers = np.random.default_rng(4).integers(-scale, scale + 1, TOTAL).astype(np.int32)
    found = Codec(SIZES).aggregate(on(numbers).long())
    assert found.tolist() == decode8(encode8(numbers, SIZES), SIZES).tolist()


@pytest.mark.parametrize("milli", [(1000, 0), (600, 900), (2000, 960)])
def test_the_outer_step_of_the_mean_is_that_of_the_protocol(milli):
    before, after = vectors(5)
    weights = before[0]
    momentum = np.random.default_rng(6).integers(-(10**6), 10**6, TOTAL).astype(np.int32)
    codec, rate = Codec(SIZES), (torch.tensor([milli[0]]), torch.tensor([milli[1]]))
    after = weights + (after - before)
    numbers = codec.payload(on(weights - after))
    found = nesterov(
        on(weights)[None],
        on(momentum)[None].long(),
        codec.aggregate(mean(numbers))[None],
        rate,
    )
    state = OuterState(weights, momentum)
    entries = [Entry(bytes([i]) * 32, encode_payload(weights, row, SIZES), 20) for i, row in enumerate(after)]
    wanted = outer_step(state, entries, SIZES, OuterSpec(20, (OuterRate(1, *milli),), MEAN))
    assert found[0][0].cpu().numpy().tobytes() == wanted.weights.tobytes()
    assert found[1][0].tolist() == wanted.momentum.tolist()


def test_the_outer_step_of_any_aggregate_is_that_of_the_protocol():
    numbers = np.random.default_rng(7).integers(-(10**5), 10**5, (8, TOTAL)).astype(np.int32)
    codec, weights = Codec(SIZES), vectors(8)[0][0]
    joint = mean(on(numbers).long())
    encoded = encode8(joint.cpu().numpy().astype(np.int32), SIZES)
    state = OuterState(weights, np.zeros(TOTAL, dtype=np.int32))
    wanted = apply_aggregate(state, (encoded, ()), SIZES, OuterRate(8, 800, 900))
    milli = (torch.tensor([800]), torch.tensor([900]))
    zero = torch.zeros(1, TOTAL, dtype=torch.int64)
    found = nesterov(on(weights)[None], zero, codec.aggregate(joint)[None], milli)
    assert (
        found[0][0].cpu().numpy().tobytes() == wanted.weights.tobytes()
        and found[1][0].tolist() == wanted.momentum.tolist()
    )


@pytest.mark.parametrize("divisor", [1, 2, 3, 7, 8, 1000])
def test_division_rounds_half_to_even(divisor):
    numbers = list(range(-3 * divisor, 3 * divisor + 1))
    wanted = [round(n / divisor) for n in numbers]  # exact for numbers this small
    assert divide_half_even(torch.tensor(numbers), divisor).tolist() == wanted
    if divisor % 2 == 0:
        assert even_division(np.array(numbers), divisor).tolist() == wanted


def test_another_block_size_cuts_elsewhere_and_smaller_blocks_err_less():
    before, after = (on(each) for each in vectors(9))
    errors = []
    for block in (64, 256, 1024):
        numbers = Codec(SIZES, block).payload(before - after)
        errors.append((numbers - (before - after).double() * 2**24).norm().item())
    assert errors[0] < errors[1] < errors[2]


def test_what_is_not_finite_counts_as_zero():
    before, after = (on(each) for each in vectors(10))
    after[0, :3] = torch.tensor([np.nan, np.inf, -np.inf])
    assert Codec(SIZES).payload(before - after)[0, :3].tolist() == [0, 0, 0]
