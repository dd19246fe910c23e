"""How an epoch ends and how a validator returns after a crash. We are member 0 unless said otherwise."""

from dataclasses import replace

import pytest

from chain.crypto.hashing import ZERO
from consensus.events import (
    LEADER,
    RETRY,
    VIEW,
    Broadcast,
    Built,
    EndEpoch,
    FetchBlock,
    Finalized,
    Judge,
    Propose,
    Send,
    SetTimer,
    Signed,
    TimerFired,
)
from consensus.messages import FINALIZE, NOTARIZE, NULLIFY, CertificateRequest, Proposal
from consensus.state import Own, Root
from consensus.step import start
from tests.consensus.builders import (
    ANCHOR,
    FOUR,
    LAST,
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

# --- the end of an epoch --------------------------------------------------------------------------------------------

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
    for height in (1, 2):
        proposal = a_proposal(LAST, 2, 1, A, (1, A), height)
        assert not of_kind(feed(in_view_2(LAST), LAST, proposal)[1], Judge)


def test_the_epoch_ends_with_the_finality_of_its_last_block_and_only_answers_afterwards():
    final = a_certificate(SHORT, FINALIZE, 1, OTHERS, A)
    state, effects = feed(begun(SHORT)[0], SHORT, a_proposal(SHORT, 1, 0, A), final)
    assert of_kind(effects, EndEpoch) == [EndEpoch(0, A, 1)] and state.view == 1
    votes = nullify(SHORT, 2, OTHERS)
    assert feed(state, SHORT, *votes, TimerFired(VIEW, 1), Signed(a_vote(SHORT, NULLIFY, 2, 1))) == (state, ())
    assert feed(state, SHORT, CertificateRequest(0, 1, 1))[1] == (Send(PEER, final),)


def test_our_own_votes_of_another_epoch_or_below_the_root_come_too_late():
    state = start(LAST, Root(5, A, 4), scheme=SCHEME)[0]
    later = replace(LAST, number=1)
    for vote in (a_vote(later, FINALIZE, 6, 3, A), a_vote(LAST, NULLIFY, 5, 3)):
        assert feed(state, LAST, Signed(vote)) == (state, ())
    assert feed(state, LAST, Signed(a_vote(LAST, NULLIFY, 6, 3)))[1]


@pytest.mark.parametrize("kind", [NOTARIZE, FINALIZE])
def test_our_own_vote_for_what_is_final_meanwhile_is_sent_all_the_same_for_it_shows_that_we_are_present(kind):
    state = start(LAST, Root(5, A, 4), scheme=SCHEME)[0]
    late = a_vote(LAST, kind, 5, 3, A)
    assert feed(state, LAST, Signed(late)) == (state, (Broadcast(late),))


def test_views_restart_in_each_epoch():
    epoch = replace(an_epoch(1, 1, 1, 1, number=7, last_height=90), anchor_height=80)
    state, _ = begun(epoch)
    assert state.view == 1 and state.root == Root(0, ANCHOR, 80)
    assert not feed(state, epoch, *nullify(FOUR, 1, OTHERS))[1]


# --- after a crash --------------------------------------------------------------------------------------------------


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
