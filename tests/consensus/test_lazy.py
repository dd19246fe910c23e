"""When a vote is checked, what a forged one costs and whom. We are member 0 unless said otherwise."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.crypto import bls
from chain.crypto.hashing import ZERO
from consensus.ballots import DELIVERERS
from consensus.certificate import verify_certificate
from consensus.committee import Committee, Member
from consensus.events import Accuse, Blame, Broadcast, Effect, Received, Report, Signed
from consensus.evidence import verify_evidence
from consensus.messages import FINALIZE, NOTARIZE, NULLIFY, Certificate, Vote, vote_message
from consensus.state import FADING_VIEWS, SILENT_VIEWS, VIEWS_AHEAD, VIEWS_BEHIND, Epoch, State
from consensus.step import start, step
from tests.consensus.builders import (
    CHAIN,
    FOUR,
    OTHERS,
    SCHEME,
    A,
    B,
    HashScheme,
    a_certificate,
    a_proposal,
    a_vote,
    an_epoch,
    begun,
    in_view_2,
    nullify,
    of_kind,
)

TEN = an_epoch(*[1] * 10)
LIAR, OTHER = b"liar", b"other"


class CountingScheme(HashScheme):
    """Counts checks: a single signature and a sum cost the same pairings."""

    checks = 0

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        self.checks += 1
        return super().verify(public_key, message, signature)

    def fast_aggregate_verify(self, public_keys: Sequence[bytes], message: bytes, signature: bytes) -> bool:
        self.checks += 1
        return super().fast_aggregate_verify(public_keys, message, signature)


def hear(state: State, epoch: Epoch, *heard: tuple[bytes, object]) -> tuple[State, list[Effect], int]:
    """Messages with the peers that bring them. Also returns how many checks they cost."""
    scheme, effects = CountingScheme(), []
    for peer, message in heard:
        state, more = step(state, Received(peer, message), epoch, scheme)  # type: ignore[arg-type]
        effects += more
    return state, effects, scheme.checks


def peer_of(vote: Vote) -> bytes:
    return b"peer of %d" % vote.signer


def honest(*votes: Vote) -> list[tuple[bytes, Vote]]:
    """Each vote brought by its signer's own node."""
    return [(peer_of(vote), vote) for vote in votes]


def forged(vote: Vote, number: int = 1) -> Vote:
    return replace(vote, signature=number.to_bytes(96, "big"))


def blamed(effects: Sequence[Effect]) -> list[bytes]:
    return [effect.peer for effect in of_kind(tuple(effects), Blame)]


# --- what is checked when -------------------------------------------------------------------------------------------


def test_votes_are_checked_once_and_together_when_they_could_be_a_quorum():
    votes = [a_vote(TEN, NOTARIZE, 1, signer, A) for signer in range(1, 10)]
    state, _, checks = hear(begun(TEN)[0], TEN, *honest(*votes[:6]))
    assert checks == 0 and state.view == 1
    state, effects, checks = hear(state, TEN, *honest(*votes[6:]))
    assert checks == 1 and state.view == 2  # The seventh makes the quorum; those after it tell nothing new.
    assert Broadcast(a_certificate(TEN, NOTARIZE, 1, range(1, 8), A)) in effects


def test_our_own_vote_is_not_checked_and_the_leaders_proposal_is_at_once():
    scheme = CountingScheme()
    state, _ = step(begun(TEN)[0], Signed(a_vote(TEN, NULLIFY, 1, 0)), TEN, scheme)
    assert scheme.checks == 0 and 0 in state.ballots(NULLIFY, 1).proven
    assert hear(in_view_2(), FOUR, (LIAR, a_proposal(FOUR, 2, 1, B, (1, A), 2)))[2] == 1


def test_a_certificate_is_checked_once_and_what_it_settles_not_at_all():
    certificate = a_certificate(FOUR, NULLIFY, 1, OTHERS)
    state, _, checks = hear(begun()[0], FOUR, (LIAR, certificate), (OTHER, certificate))
    assert checks == 1
    assert hear(state, FOUR, *honest(*nullify(FOUR, 1, OTHERS)))[2] == 0


