"""Replaying a segment: what an honest machine may differ by, and what is never let pass."""

from dataclasses import replace
from math import inf, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.lab_model import LAB_SPEC
from training.errors import ReplayError
from training.inner import InnerState
from training.layout import parameter_layout
from training.payload import encode_payload
from training.replay import (
    NOT_A_STATE,
    ROUNDING,
    Comparison,
    Tolerances,
    compare,
    distance_holds,
    is_state,
    payload_linked,
    read_vector,
    replay_segment,
)
from training.round import Watch, train_round

TOLERANCES = Tolerances(theta_billionths=100_000, m_billionths=1_000_000, v_billionths=2_000_000)
COUNT = 64


def state(theta: float = 1.0, m: float = 0.5, v: float = 0.25) -> InnerState:
    theta_, m_, v_ = (np.full(COUNT, number, dtype=np.float32) for number in (theta, m, v))
    return InnerState(theta_, m_, v_, 0)


BEFORE, AFTER = state(), state(2.0, 2.0, 1.0)


def with_numbers(changed: InnerState, name: str, numbers: object) -> InnerState:
    vector = getattr(changed, name).copy()
    vector[:] = numbers
    return replace(changed, **{name: vector})


# ---- Replaying


def test_a_replayed_segment_ends_in_the_bits_of_the_round(loop, draw):
    segments = []
    train_round(loop, 1, draw, Watch(on_segment=segments.append))
    weights = []
    after = replay_segment(loop, segments[1].after, draw, 1, LAB_SPEC.segment_steps, weights.append)
    for name in ("theta", "m", "v"):
        assert np.array_equal(getattr(after, name), getattr(segments[2].after, name))
    assert after.steps_done == 15 and len(weights) == 5
    assert np.array_equal(weights[-1], after.theta) and not np.array_equal(weights[0], weights[1])
    assert compare(segments[1].after, segments[2].after, after, TOLERANCES) == Comparison(0.0, 0.0, 0.0, within=True)


def test_a_replay_goes_on_with_averages_of_the_stated_age(loop, born, draw):
    v = np.full(born.size, 1e-4, dtype=np.float32)
    loop.start(born, v, v_steps=40)
    before = loop.state()
    segments = []
    train_round(loop, 3, draw, Watch(on_segment=segments.append))
    assert np.array_equal(replay_segment(loop, before, draw, 3, 5).theta, segments[0].after.theta)
    younger = replay_segment(loop, replace(before, v_steps=4), draw, 3, 5)
    assert not compare(before, younger, segments[0].after, TOLERANCES).within


def test_a_replay_from_what_is_not_finite_raises_nothing_and_passes_nothing(loop, born, draw):
    for strange in (nan, inf, -inf, 3e38):
        before = InnerState(np.full_like(born, strange), np.zeros_like(born), np.zeros_like(born), 0)
        after = replay_segment(loop, before, draw, 0, 1)
        assert compare(before, after, after, TOLERANCES) == NOT_A_STATE


@pytest.mark.parametrize("cheat", ["skipped", "other data", "one label", "stale base"])
def test_a_cheat_in_training_is_not_within(loop, born, draw, cheat):
    loop.start(born)
    before = loop.state()

    def other(step):
        batch = draw(step).copy()
        if cheat == "other data" and step == 4:
            batch = draw(17)
        if cheat == "one label" and step == 4:
            batch[0, -1] = (batch[0, -1] + 1) % 64
        return batch

    start = replace(before, theta=born + np.float32(1e-4)) if cheat == "stale base" else before
    forged = replay_segment(loop, start, other, 2, 4 if cheat == "skipped" else 5)
    honest = replay_segment(loop, before, draw, 2, 5)
    assert not compare(before, forged, honest, TOLERANCES).within


# ---- Comparing


@pytest.mark.parametrize(("relative", "within"), [(0.0, True), (0.99e-4, True), (1.01e-4, False), (0.5, False)])
def test_the_weights_may_differ_by_the_tolerance_of_the_way(relative, within):
    away = BEFORE.theta + (AFTER.theta - BEFORE.theta) * np.float32(1 + relative)
    found = compare(BEFORE, with_numbers(AFTER, "theta", away), AFTER, TOLERANCES)
    assert found.within is within
    assert found.theta == pytest.approx(relative, rel=5e-3) and found.m == found.v == 0


