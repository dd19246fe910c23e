"""The rules that make one vector of many payloads: exact, indifferent to order, and deaf to the loud."""

import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.training.rounds import SIZES, by_oracle, counted, entries_of, honest, node, published, records
from training.aggregate import decode8
from training.errors import PayloadError, TrainingError
from training.outer import Entry, OuterRate, OuterSpec, combine
from training.payload import LARGEST_UNITS, decode_payload, payload_norm
from training.robust import (
    CLIP_TRUST,
    COORDINATE_MEDIAN,
    KRUM,
    MEAN,
    RATIO_LIMIT,
    RATIO_ONE,
    TRIMMED_MEAN,
    RobustSpec,
    even_scales,
    length_ratio,
)
from training.trust import Trust, trust_bytes

RULES = (TRIMMED_MEAN, KRUM, COORDINATE_MEDIAN, CLIP_TRUST)
WHOLE = 250
JUST = (OuterRate(1, 1000, 0),)


def spec(rule: int, eighths: int = 7) -> OuterSpec:
    return OuterSpec(WHOLE, JUST, rule, eighths)


def whole(bodies: list[np.ndarray]) -> list[Entry]:
    """Entries of nodes that did all steps."""
    return entries_of([published(body) for body in bodies], [WHOLE] * len(bodies))


def numbers(entries: list[Entry], rule: int, trust: tuple[Trust, ...] = ()) -> np.ndarray:
    return decode8(combine(trust, entries, SIZES, spec(rule).robust)[0], SIZES)


def norm(vector: np.ndarray) -> float:
    return float(np.linalg.norm(vector.astype(np.float64)))


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_round_agrees_with_the_plain_integers_to_the_bit(choice):
    rule = choice.draw(st.sampled_from((MEAN, *RULES, CLIP_TRUST)))
    entries = choice.draw(counted(WHOLE))
    trust = choice.draw(records(len(entries)))
    chosen = spec(rule, choice.draw(st.sampled_from((0, 7, 8))))
    aggregate, after = combine(trust, entries, SIZES, chosen.robust)
    assert (aggregate, trust_bytes(after)) == by_oracle(entries, trust, chosen)


@pytest.mark.parametrize("rule", RULES)
def test_sixty_four_payloads_agree_with_the_plain_integers(rule):
    entries = whole(honest(64, 5))
    aggregate, after = combine((), entries, SIZES, spec(rule).robust)
    assert (aggregate, trust_bytes(after)) == by_oracle(entries, (), spec(rule))


@pytest.mark.parametrize("rule", RULES)
def test_rounds_carry_trust_to_the_bit(rule):
    trust: tuple[Trust, ...] = ()
    for number in range(6):
        entries = whole(honest(5, number))[number % 2 :]
        expected = by_oracle(entries, trust, spec(rule))
        aggregate, trust = combine(trust, entries, SIZES, spec(rule).robust)
        assert (aggregate, trust_bytes(trust)) == expected
    assert all(each.score > 50_000 for each in trust)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("count", [2, 3, 4, 5, 8])
def test_the_order_of_entries_changes_nothing(rule, count):
    entries = entries_of([published(body) for body in honest(count, 3)], list(range(WHOLE, WHOLE - count, -1)))
    found = combine((), entries, SIZES, spec(rule).robust)
    for seed in range(3):
        shuffled = random.Random(seed).sample(entries, count)
        assert combine((), shuffled, SIZES, spec(rule).robust) == found


@pytest.mark.parametrize("rule", RULES)
def test_one_payload_stands_two_give_the_mean_three_the_median(rule):
    bodies = [np.full(sum(SIZES), value * 2.0**-24) for value in (14, 42, 7 * 1000)]
    assert set(numbers(whole(bodies[:1]), rule)) == {14}
    assert set(numbers(whole(bodies[:2]), rule)) == {28}
    assert set(numbers(whole(bodies), rule)) == {42}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("count", [2, 4, 5, 8, 9])
def test_payloads_that_are_alike_give_what_they_say(rule, count):
    body = np.full(sum(SIZES), 126 * 2.0**-24)
    assert set(numbers(whole([body] * count), rule)) == {126}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("count", [4, 5, 8, 12])
def test_zero_payloads_give_zero(rule, count):
    assert not numbers(whole([np.zeros(sum(SIZES))] * count), rule).any()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("count", [4, 5, 6, 7, 8, 12])