# --- forged votes ---------------------------------------------------------------------------------------------------


def test_a_badly_signed_vote_counts_for_nothing_and_its_deliverer_is_blamed_when_it_would_count():
    state, effects, _ = hear(begun()[0], FOUR, (LIAR, forged(a_vote(FOUR, NULLIFY, 1, 1))))
    assert not effects and state.heard == {}
    state, effects, _ = hear(state, FOUR, *honest(*nullify(FOUR, 1, (2, 3))))
    assert state.view == 1 and blamed(effects) == [LIAR]
    assert hear(state, FOUR, *honest(a_vote(FOUR, NULLIFY, 1, 1)))[0].view == 2


def test_halving_finds_every_liar_and_keeps_every_true_vote():
    votes = [a_vote(TEN, NOTARIZE, 1, signer, A) for signer in range(1, 10)]
    liars = {votes[1].signer: b"liar 1", votes[4].signer: b"liar 2", votes[5].signer: b"liar 1"}
    brought = [(liars[vote.signer], forged(vote)) if vote.signer in liars else (peer_of(vote), vote) for vote in votes]
    state, effects, _ = hear(begun(TEN)[0], TEN, *brought)
    assert sorted(blamed(effects)) == [b"liar 1", b"liar 2"] and state.view == 1
    assert sorted(state.ballots(NOTARIZE, 1).proven) == [1, 3, 4, 7]
    state, effects, _ = hear(state, TEN, *honest(*[vote for vote in votes if vote.signer in liars]))
    assert state.view == 2 and not blamed(effects)


def test_a_liar_is_found_at_a_cost_that_grows_with_the_logarithm_of_the_votes():
    epoch = an_epoch(*[1] * 64)
    votes = [a_vote(epoch, NULLIFY, 1, signer) for signer in range(1, 64)]
    others = [a_vote(epoch, NOTARIZE, 1, signer, A) for signer in range(1, 64)]  # not looked at in vain
    brought = [*[(LIAR, forged(vote)) for vote in [*others[:20], *votes[:20]]], *honest(*votes[20:])]
    state, effects, checks = hear(begun(epoch)[0], epoch, *brought)
    assert blamed(effects) == [LIAR] and checks <= 2 + 2 * 6
    assert len(state.ballots(NULLIFY, 1).proven) == 43 and not state.ballots(NOTARIZE, 1).unproven


@pytest.mark.parametrize("block", [A, B], ids=["same-block", "another-block"])
def test_a_forged_vote_never_keeps_the_true_one_out(block):
    state, _ = begun()
    for signer in OTHERS:
        lie, vote = forged(a_vote(FOUR, NOTARIZE, 1, signer, block)), a_vote(FOUR, NOTARIZE, 1, signer, A)
        assert state.view == 1
        state, effects, checks = hear(state, FOUR, (LIAR, lie), *honest(vote))
        assert blamed(effects) == [LIAR] and checks <= 3
    assert state.view == 2


def test_a_forged_vote_after_the_true_one_costs_its_deliverer_the_connection_and_nothing_else():
    vote = a_vote(FOUR, NULLIFY, 1, 1)
    for lie in (forged(vote), forged(a_vote(FOUR, FINALIZE, 1, 1, A))):
        before, _, _ = hear(begun()[0], FOUR, *honest(vote))
        after, effects, _ = hear(before, FOUR, (LIAR, lie))
        assert after == before and blamed(effects) == [LIAR]


def test_what_a_liar_brought_is_forgotten_except_what_others_brought_too():
    alone, shared = a_vote(FOUR, FINALIZE, 1, 1, A), a_vote(FOUR, FINALIZE, 1, 2, A)
    lie = forged(a_vote(FOUR, NULLIFY, 3, 3))
    state, _, _ = hear(begun()[0], FOUR, (LIAR, alone), (LIAR, shared), (OTHER, shared), (LIAR, lie))
    state, effects, checks = hear(state, FOUR, *honest(a_vote(FOUR, NULLIFY, 3, 3)))
    assert blamed(effects) == [LIAR] and checks == 2
    assert [each.peers for each in state.ballots(FINALIZE, 1).unproven.values()] == [(OTHER,)]
    assert state.ballots(FINALIZE, 1).power[A] == 1