@pytest.mark.parametrize(("relative", "within"), [(0.99e-3, True), (1.01e-3, False)])
def test_the_direction_of_the_next_step_may_differ_by_its_tolerance(relative, within):
    # m / sqrt(v) goes from 1 to 2, so it may change by a thousandth of 1.
    after = AFTER
    found = compare(BEFORE, with_numbers(after, "m", 2 + relative), after, TOLERANCES)
    assert found.within is within and found.m == pytest.approx(relative, rel=2e-3) and found.theta == 0


@pytest.mark.parametrize(("relative", "within"), [(1.99e-3, True), (2.01e-3, False)])
def test_the_second_moments_may_differ_by_their_tolerance(relative, within):
    wide = replace(TOLERANCES, m_billionths=10**9)
    after = state(2.0, 1e-3, 1.25)
    found = compare(state(m=0.0), with_numbers(after, "v", 1.25 + relative), after, wide)
    assert found.within is within and found.v == pytest.approx(relative, rel=2e-3)


def test_one_v_next_to_nothing_is_found_although_v_hardly_changes():
    # The next segment would move this weight by m / 1e-8.
    forged = AFTER.v.copy()
    small = AFTER.v.copy()
    small[0], forged[0] = 1e-12, 0.0
    m = AFTER.m.copy()
    m[0] = 1e-6
    after = replace(AFTER, m=m, v=small)
    found = compare(BEFORE, replace(after, v=forged), after, TOLERANCES)
    assert found.v < 1e-12 and found.m > 1 and not found.within


def test_one_m_that_hardly_counts_is_found_where_v_is_next_to_nothing():
    small, m, forged = AFTER.v.copy(), AFTER.m.copy(), AFTER.m.copy()
    small[0], m[0], forged[0] = 1e-12, 1e-6, 1e-4
    after = replace(AFTER, m=m, v=small)
    found = compare(BEFORE, replace(after, m=forged), after, TOLERANCES)
    assert np.linalg.norm(forged - m) < 1e-4 * np.linalg.norm(m) and not found.within


def test_having_done_nothing_is_a_distance_of_one():
    found = compare(BEFORE, BEFORE, AFTER, TOLERANCES)
    assert found == Comparison(1.0, 1.0, 1.0, within=False)


@pytest.mark.parametrize("exponent", range(0, 45, 4))
def test_having_done_nothing_never_passes_however_small_the_step(exponent):
    way = np.zeros(COUNT, dtype=np.float32)
    way[:] = 2.0**-exponent
    before = with_numbers(state(), "theta", 0.0)
    for ground in (0.0, 1.0):
        before = with_numbers(before, "theta", ground)
        after = with_numbers(before, "theta", before.theta + way)
        if not np.array_equal(after.theta, before.theta):
            assert not compare(before, before, after, TOLERANCES).within


def test_the_last_bit_of_a_weight_is_forgiven_where_the_way_is_tiny():
    last_bit = np.float32(2 * ROUNDING)
    after = with_numbers(BEFORE, "theta", 1 + 100 * last_bit)
    rounded = after.theta.copy()
    rounded[0] += last_bit
    found = compare(BEFORE, replace(after, theta=rounded), after, TOLERANCES)
    assert found.theta > 1e-4 * 10 and found.within
    # Every weight's last bit is no rounding any more.
    assert not compare(BEFORE, replace(after, theta=after.theta + 2 * last_bit), after, TOLERANCES).within


def test_a_segment_that_does_not_move_must_be_claimed_to_the_bit():
    assert compare(BEFORE, BEFORE, BEFORE, TOLERANCES) == Comparison(0.0, 0.0, 0.0, within=True)
    for name in ("theta", "m", "v"):
        moved = with_numbers(BEFORE, name, getattr(BEFORE, name) + np.float32(2**-20))
        assert not compare(BEFORE, moved, BEFORE, TOLERANCES).within


