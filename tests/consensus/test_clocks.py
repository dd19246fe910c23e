"""When patience ends, and how one comes back. We are member 0 unless said otherwise; equal members lead in turn."""

from dataclasses import replace

import pytest

from chain.crypto.hashing import ZERO
from consensus.events import (
    LEADER,
    RETRY,
    VIEW,
    Broadcast,
    CastVote,
    Finalized,
    Installed,
    Judge,
    Keep,
    Linked,
    Propose,
    Send,
    SetTimer,
    Signed,
    TimerFired,
)
from consensus.messages import FINALIZE, NOTARIZE, NULLIFY, CertificateRequest
from consensus.state import MAX_REPLY, SILENT_VIEWS, Root
from tests.consensus.builders import (
    ANCHOR,
    FOUR,
    LAST,
    OTHERS,
    PEER,
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

# --- clocks ---------------------------------------------------------------------------------------------------------


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
    assert seen == [1000, 1500, 2250, 3375, 5062, 7593, 11389, 17083, 25624, 30000, 30000]


def test_a_single_leader_that_is_given_up_again_and_again_makes_no_clock_slower():
    state, parent = begun()[0], ANCHOR
    state.delta_ms = 1_800
    for view in range(1, 41):
        state.heard_floor = view  # Nobody is silent.
        if view % 4 == 2:
            state, _ = feed(state, FOUR, *nullify(FOUR, view, [0, 2, 3]))
        else:
            block = a_block(f"block {view}")
            certificate = a_certificate(FOUR, FINALIZE, view, OTHERS, block)
            state, _ = feed(state, FOUR, certificate, Linked(block, parent, state.root.height + 1))
            parent = block
    assert state.delta_ms == 1_000


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
    epoch = replace(FOUR, timing=replace(FOUR.timing, cap_ms=10**9))
    state, _ = begun(epoch)
    for view in range(1, 17):
        before = state.delta_ms
        state, effects = feed(state, epoch, *nullify(epoch, view, [0, 2, 3]))
        silent = view >= SILENT_VIEWS and view % 4 == 1  # Member 1, who leads views 2, 6, 10, …
        assert (SetTimer(LEADER, view + 1, 0) in effects) == silent
        assert (state.delta_ms == before) == (view in (1, 10, 14))


def test_who_was_away_takes_nobody_for_silent():
    state, effects = feed(begun(LAST)[0], LAST, a_certificate(LAST, NULLIFY, 41, [0, 2, 3]))
    assert state.view == 42 and state.turn.leader == 1
    assert SetTimer(LEADER, 42, 2_000) in effects


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


def test_every_view_that_is_given_up_is_repeated_and_asked_for_anew():
    state, _ = feed(begun(LAST)[0], LAST, TimerFired(VIEW, 1), a_certificate(LAST, NULLIFY, 3, OTHERS))
    state, effects = feed(state, LAST, TimerFired(VIEW, 4), a_certificate(LAST, NULLIFY, 7, OTHERS))
    assert of_kind(effects, SetTimer)[0] == SetTimer(RETRY, 4, 1_000)
    assert Broadcast(CertificateRequest(0, 1, 6)) in effects  # As leader of view 8 we need what lies below.


def test_who_repeats_itself_also_shows_what_brought_it_into_the_view():
    certificate = a_certificate(FOUR, NOTARIZE, 1, OTHERS, A)
    _, effects = feed(in_view_2(), FOUR, TimerFired(VIEW, 2), TimerFired(RETRY, 2))
    assert Broadcast(certificate) in effects


# --- catching up ----------------------------------------------------------------------------------------------------


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
