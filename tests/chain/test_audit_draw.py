"""Who is audited, which segment, and who looks: all by lot, and nobody can choose."""

from collections import Counter
from dataclasses import replace

import pytest

from chain.audit_draw import Candidate, audit_share, draw_auditors, draw_segment, eligible, is_drawn
from chain.plants import is_planted
from chain.stakes import ValidatorKey, validator_key
from chain.state import AuditName, ValidatorSet, set_key
from tests.builders import NODE, OTHER_NODE, a_network, named
from tests.chain.audits_alone import Audits, wallet_of

MANY = 4_000
MIXES = [named(f"mix {i}") for i in range(MANY)]
NAME = AuditName(7, NODE.node)
PARAMS = a_network(
    audit_warmup_rounds=20,
    audit_steady_basis_points=4_000,
    audit_floor_rounds=200,
    audit_floor_basis_points=2_000,
    audit_second_basis_points=1_000,
).params
FOUR = [Candidate(place, power, (wallet_of(place).address,)) for place, power in enumerate((10, 20, 30, 40))]


def near(count: int, share: float, among: int = MANY) -> bool:
    """Within four standard deviations."""
    return abs(count - share * among) < 4 * (among * share * (1 - share)) ** 0.5 + 1


def a_record(passed: int):
    return replace(Audits().record(), audited_rounds=passed)


@pytest.mark.parametrize(("passed", "share"), [(0, 10_000), (19, 10_000), (20, 4_000), (199, 4_000), (200, 2_000)])
def test_a_node_is_audited_less_the_longer_it_passes(passed, share):
    record = a_record(passed)
    assert audit_share(record, PARAMS) == share
    drawn = sum(is_drawn(mix, NAME, record, PARAMS) for mix in MIXES)
    assert drawn == MANY if share == 10_000 else near(drawn, share / 10_000)


def test_the_lots_of_two_nodes_and_of_two_rounds_are_independent():
    record = a_record(20)
    for other in (AuditName(7, OTHER_NODE.node), AuditName(8, NODE.node)):
        both = sum(is_drawn(mix, NAME, record, PARAMS) and is_drawn(mix, other, record, PARAMS) for mix in MIXES)
        assert near(both, 0.16)


def test_half_of_the_segments_are_drawn_evenly_and_half_by_the_way_they_went():
    claim = replace(Audits().a_claim(NODE), distances=(0, 1, 1, 6))
    seen = Counter(draw_segment(mix, NAME, claim) for mix in MIXES)
    # 8 is the whole way: the weights of the second half are 8, 8, 8 and 24.
    for segment, share in enumerate((1 / 4 + 1 / 6, 1 / 4 + 1 / 6, 1 / 4 + 1 / 6, 1 / 4 + 1 / 2)):
        assert near(seen[segment], share / 2)


def test_a_segment_that_names_no_way_keeps_most_of_its_chance_even_among_many():
    states = (named("state"),) * 20
    claim = replace(Audits().a_claim(NODE), states=states, distances=(0,) + (5,) * 19)
    seen = Counter(draw_segment(mix, NAME, claim) for mix in MIXES)
    assert near(seen[0], 1 / 40 + 1 / 2 * 95 / (95 + 19 * 100))


def test_segments_that_all_name_no_way_are_drawn_evenly():
    claim = replace(Audits().a_claim(NODE), distances=(0, 0, 0, 0))
    seen = Counter(draw_segment(mix, NAME, claim) for mix in MIXES)
    assert all(near(seen[segment], 1 / 4) for segment in range(4))


def test_auditors_are_drawn_by_power_and_now_and_then_two_different_ones():
    drawn = [draw_auditors(FOUR, mix, NAME, 1, PARAMS) for mix in MIXES]
    for place, power in enumerate((10, 20, 30, 40)):
        assert near(sum(places[0] == place for places in drawn), power / 100)
    two = [places for places in drawn if len(places) == 2]
    assert near(len(two), 0.1)
    assert all(first != second for first, second in two)


def test_nobody_audits_his_own_wallet_or_twice():
    assert [each.place for each in eligible(FOUR, wallet_of(2).address, {0})] == [1, 3]
    assert draw_auditors(eligible(FOUR[:1], wallet_of(0).address, ()), MIXES[0], NAME, 1, PARAMS) == ()


def test_the_power_that_nobody_has_is_not_drawn():
    assert draw_auditors([replace(FOUR[0], power=0)], MIXES[0], NAME, 1, PARAMS) == ()


def test_each_attempt_is_drawn_anew():
    drawn = [[draw_auditors(FOUR, mix, NAME, attempt, PARAMS)[0] for attempt in (1, 2)] for mix in MIXES]
    assert near(sum(first == second for first, second in drawn), 0.1**2 + 0.2**2 + 0.3**2 + 0.4**2)


def test_planted_segments_have_their_share():
    planted = sum(is_planted(named("secret"), mix, 3, PARAMS) for mix in MIXES)
    assert near(planted, PARAMS.plant_basis_points / 10_000)


def test_a_draw_depends_on_nothing_that_a_node_or_an_auditor_says_after_the_mix():
    first, second = Audits(), Audits(NODE, OTHER_NODE, plant=True)
    first.block()
    second.block()
    one, other = first.audit(), second.audit()
    assert (one.segment, one.auditors) == (other.segment, other.auditors)


def test_only_who_is_still_a_member_and_not_banned_is_drawn():
    audits = Audits()
    audits.open()
    members = audits.state.validators(0).members
    audits.state.put(set_key(1), ValidatorSet(members[:2]))
    audits.state.put(validator_key(members[1].public_key), ValidatorKey(wallet_of(1).address, True))
    audits.epoch = 1
    first = audits.assigned()[0].validator
    audits.blocks(audits.params.audit_blocks + 1)
    left = {0} - {first}
    assert {each.validator for each in audits.assigned()} == (left or {first})