def test_an_enormous_claim_is_not_measured_by_itself():
    for number in (1e10, 3e38):
        claimed = with_numbers(AFTER, "theta", number)
        assert compare(BEFORE, claimed, AFTER, TOLERANCES).theta > 1e9


@pytest.mark.parametrize("name", ["theta", "m", "v"])
@pytest.mark.parametrize("number", [nan, inf, -inf])
def test_what_is_not_finite_is_no_state(name, number):
    strange = getattr(AFTER, name).copy()
    strange[3] = number
    strange_state = replace(AFTER, **{name: strange})
    assert not is_state(strange_state)
    assert compare(BEFORE, strange_state, AFTER, TOLERANCES) == NOT_A_STATE
    assert compare(strange_state, AFTER, AFTER, TOLERANCES) == NOT_A_STATE
    # Not even if the auditor finds the same.
    assert compare(BEFORE, strange_state, strange_state, TOLERANCES) == NOT_A_STATE


def test_a_negative_second_moment_is_no_state():
    assert is_state(with_numbers(AFTER, "v", 0.0)) and not is_state(with_numbers(AFTER, "v", -1e-30))


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=48, max_size=48))
def test_any_bytes_of_a_stranger_get_an_answer(blob):
    shown = InnerState(*(read_vector(blob[16 * i : 16 * i + 16], 4) for i in range(3)), 0)
    ours = InnerState(*(np.ones(4, dtype=np.float32) * (i + 1) for i in range(3)), 0)
    zero = InnerState(*(np.zeros(4, dtype=np.float32) for _ in range(3)), 0)
    with np.errstate(all="raise"):
        found = compare(zero, shown, ours, TOLERANCES)
        assert not found.within or max(found.theta, found.m, found.v) <= 2e-3
        compare(shown, ours, ours, TOLERANCES)
        distance_holds(zero.theta, shown.theta, 5)
        payload_linked(ours.theta, shown.theta, (4,), b"")


# ---- Reading what was shown


def test_a_vector_is_read_from_exactly_its_bytes():
    numbers = np.array([1.5, -2.0, 3e-30], dtype="<f4")
    assert np.array_equal(read_vector(numbers.tobytes(), 3), numbers)
    assert np.array_equal(read_vector(None, 3), np.zeros(3, dtype=np.float32))
    read_vector(bytearray(numbers.tobytes()), 3)[0] = 7  # a copy of its own
    for blob in (b"", numbers.tobytes()[:-1], numbers.tobytes() + b"\0"):
        with pytest.raises(ReplayError, match="no vector of 3 numbers"):
            read_vector(blob, 3)


# ---- The claimed distance, the payload


@pytest.mark.parametrize(
    ("error", "holds"), [(0, True), (1, True), (-1, True), (130, True), (140, False), (-140, False)]
)
def test_the_claimed_distance_may_err_by_a_millionth_and_a_unit(error, holds):
    # 64 weights by 1 each: 8, or 2^27 units, of which a millionth is 134.
    assert distance_holds(BEFORE.theta, AFTER.theta, (8 << 24) + error) is holds


def test_a_distance_of_nothing_may_err_by_a_unit():
    assert [distance_holds(BEFORE.theta, BEFORE.theta, units) for units in (0, 1, 2)] == [True, True, False]


@pytest.mark.parametrize("number", [nan, inf])
def test_no_distance_holds_to_what_is_not_finite(number):
    strange = with_numbers(AFTER, "theta", number).theta
    assert not any(distance_holds(BEFORE.theta, strange, units) for units in (0, 1, 2**64 - 1))


def test_a_payload_is_linked_if_every_byte_is(loop, born, draw):
    sizes = [fragment.count for fragment in parameter_layout(loop.model.config)]
    loop.start(born)
    end = train_round(loop, 1, draw, Watch()).theta
    payload = encode_payload(born, end, sizes)
    assert payload_linked(born, end, sizes, payload)
    assert not payload_linked(born, born, sizes, payload)
    for forged in (payload[:-1], payload[:-1] + bytes([payload[-1] ^ 1]), payload + b"\0", b""):
        assert not payload_linked(born, end, sizes, forged)
    end[5] = nan
    assert not payload_linked(born, end, sizes, payload)