@pytest.mark.parametrize("factor", [1e3, -1e3, 1e9])
def test_loud_liars_move_the_aggregate_by_no_more_than_the_honest_ones_spread(rule, count, factor):
    bodies = honest(count, count)
    for place in range(count // 4):
        bodies[place] = bodies[place] * factor
    entries = whole(bodies)
    truth = [decode_payload(entry.payload, SIZES) for entry in entries[count // 4 :]]
    spread = max(norm(each - np.mean(truth, axis=0)) for each in truth)
    assert norm(numbers(entries, rule) - np.mean(truth, axis=0)) <= 1.2 * spread


def test_the_mean_is_moved_as_far_as_the_liar_likes():
    bodies = honest(8, 1)
    bodies[0] = bodies[0] * 1e9
    assert norm(numbers(whole(bodies), MEAN)) > 30 * norm(numbers(whole(honest(8, 1)), MEAN))


@settings(max_examples=60, deadline=None)
@given(counted(WHOLE))
def test_the_aggregate_of_clip_trust_is_no_longer_than_the_median_norm(entries):
    if len(entries) < 4:
        return
    ratios = [length_ratio(entry.steps, spec(CLIP_TRUST).robust) for entry in entries]
    lengths = [r * payload_norm(entry.payload, SIZES) / RATIO_ONE for r, entry in zip(ratios, entries, strict=True)]
    limit = sorted(lengths)[(len(lengths) - 1) // 2]
    # One part in 100 for the 8 bits, and a unit and a half a number for roundings.
    assert norm(numbers(entries, CLIP_TRUST)) <= 1.01 * limit + 1.5 * sum(SIZES) ** 0.5


@pytest.mark.parametrize("rule", [TRIMMED_MEAN, COORDINATE_MEDIAN])
@pytest.mark.parametrize(("count", "liars"), [(3, 1), (4, 1), (5, 1), (7, 1), (8, 2), (12, 3)])
def test_coordinate_rules_stay_within_the_honest_numbers(rule, count, liars):
    bodies = honest(count, 2)
    for place in range(liars):
        bodies[place] = np.full(sum(SIZES), 3.0 * (-1) ** place)
    entries = whole(bodies)
    truth = np.array([decode_payload(entry.payload, SIZES) for entry in entries[liars:]])
    found = numbers(entries, rule)
    step = (truth.max() - truth.min()) / 100
    assert (found >= truth.min(axis=0) - step).all() and (found <= truth.max(axis=0) + step).all()


def test_krum_takes_one_payload_and_none_of_the_far_ones():
    for count in (5, 8, 9, 12):
        bodies = honest(count, count)
        far = list(range(0, count // 4 * 2, 2))
        for place in far:
            bodies[place] = -bodies[place] * (2 + place)
        after = combine((), whole(bodies), SIZES, spec(KRUM).robust)[1]
        chosen = [place for place, each in enumerate(after) if each.weight_ppm]
        assert len(chosen) == 1 and after[chosen[0]].weight_ppm == 10**6 and chosen[0] not in far


def test_krum_with_too_few_payloads_is_the_median():
    entries = whole(honest(4, 1))
    assert np.array_equal(numbers(entries, KRUM), numbers(entries, COORDINATE_MEDIAN))
    entries = whole(honest(5, 1))
    assert not np.array_equal(numbers(entries, KRUM), numbers(entries, COORDINATE_MEDIAN))


def test_a_delta_of_half_the_steps_is_made_longer_by_a_power_of_two():
    assert length_ratio(WHOLE, spec(CLIP_TRUST).robust) == RATIO_ONE
    assert length_ratio(125, spec(CLIP_TRUST).robust) == int(2 ** (7 / 8) * RATIO_ONE)
    assert length_ratio(125, spec(CLIP_TRUST, 8).robust) == 2 * RATIO_ONE
    assert length_ratio(125, spec(CLIP_TRUST, 0).robust) == RATIO_ONE


def test_a_delta_is_made_longer_by_at_most_sixteen():
    assert length_ratio(1, RobustSpec(CLIP_TRUST, 16, 8)) == RATIO_LIMIT == 16 * RATIO_ONE
    assert length_ratio(1, RobustSpec(CLIP_TRUST, 15, 8)) == 15 * RATIO_ONE
    assert length_ratio(1, RobustSpec(CLIP_TRUST, (1 << 32) - 1, 8)) == RATIO_LIMIT


def test_two_payloads_weigh_by_their_steps():
    bodies = [np.full(sum(SIZES), value * 2.0**-24) for value in (1000, 4000)]
    entries = entries_of([published(body) for body in bodies], [200, 50])
    shorter = OuterSpec(WHOLE, JUST, CLIP_TRUST, 0)
    found = decode8(combine((), entries, SIZES, shorter.robust)[0], SIZES)
    assert abs(int(found[0]) - 1600) < 10


def test_the_largest_sum_is_cut_and_does_not_overflow():
    body = np.full(sum(SIZES), 1e9)
    for rule in (MEAN, *RULES):
        for sign in (1, -1):
            entries = entries_of([published(sign * body)] * 5, [1] * 5)
            found = numbers(entries, rule)
            assert abs(int(found[0]) - sign * LARGEST_UNITS) <= LARGEST_UNITS // 200


def test_a_short_payload_is_made_at_most_four_times_longer():
    gram = [[400, 0, 0, 0], [0, 400, 0, 0], [0, 0, 25, 0], [0, 0, 0, 24]]
    assert even_scales([row[:3] for row in gram[:3]], [RATIO_ONE] * 3) == [1 << 30, 1 << 30, 4 << 30]
    shorter = [gram[0][:3], gram[1][:3], [0, 0, 24]]
    assert even_scales(shorter, [RATIO_ONE] * 3) == [1 << 30, 1 << 30, 4 << 30]
    assert even_scales([[400, 0, 0], [0, 400, 0], [0, 0, 26]], [RATIO_ONE] * 3)[2] < 4 << 30
    assert even_scales([[1 << 40, 0, 0], [0, 1 << 40, 0], [0, 0, 1]], [5 * RATIO_ONE] * 3)[2] == 16 << 30


@pytest.mark.parametrize("steps", [0, WHOLE + 1, -1])
def test_steps_that_no_round_has_are_refused(steps):
    payload = published(honest(1, 1)[0])
    combine((), [Entry(node(1), payload, 1)], SIZES, spec(CLIP_TRUST).robust)
    with pytest.raises(PayloadError, match="1 to 250"):
        combine((), [Entry(node(1), payload, steps)], SIZES, spec(CLIP_TRUST).robust)


def test_a_node_counts_once_and_a_round_without_payloads_gives_nothing():
    entry = whole(honest(1, 1))[0]
    for entries in ([], [entry, entry]):
        with pytest.raises(PayloadError, match="at most one of each node"):
            combine((), entries, SIZES, spec(CLIP_TRUST).robust)


def test_a_rule_or_an_exponent_that_is_not_known_is_refused():
    OuterSpec(WHOLE, JUST, 0, 0)
    OuterSpec(WHOLE, JUST, 4, 8)
    for rule, eighths in ((5, 7), (-1, 7), (4, 9), (4, -1)):
        with pytest.raises(TrainingError, match="not known"):
            OuterSpec(WHOLE, JUST, rule, eighths)


def test_a_lone_payload_is_not_made_longer():
    body = np.full(sum(SIZES), 126 * 2.0**-24)
    assert set(decode8(combine((), entries_of([published(body)], [1]), SIZES, spec(CLIP_TRUST).robust)[0], SIZES)) == {
        126
    }


def test_liars_weigh_nothing_and_are_remembered():
    bodies = honest(8, 4, noise=0.7)
    lying = [-bodies[0], -bodies[1], *bodies[2:]]
    trust: tuple[Trust, ...] = ()
    for _ in range(4):
        trust = combine(trust, whole(lying), SIZES, spec(CLIP_TRUST).robust)[1]
        assert [each.weight_ppm == 0 for each in trust] == [True] * 2 + [False] * 6
    trust = combine(trust, whole(bodies), SIZES, spec(CLIP_TRUST).robust)[1]
    assert [each.weight_ppm == 0 for each in trust] == [True] * 2 + [False] * 6
    for _ in range(12):
        trust = combine(trust, whole(bodies), SIZES, spec(CLIP_TRUST).robust)[1]
    assert min(each.weight_ppm for each in trust) > 0


def test_copies_of_a_payload_weigh_about_as_much_as_one():
    bodies = honest(7, 6)
    trust = combine((), whole([bodies[0], *bodies]), SIZES, spec(CLIP_TRUST).robust)[1]
    assert 0.9 < (trust[0].weight_ppm + trust[1].weight_ppm) / trust[2].weight_ppm < 1.1


def test_with_every_rule_nodes_earn_trust():
    for rule in RULES:
        trust = combine((), whole(honest(5, 1)), SIZES, spec(rule).robust)[1]
        assert min(each.score for each in trust) > 50_000
        assert all(each.rounds == 1 for each in trust) and 999_990 <= sum(each.weight_ppm for each in trust) <= 10**6