def test_all_who_brought_a_forged_vote_are_blamed_up_to_a_bound():
    lie = forged(a_vote(FOUR, NULLIFY, 1, 1))
    peers = [b"peer %d" % number for number in range(DELIVERERS + 1)]
    state, _, _ = hear(begun()[0], FOUR, *[(peer, lie) for peer in [*peers, peers[0]]])
    assert blamed(hear(state, FOUR, *honest(a_vote(FOUR, NULLIFY, 1, 1)))[1]) == peers[:DELIVERERS]


def test_memory_is_bounded_by_members_times_windows():
    state = hear(begun()[0], FOUR, (OTHER, a_certificate(FOUR, NULLIFY, 40, OTHERS)))[0]
    for view in range(1, 80):
        for signer in OTHERS:
            for number in range(3):
                for kind, block in ((NOTARIZE, A), (FINALIZE, B), (NULLIFY, ZERO)):
                    lie = forged(a_vote(FOUR, kind, view, signer, block), number)
                    state = hear(state, FOUR, (b"%d" % number, lie))[0]
    assert {view for _, view in state.votes} <= set(range(41 - VIEWS_BEHIND, 42 + VIEWS_AHEAD))
    assert all(len(ballots.proven) + len(ballots.unproven) <= 4 for ballots in state.votes.values())


# --- evidence -------------------------------------------------------------------------------------------------------


def test_contradicting_votes_are_checked_at_once_both_and_reported():
    first, second = a_vote(FOUR, FINALIZE, 1, 2, A), a_vote(FOUR, NULLIFY, 1, 2)
    _, effects, checks = hear(begun()[0], FOUR, (OTHER, first), (OTHER, second))
    assert [effect.evidence.first.signer for effect in effects if isinstance(effect, Report)] == [2]
    assert 2 <= checks <= 3


def test_nobody_is_reported_for_a_vote_that_somebody_forged():
    true = a_vote(FOUR, FINALIZE, 1, 2, A)
    for lie in (forged(a_vote(FOUR, NULLIFY, 1, 2)), forged(a_vote(FOUR, FINALIZE, 1, 2, B))):
        for order in ([(LIAR, lie), (OTHER, true)], [(OTHER, true), (LIAR, lie)]):
            _, effects, _ = hear(begun()[0], FOUR, *order)
            assert blamed(effects) == [LIAR] and not of_kind(tuple(effects), Report)


def test_two_signatures_that_are_right_only_in_sum_count_and_are_no_evidence():
    votes, slip = nullify(FOUR, 1, OTHERS), 7
    bent = [replace(vote, signature=(int.from_bytes(vote.signature) ^ slip).to_bytes(96)) for vote in votes[:2]]
    state, effects, _ = hear(begun()[0], FOUR, *honest(*bent, votes[2]))
    assert state.view == 2 and not blamed(effects)  # Nobody can bend signatures so that does not have the true ones.
    brought = honest(*[a_vote(FOUR, FINALIZE, 1, signer, A) for signer in (1, 3)])
    state, effects, _ = hear(state, FOUR, *brought)
    assert [effect.evidence.first.signer for effect in effects if isinstance(effect, Report)] == [3]
    assert hear(state, FOUR, *brought)[2] == 0  # Nor is it looked at again.


# --- who is alive ---------------------------------------------------------------------------------------------------


def test_a_forged_vote_makes_nobody_heard():
    state, _ = begun()
    for view in range(1, 2 * SILENT_VIEWS):
        brought = [(LIAR, forged(a_vote(FOUR, kind, view, 1, A))) for kind in (NOTARIZE, FINALIZE)]
        state, _, checks = hear(state, FOUR, *honest(*nullify(FOUR, view, (2, 3))), *brought)
        state = step(state, Signed(a_vote(FOUR, NULLIFY, view, 0)), FOUR, SCHEME)[0]
        assert state.view == view + 1 and 1 not in state.heard
        assert checks <= 2


