"""What is proposed, judged and notarized. We are member 0 unless said otherwise; equal members lead in turn."""

from dataclasses import replace

import pytest

from chain.crypto.hashing import ZERO
from consensus.events import (
    LEADER,
    RETRY,
    VIEW,
    Blame,
    Broadcast,
    Built,
    FetchBlock,
    Judge,
    Judged,
    Linked,
    Propose,
    Report,
    Signed,
    TimerFired,
)
from consensus.messages import FINALIZE, NOTARIZE, NULLIFY, CertificateRequest, Proposal
from consensus.state import VIEWS_AHEAD
from tests.consensus.builders import (
    ANCHOR,
    FOUR,
    LAST,
    OTHERS,
    A,
    B,
    a_block,
    a_certificate,
    a_proposal,
    a_vote,
    begun,
    casts,
    feed,
    in_view_2,
    nullify,
    of_kind,
)

# --- leading --------------------------------------------------------------------------------------------------------


def test_the_leader_of_view_1_builds_on_the_anchor():
    assert of_kind(begun()[1], Propose) == [Propose(1, ANCHOR, 0)]
    assert not of_kind(begun(LAST)[1], Propose)


def test_the_leaders_signed_vote_travels_as_the_proposal():
    state, effects = feed(begun()[0], FOUR, Built(1, A))
    assert casts(effects) == [(NOTARIZE, 1, A)] and not of_kind(effects, Broadcast)

    vote = a_vote(FOUR, NOTARIZE, 1, 0, A)
    _, effects = feed(state, FOUR, Signed(vote))
    assert of_kind(effects, Broadcast) == [Broadcast(Proposal(0, 1, 0, ANCHOR, A, 1, vote))]


def test_the_leader_neither_gives_up_its_own_proposal_early_nor_forgets_to_repeat_it():
    state, effects = feed(begun()[0], FOUR, Built(1, A), Signed(a_vote(FOUR, NOTARIZE, 1, 0, A)))
    proposal = of_kind(effects, Broadcast)
    state, effects = feed(state, FOUR, TimerFired(LEADER, 1))
    assert casts(effects) == []
    _, effects = feed(state, FOUR, TimerFired(VIEW, 1), TimerFired(RETRY, 1))
    assert casts(effects)[0] == (NULLIFY, 1, ZERO) and proposal[0] in effects


def test_a_block_built_too_late_is_dropped():
    state, _ = feed(begun()[0], FOUR, TimerFired(LEADER, 1))
    assert not casts(feed(state, FOUR, Built(1, A))[1])
    assert not casts(feed(begun()[0], FOUR, Built(2, A))[1])


def test_the_leader_builds_on_the_highest_notarized_block():
    state, effects = feed(in_view_2(LAST), LAST, a_proposal(LAST, 2, 1, B, (1, A), 2))
    state, effects = feed(state, LAST, a_certificate(LAST, NOTARIZE, 2, OTHERS, B), *nullify(LAST, 3, [0, 1, 2]))
    assert of_kind(effects, Propose) == [Propose(4, B, 2)]


def test_the_leader_waits_for_the_nullifications_of_the_gap():
    state, effects = feed(begun(LAST)[0], LAST, a_certificate(LAST, NULLIFY, 3, OTHERS))
    assert state.view == 4 and not of_kind(effects, Propose)
    assert Broadcast(CertificateRequest(0, 1, 2)) in effects

    state, effects = feed(state, LAST, a_certificate(LAST, NULLIFY, 1, OTHERS))
    assert not of_kind(effects, Propose)
    _, effects = feed(state, LAST, a_certificate(LAST, NULLIFY, 2, OTHERS))
    assert of_kind(effects, Propose) == [Propose(4, ANCHOR, 0)]


def test_the_leader_waits_for_a_notarized_parent_it_has_not_seen():
    state, effects = feed(begun(LAST)[0], LAST, a_certificate(LAST, NOTARIZE, 3, OTHERS, A))
    assert of_kind(effects, FetchBlock) == [FetchBlock(3, A)] and not of_kind(effects, Propose)
    _, effects = feed(state, LAST, Linked(A, ANCHOR, 1))
    assert of_kind(effects, Propose) == [Propose(4, A, 3)]


