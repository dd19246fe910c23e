"""What is finalized and what is given up. We are member 0 unless said otherwise; equal members lead in turn."""

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
    Broadcast,
    Built,
    CastVote,
    FetchBlock,
    Finalized,
    Halt,
    Judged,
    Keep,
    Linked,
    Received,
    Report,
    TimerFired,
)
from consensus.messages import FINALIZE, NOTARIZE, NULLIFY, CertificateRequest
from consensus.state import VIEWS_AHEAD, Root
from consensus.step import step
from tests.consensus.builders import (
    ANCHOR,
    FOUR,
    OTHERS,
    PEER,
    SCHEME,
    A,
    B,
    a_certificate,
    a_proposal,
    a_vote,
    an_epoch,
    begun,
    casts,
    feed,
    in_view_2,
    nullify,
    of_kind,
)

# --- finalizing and giving up ---------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("view", [1, 2])
def test_a_notarization_is_kept_before_finalize_is_voted_also_one_of_an_earlier_view(view):
    state, _ = feed(begun()[0], FOUR, *[a_certificate(FOUR, NULLIFY, 1, OTHERS)] * (view - 1))
    state, _ = feed(state, FOUR, *[a_certificate(FOUR, NULLIFY, 3, OTHERS)] * (view - 1))
    _, effects = feed(state, FOUR, a_certificate(FOUR, NOTARIZE, view, OTHERS, A))
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


def test_a_finalization_that_contradicts_a_nullification_takes_nothing_back():
    higher = a_certificate(FOUR, FINALIZE, 3, OTHERS, B)
    state, _ = feed(begun()[0], FOUR, a_certificate(FOUR, NULLIFY, 1, OTHERS), higher)
    state, effects = feed(state, FOUR, a_certificate(FOUR, FINALIZE, 1, OTHERS, A), TimerFired(VIEW, 4))
    assert len(of_kind(effects, Accuse)) == 1 and state.final == higher


def test_contradicting_votes_are_reported_once():
    votes = [a_vote(FOUR, FINALIZE, 1, 2, A), a_vote(FOUR, NULLIFY, 1, 2), a_vote(FOUR, FINALIZE, 1, 2, B)]
    _, effects = feed(begun()[0], FOUR, *votes)
    assert len(of_kind(effects, Report)) == 1


def test_votes_far_ahead_are_not_kept():
    for view, kept in ((1 + VIEWS_AHEAD, True), (2 + VIEWS_AHEAD, False)):
        state, _ = feed(begun()[0], FOUR, a_vote(FOUR, NULLIFY, view, 2))
        assert ((NULLIFY, view) in state.votes) == kept


# --- purity ---------------------------------------------------------------------------------------------------------

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


@pytest.mark.parametrize(
    ("certificate", "is_given_up"),
    [((NULLIFY, ZERO), False), ((NOTARIZE, A), False), ((NOTARIZE, A), True), ((FINALIZE, A), False)],
)
def test_the_certificate_that_brings_us_to_a_view_is_kept_before_anything_else_happens_there(certificate, is_given_up):
    kind, block = certificate
    state, _ = feed(begun()[0], FOUR, *([TimerFired(VIEW, 1)] if is_given_up else []))
    news = a_certificate(FOUR, kind, 1, OTHERS, block)
    state, effects = feed(state, FOUR, news)
    assert state.view == 2 and of_kind(effects, Keep) == [Keep(news)]
    assert not [effect for effect in effects[: effects.index(Keep(news))] if isinstance(effect, CastVote)]


def test_an_older_certificate_that_tells_nothing_new_is_not_kept():
    state, _ = feed(begun()[0], FOUR, a_certificate(FOUR, NULLIFY, 3, OTHERS))
    _, effects = feed(state, FOUR, a_certificate(FOUR, NULLIFY, 1, OTHERS))
    assert not of_kind(effects, Keep)


def test_who_has_no_vote_keeps_no_certificates():
    observer = an_epoch(1, 1, 1, 1, us=None)
    _, effects = feed(begun(observer)[0], observer, a_certificate(observer, NULLIFY, 1, OTHERS))
    assert not of_kind(effects, Keep)
