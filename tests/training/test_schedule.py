"""The learning rate and the numbers of the inner loop."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.lab_model import LAB_SPEC
from training.errors import ConfigError
from training.schedule import learning_rate, learning_rate_nanos

SPEC = replace(
    LAB_SPEC,
    round_steps=100,
    segment_steps=10,
    peak_rate_nanos=4_000_000,
    floor_rate_nanos=400_000,
    warmup_steps=50,
    rewarm_steps=10,
    hold_steps=400,
)


@pytest.mark.parametrize(
    ("round_number", "step", "nanos"),
    [
        (0, 0, 4_000_000 // 500),  # 1/50 of the warm-up times 1/10 of the re-warm-up
        (0, 9, 800_000),  # 10/50, re-warm-up finished
        (0, 48, 3_920_000),
        (0, 49, 4_000_000),
        (1, 0, 400_000),  # A later round starts at a tenth of the rate,
        (1, 8, 3_600_000),
        (1, 9, 4_000_000),  # and is back at it after ten steps.
        (4, 10, 3_950_916),  # 4,000,000 · sqrt(400/410)
        (15, 99, 2_000_624),  # 4,000,000 · sqrt(400/1599)
        (399, 50, 400_248),  # Just above the floor at 39,950 steps
        (400, 50, 400_000),
        (4000, 50, 400_000),
        (4000, 0, 400_000),  # The re-warm-up's first step is at the floor anyway.
    ],
)
def test_the_rate_warms_up_holds_falls_and_rests_on_its_floor(round_number, step, nanos):
    assert learning_rate_nanos(SPEC, round_number, step) == nanos


def test_the_rate_is_held_up_to_the_last_held_step():
    assert learning_rate_nanos(replace(SPEC, hold_steps=410), 4, 10) == 4_000_000
    assert learning_rate_nanos(replace(SPEC, hold_steps=409), 4, 10) < 4_000_000


def test_the_rate_as_a_number_is_the_nanos():
    assert learning_rate(SPEC, 1, 9) == 0.004


@given(st.integers(0, 10**6), st.integers(0, 99))
def test_the_rate_is_never_zero_nor_above_the_peak(round_number, step):
    assert 0 < learning_rate_nanos(SPEC, round_number, step) <= SPEC.peak_rate_nanos


@pytest.mark.parametrize(
    "change",
    [{"segment_steps": 7}, {"sequences": 0}, {"beta2_milli": 1000}, {"weight_decay_micros": -1}, {"rewarm_steps": 0}],
)
def test_numbers_that_describe_no_training_are_refused(change):
    with pytest.raises(ConfigError):
        replace(SPEC, **change)


def test_no_weight_decay_and_a_floor_of_zero_are_allowed():
    assert replace(SPEC, weight_decay_micros=0, floor_rate_nanos=0).segments == 10