# --- notarizing -----------------------------------------------------------------------------------------------------


def test_a_good_proposal_is_judged_and_then_notarized():
    state, effects = feed(in_view_2(), FOUR, a_proposal(FOUR, 2, 1, B, (1, A), 2))
    assert of_kind(effects, Judge) == [Judge(2, B)] and not casts(effects)
    assert casts(feed(state, FOUR, Judged(2, B, True))[1]) == [(NOTARIZE, 2, B)]


def test_an_invalid_block_is_given_up_at_once():
    state, _ = feed(in_view_2(), FOUR, a_proposal(FOUR, 2, 1, B, (1, A), 2))
    assert casts(feed(state, FOUR, Judged(2, B, False))[1]) == [(NULLIFY, 2, ZERO)]


def test_a_verdict_on_another_block_or_view_counts_for_nothing():
    state, _ = feed(in_view_2(), FOUR, a_proposal(FOUR, 2, 1, B, (1, A), 2))
    assert not casts(feed(state, FOUR, Judged(2, A, True), Judged(1, B, True), Judged(3, B, True))[1])


def test_one_block_is_notarized_in_a_view():
    state, effects = feed(in_view_2(), FOUR, a_proposal(FOUR, 2, 1, B, (1, A), 2), Judged(2, B, True))
    _, effects = feed(state, FOUR, a_proposal(FOUR, 2, 1, a_block("c"), (1, A), 2), Judged(2, a_block("c"), True))
    assert not casts(effects) and not of_kind(effects, Judge)
    assert len(of_kind(effects, Report)) == 1  # The leader signed two blocks of one view.


def test_nothing_is_notarized_after_nullify():
    state, effects = feed(in_view_2(), FOUR, TimerFired(LEADER, 2))
    assert casts(effects) == [(NULLIFY, 2, ZERO)]
    assert not casts(feed(state, FOUR, a_proposal(FOUR, 2, 1, B, (1, A), 2), Judged(2, B, True))[1])


def test_a_verdict_that_comes_after_giving_up_is_no_vote():
    state, _ = feed(in_view_2(), FOUR, a_proposal(FOUR, 2, 1, B, (1, A), 2), TimerFired(VIEW, 2))
    for valid in (True, False):
        assert not casts(feed(state, FOUR, Judged(2, B, valid))[1])


def test_a_block_that_skips_a_notarized_view_is_not_judged():
    # The anchor is notarized ground, but nobody gave up view 1.
    state, effects = feed(in_view_2(), FOUR, a_proposal(FOUR, 2, 1, B, (0, ANCHOR), 1))
    assert not of_kind(effects, Judge)
    assert of_kind(effects, Broadcast) == [Broadcast(CertificateRequest(0, 1, 1))]
    # With the nullification of view 1 it may be skipped, though it is notarized too.
    assert of_kind(feed(state, FOUR, a_certificate(FOUR, NULLIFY, 1, OTHERS))[1], Judge) == [Judge(2, B)]


def test_a_parent_of_which_only_the_nullification_is_here_is_asked_for_where_the_leader_says():
    # Views 1 to 3 were given up, and view 1 was notarized too: others hold both of its certificates, we only the one.
    given_up = [a_certificate(FOUR, NULLIFY, view, OTHERS) for view in (1, 2, 3)]
    proposal = a_proposal(FOUR, 4, 3, B, (1, A), 2)
    state, effects = feed(begun()[0], FOUR, *given_up, proposal)
    assert state.view == 4 and not of_kind(effects, Judge)
    assert CertificateRequest(0, 1, 1) in [effect.message for effect in of_kind(effects, Broadcast)]
    state, effects = feed(state, FOUR, a_certificate(FOUR, NOTARIZE, 1, OTHERS, A), Linked(A, ANCHOR, 1))
    assert of_kind(effects, Judge) == [Judge(4, B)]


