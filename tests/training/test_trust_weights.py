"""What payloads may weigh, and what is remembered of their nodes."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training import oracle_robust
from tests.training.rounds import node, records
from training.agreement import UNIT, standing
from training.trust import ABSENT_MAXIMUM, RECORDS_MAXIMUM, Party, Trust, read_trust, remember, trust_bytes
from training.trust_weights import NEWCOMER_ROUNDS, ONE, share, weights

KNOWN = NEWCOMER_ROUNDS


def known(count: int, score: int = UNIT) -> list[Trust]:
    return [Trust(node(each), score, KNOWN, 0, 0) for each in range(count)]


def parties(count: int, steps: int = 100) -> list[Party]:
    return [Party(node(each), steps) for each in range(count)]


def weighed(those: list[Party], trust: Sequence[Trust]) -> list[int]:
    """Of payloads that all deserve the same."""
    return weights(those, [UNIT] * len(those), trust)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_weights_sum_to_one_within_their_caps_and_agree_with_the_oracle(choice):
    count = choice.draw(st.integers(1, 20))
    steps = [choice.draw(st.integers(1, 500)) for _ in range(count)]
    merits = [choice.draw(st.sampled_from((0, 1, UNIT // 2, UNIT))) for _ in range(count)]
    merits[0] = UNIT
    those = [Party(node(place), each) for place, each in enumerate(steps)]
    trust = choice.draw(records(count))
    found = weights(those, merits, trust)
    assert sum(found) == ONE and min(found) >= 0
    old = {each.node: (each.score, each.rounds, each.absent, 0) for each in trust}
    deserved = [own * merit for own, merit in zip(steps, merits, strict=True)]
    assert found == oracle_robust.weights([each.node for each in those], deserved, steps, old)
    is_known = [each.node in old and old[each.node][1] >= KNOWN for each in those]
    if any(is_known):
        newcomers = [part for part, one in zip(found, is_known, strict=True) if not one]
        assert sum(newcomers) <= ONE // 10 and max([0, *newcomers]) <= 3 * ONE // (2 * count)
    weighing = sum(1 for part, one in zip(found, is_known, strict=True) if part and (one or not any(is_known)))
    assert max(found) <= max(3 * ONE // (2 * count), -(-ONE // weighing))


def test_nobody_weighs_more_than_one_and_a_half_shares():
    loud = [Party(node(0), 500), *parties(8, 1)[1:]]
    assert weighed(loud, known(8))[0] == 3 * ONE // 16
    assert weighed(loud, ())[0] == 3 * ONE // 16


def test_one_newcomer_among_many_weighs_its_share_and_many_weigh_a_tenth():
    assert abs(weighed(parties(20), known(19))[19] - ONE // 20) <= 1
    found = weighed(parties(8), known(4))
    assert sum(found[4:]) == ONE // 10 and sum(found[:4]) == ONE - ONE // 10


def test_newcomers_alone_share_the_whole():
    assert weighed(parties(4), ()) == [ONE // 4] * 4
    young = [Trust(node(each), -40_000, KNOWN - 1, 0, 0) for each in range(4)]
    assert weighed(parties(4), young) == [ONE // 4] * 4


def test_a_node_is_a_newcomer_until_its_third_counted_round():
    old = known(3)
    assert weighed(parties(4), [*old, Trust(node(3), UNIT, KNOWN - 1, 0, 0)])[3] == ONE // 10
    assert weighed(parties(4), [*old, Trust(node(3), UNIT, KNOWN, 0, 0)])[3] == ONE // 4


def test_standing_rises_from_a_quarter_of_the_usual_to_three_quarters():
    quarter = UNIT // 4
    found = [standing(each) for each in (-UNIT, 0, quarter, quarter + 1, 2 * quarter, 3 * quarter - 1, 3 * quarter)]
    assert found == [0, 0, 0, 2, UNIT // 2, UNIT - 2, UNIT]
    assert standing(UNIT) == standing(1 << 30) == UNIT


def test_a_liar_with_a_bad_past_weighs_nothing_and_with_a_poor_one_less():
    found = weighed(parties(8), [*known(7), Trust(node(7), -5_000, 20, 0, 0)])
    assert found[7] == 0 and sum(found) == ONE
    found = weighed(parties(8), [*known(7), Trust(node(7), UNIT // 2, 20, 0, 0)])
    assert 0.9 < found[7] / (ONE / 15) < 1.1


def test_what_deserves_nothing_weighs_nothing():
    found = weights(parties(4), [UNIT, 0, UNIT, UNIT], known(4))
    assert found[1] == 0 and sum(found) == ONE


def test_where_no_known_node_claims_anything_their_steps_count():
    found = weights(parties(4), [0, 0, UNIT, UNIT], known(2))
    assert found[:2] == [(ONE - ONE // 10 + 1) // 2, (ONE - ONE // 10) // 2] and sum(found[2:]) == ONE // 10


@settings(max_examples=200, deadline=None)
@given(st.integers(0, ONE), st.lists(st.integers(0, 1 << 40), min_size=1, max_size=20), st.integers(0, ONE))
def test_shares_are_exact_and_capped(total, claims, cap):
    found = share(total, claims, cap)
    claiming = sum(1 for claim in claims if claim)
    assert sum(found) == (total if claiming else 0)
    if claiming:
        assert max(found) <= max(cap, -(-total // claiming))
        assert found == oracle_robust.divided(total, claims, cap)


def test_what_a_cap_cuts_off_goes_to_the_others():
    assert share(100, [98, 1, 1], 50) == [50, 25, 25]
    assert share(100, [98, 1, 1], 20) == [34, 33, 33]
    assert share(10, [1, 1, 1], 10) == [4, 3, 3]


def test_a_score_is_a_mean_with_a_memory_of_seven_eighths():
    first = remember((), parties(2), [800, -800], [500_000, 500_000])
    assert [each.score for each in first] == [800, -800] and [each.rounds for each in first] == [1, 1]
    second = remember(first, parties(2), [0, None], [1, 2])
    assert [each.score for each in second] == [700, -800]
    assert [each.weight_ppm for each in second] == [1, 2]


def test_the_absent_are_counted_and_forgotten():
    trust = remember(known(2), parties(1), [40_000], [10**6])
    assert trust[1] == Trust(node(1), UNIT, KNOWN, 1, 0) and trust[0].absent == 0
    for _ in range(ABSENT_MAXIMUM - 2):
        trust = remember(trust, parties(1), [40_000], [10**6])
    assert trust[1].absent == ABSENT_MAXIMUM - 1
    assert len(remember(trust, parties(1), [40_000], [10**6])) == 1
    back = remember(trust, parties(2), [1, 1], [1, 1])
    assert back[1].absent == 0 and back[1].rounds == KNOWN + 1


def test_of_too_many_nodes_the_longest_absent_then_the_lowest_score_then_the_lowest_id_go():
    full = [Trust(node(each), 5, 1, 0, 0) for each in range(10, 10 + RECORDS_MAXIMUM)]
    newcomer = [Party(node(1), 1)]
    after = remember(full, newcomer, [5], [1])
    assert len(after) == RECORDS_MAXIMUM and after[0].node == node(1) and after[1].node == node(11)
    full[7] = Trust(node(17), 4, 1, 0, 0)
    assert node(17) not in {each.node for each in remember(full, newcomer, [5], [1])}
    full[9] = Trust(node(19), 50, 1, 3, 0)
    kept = {each.node for each in remember(full, newcomer, [5], [1])}
    assert node(19) not in kept and node(17) in kept
    assert len(read_trust(trust_bytes(after))) == RECORDS_MAXIMUM


@pytest.mark.parametrize("rounds", [(1 << 32) - 2, (1 << 32) - 1])
def test_the_count_of_rounds_stops_at_its_limit(rounds):
    trust = remember([Trust(node(0), 1, rounds, 0, 0)], parties(1), [1], [1])
    assert trust[0].rounds == (1 << 32) - 1 and read_trust(trust_bytes(trust)) == trust