def test_who_votes_after_every_quorum_is_heard_at_a_check_in_a_few_views():
    state, _ = begun()
    spent = 0
    for view in range(1, 5 * FADING_VIEWS + 1):
        state = step(state, Signed(a_vote(FOUR, NULLIFY, view, 0)), FOUR, SCHEME)[0]
        state, _, _ = hear(state, FOUR, *honest(*nullify(FOUR, view, (2, 3))))
        state, _, checks = hear(state, FOUR, *honest(a_vote(FOUR, NULLIFY, view, 1)))
        spent += checks
        assert state.view == view + 1 and state.view - state.heard.get(1, 0) <= SILENT_VIEWS
    assert spent <= 5


# --- whatever strangers send ----------------------------------------------------------------------------------------

true_votes = st.builds(
    a_vote, st.just(FOUR), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.sampled_from([A, B, ZERO])
)
votes = st.one_of(true_votes, st.builds(forged, true_votes, st.integers(1, 2)))
brought = st.tuples(st.sampled_from([LIAR, OTHER, b"third"]), votes)


@settings(max_examples=60)
@given(st.lists(brought, max_size=40))
def test_whatever_is_forged_what_leaves_is_true_and_the_true_votes_make_their_certificate(history):
    state, effects, _ = hear(begun()[0], FOUR, *history)
    for effect in effects:
        match effect:
            case Broadcast(Certificate() as certificate):
                verify_certificate(certificate, FOUR.committee, CHAIN, SCHEME)
            case Report(evidence):
                verify_evidence(evidence, FOUR.committee, CHAIN, SCHEME)
    for ballots in state.votes.values():
        voted = [*ballots.proven.values(), *[each.vote for each in ballots.unproven.values()]]
        for block in {vote.block_hash for vote in voted} | set(ballots.power):
            assert ballots.power[block] == sum(vote.block_hash == block for vote in voted)
    view = state.view
    honest_ones = honest(*nullify(FOUR, view, OTHERS))
    state = hear(state, FOUR, *honest_ones)[0]
    assert state.over or state.view > view or of_kind(tuple(effects), Accuse)


def test_with_real_signatures_garbage_points_and_other_peoples_signatures_are_found():
    secrets = sorted(((number + 1).to_bytes(32, "big") for number in range(4)), key=bls.public_key)
    committee = Committee(tuple(Member(bls.public_key(secret), 1) for secret in secrets))
    epoch = replace(FOUR, committee=committee)
    message = vote_message(CHAIN, NULLIFY, 0, 1, ZERO)
    true = [Vote(NULLIFY, 0, 1, ZERO, place, bls.sign(secret, message)) for place, secret in enumerate(secrets)]
    lies = [replace(true[1], signature=true[2].signature), replace(true[1], signature=b"\x8f" * 96), forged(true[1])]
    for lie in lies:
        state, _ = start(epoch)
        seen: list[Effect] = []
        for peer, vote in [(LIAR, lie), *honest(*true[2:])]:
            state, effects = step(state, Received(peer, vote), epoch)
            seen += effects
        assert state.view == 1 and blamed(seen) == [LIAR]
        state, effects = step(state, Received(peer_of(true[1]), true[1]), epoch)
        assert state.view == 2
        verify_certificate(of_kind(effects, Broadcast)[0].message, committee, CHAIN)


def test_a_vote_of_a_kind_or_signer_that_is_none_is_refused_unchecked():
    before, _ = begun()
    for wrong in (
        a_vote(FOUR, 4, 1, 1, A),
        a_vote(FOUR, NULLIFY, 1, 1, A),
        replace(nullify(FOUR, 1, [1])[0], signer=4),
    ):
        after, effects, checks = hear(before, FOUR, (LIAR, wrong))
        assert after == before and blamed(effects) == [LIAR] and checks == 0