@pytest.mark.parametrize("hint", [0, 3])
def test_the_request_for_a_gap_and_for_a_parent_is_one(hint):
    gap = [a_certificate(FOUR, NULLIFY, view, OTHERS) for view in (1, 3)]
    _, effects = feed(begun()[0], FOUR, *gap, a_proposal(FOUR, 4, 3, B, (hint, A), 2))
    asked = [each.message for each in of_kind(effects, Broadcast) if isinstance(each.message, CertificateRequest)]
    assert asked == [CertificateRequest(0, 2, max(2, hint))]


def test_a_block_whose_gap_is_one_nullification_short_is_not_judged():
    proposal = a_proposal(FOUR, 4, 3, B, (1, A), 2)
    state, effects = feed(in_view_2(), FOUR, a_certificate(FOUR, NULLIFY, 3, OTHERS), proposal)
    assert state.view == 4 and not of_kind(effects, Judge)
    assert of_kind(feed(state, FOUR, a_certificate(FOUR, NULLIFY, 2, OTHERS))[1], Judge) == [Judge(4, B)]


def test_a_block_on_a_parent_that_is_not_notarized_is_not_judged():
    state, _ = feed(in_view_2(), FOUR, a_certificate(FOUR, NULLIFY, 1, OTHERS))
    assert not of_kind(feed(state, FOUR, a_proposal(FOUR, 2, 1, B, (1, a_block("x")), 2))[1], Judge)


def test_a_proposal_waits_for_the_notarization_of_its_parent():
    state, effects = feed(begun()[0], FOUR, a_proposal(FOUR, 1, 0, A), *nullify(FOUR, 1, OTHERS))
    state, effects = feed(state, FOUR, a_proposal(FOUR, 2, 1, B, (1, A), 2))
    assert state.view == 2 and not of_kind(effects, Judge)
    assert of_kind(feed(state, FOUR, a_certificate(FOUR, NOTARIZE, 1, OTHERS, A))[1], Judge) == [Judge(2, B)]


def test_a_height_that_is_not_the_parents_plus_one_is_not_judged():
    for height in (1, 3):
        proposal = a_proposal(FOUR, 2, 1, B, (1, A), height)
        assert not of_kind(feed(in_view_2(), FOUR, proposal)[1], Judge)


def test_an_altered_hint_of_the_parents_view_changes_nothing():
    good = a_proposal(FOUR, 2, 1, B, (1, A), 2)
    assert of_kind(feed(in_view_2(), FOUR, replace(good, parent_view=0))[1], Judge) == [Judge(2, B)]


def test_only_the_leader_may_propose():
    state, effects = feed(in_view_2(), FOUR, a_proposal(FOUR, 2, 2, B, (1, A), 2))
    assert [type(effect) for effect in effects] == [Blame] and state.view == 2


def test_a_proposal_that_contradicts_itself_is_refused():
    good = a_proposal(FOUR, 2, 1, B, (1, A), 2)
    wrong = [
        replace(good, block_hash=a_block("c")),
        replace(good, parent_view=2),
        replace(good, view=3),
        replace(good, leader_vote=a_vote(FOUR, FINALIZE, 2, 1, B)),
        replace(good, leader_vote=replace(good.leader_vote, signature=bytes(96))),
    ]
    for proposal in wrong:
        before = in_view_2()
        state, effects = feed(before, FOUR, proposal)
        assert [type(effect) for effect in effects] == [Blame] and state == before


def test_an_early_proposal_is_judged_when_its_view_comes_and_far_ones_are_not_kept():
    state, _ = begun(LAST)
    state, effects = feed(state, LAST, a_proposal(LAST, 2, 1, B, (1, A), 2), a_proposal(LAST, 1, 0, A))
    assert of_kind(effects, Judge) == [Judge(1, A)]
    state, effects = feed(state, LAST, a_certificate(LAST, NOTARIZE, 1, OTHERS, A))
    assert of_kind(effects, Judge) == [Judge(2, B)]

    for view, kept in ((2 + VIEWS_AHEAD, True), (3 + VIEWS_AHEAD, False)):
        after, _ = feed(state, LAST, a_proposal(LAST, view, (view - 1) % 4, B, (1, A), 2))
        assert (view in after.proposals) == kept
