"""Who counts how much, and who leads when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.crypto.hashing import merkle_root
from chain.errors import NeuroError
from consensus.committee import (
    MAX_MEMBERS,
    Committee,
    Member,
    committee_root,
    first_turn,
    is_quorum,
    leader_of,
    next_turn,
)
from consensus.errors import BadCommittee
from tests.consensus.builders import a_committee, a_key


def test_two_of_three_equal_members_are_no_quorum_and_three_are():
    committee = a_committee(1, 1, 1)
    assert not is_quorum(committee, [0, 1])
    assert is_quorum(committee, [0, 1, 2])


def test_a_quorum_is_one_unit_of_power_more_than_two_thirds():
    assert not is_quorum(a_committee(200, 100), [0])
    assert is_quorum(a_committee(201, 100), [0])
    assert not is_quorum(a_committee(2 * 10**38, 10**38), [0])
    assert is_quorum(a_committee(2 * 10**38 + 1, 10**38), [0])


def test_power_counts_and_heads_do_not():
    whale_and_minnows = a_committee(70, 4, 4, 4, 4, 4, 4, 4, 2)
    assert is_quorum(whale_and_minnows, [0])
    assert not is_quorum(whale_and_minnows, range(1, 9))


def test_one_voter_counted_three_times_is_one_vote():
    assert not is_quorum(a_committee(1, 1, 1), [0, 0, 0])


def test_nobody_is_no_quorum():
    assert not is_quorum(a_committee(1), [])
    assert is_quorum(a_committee(1), [0])


def test_a_committee_has_one_to_1024_members():
    members = tuple(Member(a_key(place), 1) for place in range(MAX_MEMBERS + 1))
    assert len(Committee(members[:MAX_MEMBERS]).members) == 1024
    for wrong in (members, ()):
        with pytest.raises(BadCommittee):
            Committee(wrong)


def test_a_committee_is_ordered_by_distinct_keys_with_power():
    one, two = Member(a_key(1), 1), Member(a_key(2), 1)
    for wrong in ((two, one), (one, one), (one, Member(a_key(2), 0))):
        with pytest.raises(BadCommittee):
            Committee(wrong)
    assert Committee((one, two)).place_of(a_key(2)) == 1
    assert Committee((one, two)).place_of(a_key(3)) is None


def test_the_committee_root_is_the_merkle_root_of_its_members():
    committee = a_committee(5, 6, 7)
    assert committee_root(committee) == merkle_root([member.encode() for member in committee.members])
    assert committee_root(committee) != committee_root(a_committee(5, 6, 8))


@given(st.binary(max_size=300))
def test_a_strangers_committee_decodes_to_its_one_encoding_or_fails_by_name(content):
    try:
        committee = Committee.decode(content)
    except NeuroError:
        return
    assert committee.encode() == content


@given(st.lists(st.integers(1, 10**20), min_size=1, max_size=12), st.integers(0, 20))
def test_everyone_leads_its_share_of_views_give_or_take_one(powers, epoch):
    committee = a_committee(*powers)
    turn, led, views = first_turn(committee, epoch), [0] * len(powers), 60
    for _ in range(views):
        led[turn.leader] += 1
        assert sum(turn.priorities) == 0
        assert all(abs(priority) < 2 * sum(powers) for priority in turn.priorities)
        turn = next_turn(committee, turn)
    for count, power in zip(led, powers, strict=True):
        share = views * power // sum(powers)
        assert share - 1 <= count <= share + 2


def test_equal_members_lead_in_order_of_public_key_and_another_opens_each_epoch():
    committee = a_committee(1, 1, 1)
    assert [leader_of(committee, 0, view) for view in range(1, 7)] == [0, 1, 2, 0, 1, 2]
    assert [leader_of(committee, epoch, 1) for epoch in range(4)] == [0, 1, 2, 0]


def test_a_member_with_three_quarters_of_the_power_leads_three_of_four_views():
    committee = a_committee(3, 1)
    assert [leader_of(committee, 0, view) for view in range(1, 9)] == [0, 0, 1, 0, 0, 0, 1, 0]
