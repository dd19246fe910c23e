"""The rules of one view, one by one. We are member 0 unless said otherwise; equal members lead in turn."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.crypto.hashing import ZERO
from consensus.events import (
    LEADER,
    RETRY,
    VIEW,
    Accuse,
    Blame,
    Broadcast,
    Built,
    CastVote,
    EndEpoch,
    FetchBlock,
    Finalized,
    Halt,
    Installed,
    Judge,
    Judged,
    Keep,
    Linked,
    Propose,
    Received,
    Report,
    Send,
    SetTimer,
    Signed,
    TimerFired,
)
from consensus.messages import FINALIZE, NOTARIZE, NULLIFY, CertificateRequest, Proposal
from consensus.state import MAX_REPLY, SILENT_VIEWS, VIEWS_AHEAD, Own, Root
from consensus.step import start, step
from tests.consensus.builders import (
    ANCHOR,
    PEER,
    SCHEME,
    a_block,
    a_certificate,
    a_proposal,
    a_vote,
    an_epoch,
    feed,
    nullify,
    of_kind,
)

FOUR = an_epoch(1, 1, 1, 1)
LAST = replace(FOUR, us=3)  # The same epoch seen by member 3, who leads view 4.
A, B = a_block("a"), a_block("b")
OTHERS = (1, 2, 3)


def begun(epoch=FOUR, **more):
    return start(epoch, scheme=SCHEME, **more)


def in_view_2(epoch=FOUR):
    """A was notarized in view 1; we are in view 2, led by member 1."""
    state, _ = feed(begun(epoch)[0], epoch, a_proposal(epoch, 1, 0, A), a_certificate(epoch, NOTARIZE, 1, OTHERS, A))
    return state


def casts(effects):
    return [(cast.kind, cast.view, cast.block_hash) for cast in of_kind(effects, CastVote)]


# --- leading ------------------------------------------------------------------------------------------------------


def test_the_leader_of_view_1_builds_on_the_anchor():
    assert of_kind(begun()[1], Propose) == [Propose(1, ANCHOR, 0)]
    assert not of_kind(begun(LAST)[1], Propose)


def test_the_leaders_signed_vote_travels_as_the_proposal():
    state, effects = feed(begun()[0], FOUR, Built(1, A))
    assert casts(effects) == [(NOTARIZE, 1, A)] and not of_kind(effects, Broadcast)

    vote = a_vote(FOUR, NOTARIZE, 1, 0, A)
    _, effects = feed(state, FOUR, Signed(vote))
    assert of_kind(effects, Broadcast) == [Broadcast(Proposal(0, 1, 0, ANCHOR, A, 1, vote))]


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


# --- notarizing ---------------------------------------------------------------------------------------------------


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


def test_a_block_that_skips_a_notarized_view_is_not_judged():
    # The anchor is notarized ground, but nobody gave up view 1.
    state, effects = feed(in_view_2(), FOUR, a_proposal(FOUR, 2, 1, B, (0, ANCHOR), 1))
    assert not of_kind(effects, Judge)
    assert of_kind(effects, Broadcast) == [Broadcast(CertificateRequest(0, 1, 1))]
    # With the nullification of view 1 it may be skipped, though it is notarized too.
    assert of_kind(feed(state, FOUR, a_certificate(FOUR, NULLIFY, 1, OTHERS))[1], Judge) == [Judge(2, B)]


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


# --- finalizing and giving up -------------------------------------------------------------------------------------


def test_three_of_four_votes_notarize_and_two_do_not():
    state, effects = feed(begun()[0], FOUR, *[a_vote(FOUR, NOTARIZE, 1, signer, A) for signer in (0, 1)])
    assert state.view == 1 and not of_kind(effects, CastVote)
    state, effects = feed(state, FOUR, a_vote(FOUR, NOTARIZE, 1, 2, A))
    assert state.view == 2 and casts(effects) == [(FINALIZE, 1, A)]
    assert Broadcast(a_certificate(FOUR, NOTARIZE, 1, [0, 1, 2], A)) in effects


def test_votes_count_by_power():
    epoch = an_epoch(70, 10, 10, 10)
    assert feed(begun(epoch)[0], epoch, *nullify(epoch, 1, [1, 2, 3]))[0].view == 1
    assert feed(begun(epoch)[0], epoch, *nullify(epoch, 1, [0]))[0].view == 2


def test_votes_for_different_blocks_do_not_add_up():
    votes = [a_vote(FOUR, NOTARIZE, 1, 1, A), a_vote(FOUR, NOTARIZE, 1, 2, A), a_vote(FOUR, NOTARIZE, 1, 3, B)]
    assert feed(begun()[0], FOUR, *votes)[0].view == 1


def test_one_voter_shouting_three_times_is_one_vote():
    vote = a_vote(FOUR, NULLIFY, 1, 2)
    assert feed(begun()[0], FOUR, vote, vote, vote)[0].view == 1


def test_a_vote_of_another_epoch_or_kind_or_chain_is_not_counted():
    state, _ = feed(begun()[0], FOUR, *nullify(FOUR, 1, [1, 2]))
    later = an_epoch(1, 1, 1, 1, number=1)
    third = a_vote(FOUR, NULLIFY, 1, 3)
    for wrong in (a_vote(later, NULLIFY, 1, 3), replace(third, view=2), a_vote(FOUR, NULLIFY, 1, 3, chain_id=A)):
        assert feed(state, FOUR, wrong)[0].view == 1
    assert feed(state, FOUR, third)[0].view == 2


def test_no_finalize_after_nullify():
    state, effects = feed(begun()[0], FOUR, TimerFired(VIEW, 1), a_certificate(FOUR, NOTARIZE, 1, OTHERS, A))
    assert casts(effects) == [(NULLIFY, 1, ZERO)] and state.view == 2


def test_no_nullify_after_finalize_also_when_the_clock_fires_late():
    _, effects = feed(begun()[0], FOUR, a_certificate(FOUR, NOTARIZE, 1, OTHERS, A), TimerFired(VIEW, 1))
    assert casts(effects) == [(FINALIZE, 1, A)]


def test_no_finalize_of_a_view_that_others_gave_up():
    state, effects = feed(begun()[0], FOUR, *nullify(FOUR, 1, OTHERS), a_certificate(FOUR, NOTARIZE, 1, OTHERS, A))
    assert state.view == 2 and not casts(effects)


def test_the_notarization_is_kept_before_finalize_is_voted():
    _, effects = feed(begun()[0], FOUR, a_certificate(FOUR, NOTARIZE, 1, OTHERS, A))
    order = [type(effect) for effect in effects if isinstance(effect, Keep | CastVote)]
    assert order == [Keep, CastVote]


def test_notarize_and_then_nullify_is_legal():
    state, effects = feed(in_view_2(), FOUR, a_proposal(FOUR, 2, 1, B, (1, A), 2), Judged(2, B, True))
    _, effects = feed(state, FOUR, TimerFired(VIEW, 2))
    assert casts(effects) == [(NULLIFY, 2, ZERO)]


def test_a_finalization_makes_the_block_and_its_ancestors_final_in_order():
    state, _ = feed(in_view_2(), FOUR, a_proposal(FOUR, 2, 1, B, (1, A), 2))
    certificate = a_certificate(FOUR, FINALIZE, 2, OTHERS, B)
    state, effects = feed(state, FOUR, certificate)
    assert of_kind(effects, Finalized) == [Finalized(A, 1, certificate), Finalized(B, 2, certificate)]
    assert state.root == Root(2, B, 2) and state.view == 3


def test_a_late_finalization_of_an_earlier_view_still_counts():
    state, _ = feed(in_view_2(), FOUR, *nullify(FOUR, 2, OTHERS))
    votes = [a_vote(FOUR, FINALIZE, 1, signer, A) for signer in OTHERS]
    state, effects = feed(state, FOUR, *votes)
    assert [effect.block_hash for effect in of_kind(effects, Finalized)] == [A] and state.view == 3


def test_finality_waits_for_missing_ancestors():
    certificate = a_certificate(FOUR, FINALIZE, 5, OTHERS, B)
    state, effects = feed(begun()[0], FOUR, certificate)
    assert of_kind(effects, FetchBlock) == [FetchBlock(5, B)] and state.view == 6
    state, effects = feed(state, FOUR, Linked(B, A, 2))
    assert of_kind(effects, FetchBlock) == [FetchBlock(5, A)] and not of_kind(effects, Finalized)
    state, effects = feed(state, FOUR, Linked(A, ANCHOR, 1))
    assert [effect.block_hash for effect in of_kind(effects, Finalized)] == [A, B]


def test_a_certificate_waiting_for_its_blocks_is_passed_on_once():
    certificate = a_certificate(FOUR, FINALIZE, 5, OTHERS, B)
    lower = a_certificate(FOUR, FINALIZE, 3, OTHERS, A)
    _, effects = feed(begun()[0], FOUR, certificate, certificate, lower, lower)
    assert of_kind(effects, Broadcast).count(Broadcast(certificate)) == 1
    assert Broadcast(lower) not in effects


def test_two_final_blocks_at_one_height_halt_the_validator():
    state, _ = feed(in_view_2(), FOUR, a_certificate(FOUR, FINALIZE, 1, OTHERS, A))
    state, effects = feed(state, FOUR, a_certificate(FOUR, FINALIZE, 2, OTHERS, B), Linked(B, ANCHOR, 1))
    assert len(of_kind(effects, Halt)) == 1 and not of_kind(effects, Finalized)
    assert feed(state, FOUR, TimerFired(VIEW, 3), *nullify(FOUR, 3, OTHERS)) == (state, ())


def test_blocks_that_stand_on_each_other_in_a_circle_halt_the_validator():
    certificate = a_certificate(FOUR, FINALIZE, 5, OTHERS, B)
    _, effects = feed(begun()[0], FOUR, certificate, Linked(B, A, 2), Linked(A, B, 2))
    assert len(of_kind(effects, Halt)) == 1 and not of_kind(effects, Finalized)


def test_conflicting_certificates_accuse_their_common_signers_once():
    state, _ = feed(begun()[0], FOUR, a_certificate(FOUR, NOTARIZE, 1, OTHERS, A))
    second = a_certificate(FOUR, NOTARIZE, 1, OTHERS, B)
    state, effects = feed(state, FOUR, second, second)
    assert len(of_kind(effects, Accuse)) == 1 and not casts(effects)
    assert state.notarized[1].block_hash == A


def test_contradicting_votes_are_reported_once():
    votes = [a_vote(FOUR, FINALIZE, 1, 2, A), a_vote(FOUR, NULLIFY, 1, 2), a_vote(FOUR, FINALIZE, 1, 2, B)]
    _, effects = feed(begun()[0], FOUR, *votes)
    assert len(of_kind(effects, Report)) == 1


def test_a_badly_signed_vote_changes_nothing_and_earns_blame():
    before, _ = begun()
    state, effects = feed(before, FOUR, replace(a_vote(FOUR, NULLIFY, 1, 2), signature=bytes(96)))
    assert state == before and [effect.peer for effect in of_kind(effects, Blame)] == [PEER]


def test_votes_far_ahead_are_not_kept():
    for view, kept in ((1 + VIEWS_AHEAD, True), (2 + VIEWS_AHEAD, False)):
        state, _ = feed(begun()[0], FOUR, a_vote(FOUR, NULLIFY, view, 2))
        assert ((NULLIFY, view) in state.votes) == kept


# --- clocks -------------------------------------------------------------------------------------------------------


def test_a_view_starts_with_two_clocks_of_two_and_three_times_the_delay():
    assert of_kind(begun()[1], SetTimer) == [SetTimer(LEADER, 1, 2_000), SetTimer(VIEW, 1, 3_000)]


def test_a_leader_may_be_as_patient_as_the_longest_block_interval():
    epoch = replace(FOUR, timing=replace(FOUR.timing, patience_ms=10_000))
    assert of_kind(begun(epoch)[1], SetTimer) == [SetTimer(LEADER, 1, 12_000), SetTimer(VIEW, 1, 13_000)]


def test_the_leader_clock_does_not_give_up_a_view_whose_proposal_came():
    state, _ = feed(in_view_2(), FOUR, a_proposal(FOUR, 2, 1, B, (1, A), 2))
    assert not casts(feed(state, FOUR, TimerFired(LEADER, 2))[1])
    assert casts(feed(state, FOUR, TimerFired(VIEW, 2))[1]) == [(NULLIFY, 2, ZERO)]


def test_clocks_of_left_views_mean_nothing():
    state = in_view_2()
    assert feed(state, FOUR, TimerFired(VIEW, 1), TimerFired(LEADER, 1), TimerFired(RETRY, 1)) == (state, ())


def test_giving_up_makes_the_clocks_slower_up_to_a_cap():
    state, _ = begun(LAST)
    seen = []
    for view in range(1, 12):
        state, _ = feed(state, LAST, *nullify(LAST, view, [0, 1, 2]))
        state.heard_floor = view  # Nobody is silent.
        seen.append(state.delta_ms)
    assert seen == [1500, 2250, 3375, 5062, 7593, 11389, 17083, 25624, 30000, 30000, 30000]


def test_ten_finalizations_make_the_clocks_faster_down_to_the_base():
    state, parent, seen = begun()[0], ANCHOR, []
    state.delta_ms = 1_800
    for view in range(1, 31):
        block = a_block(f"block {view}")
        leader = (view - 1) % 4
        state, _ = feed(state, FOUR, a_certificate(FOUR, FINALIZE, view, OTHERS, block), Linked(block, parent, view))
        parent = block
        seen.append(state.delta_ms)
    assert seen[8:10] == [1800, 1200] and seen[18:20] == [1200, 1000] and seen[29] == 1000 and leader == 1


def test_a_leader_silent_for_many_views_is_given_up_at_once_and_does_not_slow_the_clocks():
    state, _ = begun()
    for view in range(1, 17):
        before = state.delta_ms
        state, effects = feed(state, FOUR, *nullify(FOUR, view, [0, 2, 3]))
        silent = view >= SILENT_VIEWS and view % 4 == 1  # Member 1, who leads views 2, 6, 10, …
        assert (SetTimer(LEADER, view + 1, 0) in effects) == silent
        if state.delta_ms < 30_000:
            assert (state.delta_ms == before) == (view == 10)


def test_a_late_vote_shows_that_its_signer_is_not_silent():
    state, _ = begun()
    for view in range(1, 14):
        state, _ = feed(state, FOUR, *nullify(FOUR, view, [0, 2, 3]))
    state, _ = feed(state, FOUR, a_certificate(FOUR, FINALIZE, 12, [0, 2, 3], A), Linked(A, ANCHOR, 1))
    assert 1 not in state.heard
    state, _ = feed(state, FOUR, a_vote(FOUR, NULLIFY, 11, 1))
    assert state.heard[1] == 11


def test_giving_up_is_repeated_until_the_view_ends():
    state, effects = feed(begun()[0], FOUR, TimerFired(LEADER, 1))
    assert SetTimer(RETRY, 1, 1_000) in effects
    state, effects = feed(state, FOUR, TimerFired(VIEW, 1))
    assert not effects  # One chain of repetitions is enough.

    vote = a_vote(FOUR, NULLIFY, 1, 0)
    state, effects = feed(state, FOUR, Signed(vote))
    assert Broadcast(vote) in effects
    state, effects = feed(state, FOUR, TimerFired(RETRY, 1))
    assert Broadcast(vote) in effects and SetTimer(RETRY, 1, 1_000) in effects
    assert [type(each.message) for each in of_kind(effects, Broadcast)][-1] is CertificateRequest


def test_who_repeats_itself_also_shows_what_brought_it_into_the_view():
    certificate = a_certificate(FOUR, NOTARIZE, 1, OTHERS, A)
    _, effects = feed(in_view_2(), FOUR, TimerFired(VIEW, 2), TimerFired(RETRY, 2))
    assert Broadcast(certificate) in effects


# --- catching up --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "block"), [(NOTARIZE, A), (NULLIFY, ZERO), (FINALIZE, A)])
def test_any_certificate_brings_us_to_the_view_after_it(kind, block):
    assert feed(begun()[0], FOUR, a_certificate(FOUR, kind, 40, OTHERS, block))[0].view == 41


def test_a_request_is_answered_with_certificates_up_to_a_bound():
    state, _ = begun(LAST)
    for view in range(1, MAX_REPLY + 20):
        state, _ = feed(state, LAST, a_certificate(LAST, NULLIFY, view, [0, 1, 2]))
    _, effects = feed(state, LAST, CertificateRequest(0, 3, 5))
    assert [(effect.peer, effect.message.view) for effect in of_kind(effects, Send)] == [
        (PEER, 3),
        (PEER, 4),
        (PEER, 5),
    ]
    _, effects = feed(state, LAST, CertificateRequest(0, 0, 2**64 - 1))
    assert len(effects) == MAX_REPLY
    assert not feed(state, LAST, CertificateRequest(0, 5, 3))[1]
    assert not feed(state, LAST, CertificateRequest(1, 1, 5))[1]


def test_a_request_below_the_root_is_answered_with_the_finalization():
    final = a_certificate(FOUR, FINALIZE, 1, OTHERS, A)
    state, _ = feed(in_view_2(), FOUR, final)
    assert feed(state, FOUR, CertificateRequest(0, 1, 9))[1] == (Send(PEER, final),)


def test_block_sync_moves_the_root():
    final = a_certificate(FOUR, FINALIZE, 30, OTHERS, B)
    state, effects = feed(in_view_2(), FOUR, Installed(final, 25))
    assert state.root == Root(30, B, 25) and state.view == 31 and not of_kind(effects, Finalized)
    assert feed(state, FOUR, Installed(a_certificate(FOUR, FINALIZE, 29, OTHERS, A), 24)) == (state, ())


def test_an_observer_follows_and_never_votes():
    watcher = replace(FOUR, us=None)
    state, effects = begun(watcher)
    proposal = a_proposal(watcher, 1, 0, A)
    votes = [a_vote(watcher, kind, 1, signer, A) for kind in (NOTARIZE, FINALIZE) for signer in OTHERS]
    state, effects = feed(state, watcher, proposal, TimerFired(VIEW, 1), TimerFired(RETRY, 1), *votes)
    assert not of_kind(effects, CastVote, Propose, Judge, Keep)
    assert [effect.block_hash for effect in of_kind(effects, Finalized)] == [A]


# --- the end of an epoch ------------------------------------------------------------------------------------------

SHORT = an_epoch(1, 1, 1, 1, us=1, last_height=1)


def test_the_last_block_is_proposed_again_until_it_is_final():
    state, effects = feed(
        begun(SHORT)[0], SHORT, a_proposal(SHORT, 1, 0, A), a_certificate(SHORT, NOTARIZE, 1, OTHERS, A)
    )
    assert not of_kind(effects, Propose)
    assert casts(effects) == [(FINALIZE, 1, A), (NOTARIZE, 2, A)]
    vote = a_vote(SHORT, NOTARIZE, 2, 1, A)
    state, effects = feed(state, SHORT, Signed(vote))
    assert of_kind(effects, Broadcast) == [Broadcast(Proposal(0, 2, 1, A, A, 1, vote))]

    state, effects = feed(state, SHORT, a_certificate(SHORT, FINALIZE, 2, OTHERS, A))
    assert [effect.height for effect in of_kind(effects, Finalized)] == [1]
    assert of_kind(effects, EndEpoch) == [EndEpoch(0, A, 1)]


def test_no_other_block_stands_on_the_last_one_and_no_earlier_one_is_proposed_again():
    third = replace(SHORT, us=2)
    state, _ = feed(begun(third)[0], third, a_proposal(third, 1, 0, A), a_certificate(third, NOTARIZE, 1, OTHERS, A))
    assert not of_kind(feed(state, third, a_proposal(third, 2, 1, B, (1, A), 2))[1], Judge)
    assert not of_kind(feed(state, third, a_proposal(third, 2, 1, A, (1, A), 2))[1], Judge)
    assert of_kind(feed(state, third, a_proposal(third, 2, 1, A, (1, A), 1))[1], Judge) == [Judge(2, A)]
    # In the middle of an epoch a block never stands for itself.
    assert not of_kind(feed(in_view_2(LAST), LAST, a_proposal(LAST, 2, 1, A, (1, A), 1))[1], Judge)


def test_the_epoch_ends_with_the_finality_of_its_last_block_and_only_answers_afterwards():
    final = a_certificate(SHORT, FINALIZE, 1, OTHERS, A)
    state, effects = feed(begun(SHORT)[0], SHORT, a_proposal(SHORT, 1, 0, A), final)
    assert of_kind(effects, EndEpoch) == [EndEpoch(0, A, 1)] and state.view == 1
    votes = nullify(SHORT, 2, OTHERS)
    assert feed(state, SHORT, *votes, TimerFired(VIEW, 1), Signed(a_vote(SHORT, NULLIFY, 2, 1))) == (state, ())
    assert feed(state, SHORT, CertificateRequest(0, 1, 1))[1] == (Send(PEER, final),)


def test_views_restart_in_each_epoch():
    epoch = replace(an_epoch(1, 1, 1, 1, number=7, last_height=90), anchor_height=80)
    state, _ = begun(epoch)
    assert state.view == 1 and state.root == Root(0, ANCHOR, 80)
    assert not feed(state, epoch, *nullify(FOUR, 1, OTHERS))[1]


# --- after a crash ------------------------------------------------------------------------------------------------


def test_recorded_votes_are_signed_again_and_never_contradicted():
    own = {1: Own(notarized=A), 2: Own(nullified=True)}
    state, effects = begun(own=own)
    assert casts(effects) == [(NOTARIZE, 1, A)] and not of_kind(effects, Propose)
    assert not casts(feed(state, FOUR, Built(1, B))[1])
    state, effects = feed(state, FOUR, *nullify(FOUR, 1, OTHERS))
    assert casts(effects) == [(NULLIFY, 2, ZERO)]
    assert not casts(feed(state, FOUR, a_certificate(FOUR, NOTARIZE, 2, OTHERS, B))[1])


def test_a_view_we_finalized_before_the_crash_is_never_given_up():
    state, _ = begun(own={1: Own(finalized=A)})
    _, effects = feed(state, FOUR, TimerFired(LEADER, 1), TimerFired(VIEW, 1))
    assert not casts(effects) and of_kind(effects, SetTimer)
    assert casts(feed(state, FOUR, TimerFired(VIEW, 1), TimerFired(RETRY, 1))[1]) == [(FINALIZE, 1, A)]


def test_a_kept_notarization_brings_us_back_behind_it():
    kept = [a_certificate(FOUR, NOTARIZE, 3, OTHERS, A)]
    state, effects = begun(own={3: Own(finalized=A)}, kept=kept)
    assert state.view == 4 and casts(effects) == [(FINALIZE, 3, A)]
    assert of_kind(effects, FetchBlock) == [FetchBlock(3, A)]


def test_a_restart_begins_after_the_last_finalized_view():
    state, effects = begun(root=Root(9, B, 6), own={9: Own(notarized=B), 10: Own()})
    assert state.view == 10 and 9 not in state.own
    assert state.turn.leader == 1 and not casts(effects)


# --- purity -------------------------------------------------------------------------------------------------------

messages = st.one_of(
    st.builds(
        a_vote, st.just(FOUR), st.integers(1, 3), st.integers(1, 4), st.integers(0, 3), st.sampled_from([A, B, ZERO])
    ),
    st.builds(
        a_certificate,
        st.just(FOUR),
        st.integers(1, 3),
        st.integers(1, 4),
        st.sampled_from([(0, 1, 2), (1, 2, 3), (2, 3)]),
        st.sampled_from([A, B, ZERO]),
    ),
    st.builds(a_proposal, st.just(FOUR), st.integers(1, 4), st.integers(0, 3), st.sampled_from([A, B])),
    st.builds(CertificateRequest, st.integers(0, 1), st.integers(0, 5), st.integers(0, 5)),
)
events = st.one_of(
    messages.map(lambda message: Received(PEER, message)),
    st.builds(Judged, st.integers(1, 4), st.sampled_from([A, B]), st.booleans()),
    st.builds(Built, st.integers(1, 4), st.sampled_from([A, B])),
    st.builds(TimerFired, st.sampled_from([LEADER, VIEW, RETRY]), st.integers(1, 4)),
    st.builds(Linked, st.sampled_from([A, B]), st.sampled_from([ANCHOR, A]), st.integers(1, 2)),
)


@given(st.lists(events, max_size=25))
def test_whatever_happens_no_vote_contradicts_another_and_no_argument_is_changed(history):
    state, effects = begun()
    cast = casts(effects)
    for event in history:
        before = state.copy()
        after, effects = step(state, event, FOUR, SCHEME)
        assert state == before
        assert (after, effects) == step(state, event, FOUR, SCHEME)
        state = after
        cast += casts(effects)
    for view in range(1, 8):
        mine = {(kind, block) for kind, each, block in cast if each == view}
        kinds = [kind for kind, _ in mine]
        assert kinds.count(NOTARIZE) <= 1 and kinds.count(FINALIZE) + kinds.count(NULLIFY) <= 1
