"""The classic mistakes of consensus, each with what shows it. We are member 0 unless said otherwise."""

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.crypto.hashing import ZERO
from consensus import views
from consensus.certificate import verify_certificate
from consensus.committee import Committee, Member
from consensus.errors import BadAggregate
from consensus.events import (
    LEADER,
    VIEW,
    Blame,
    CastVote,
    Finalized,
    Keep,
    Linked,
    Propose,
    SetTimer,
    TimerFired,
)
from consensus.messages import FINALIZE, NOTARIZE, NULLIFY, Certificate
from consensus.state import SILENT_VIEWS, VIEWS_BEHIND, Draft, Own, State
from tests.consensus.builders import (
    ANCHOR,
    CHAIN,
    FOUR,
    LAST,
    OTHERS,
    SCHEME,
    A,
    B,
    a_block,
    a_certificate,
    a_key,
    a_proposal,
    a_vote,
    an_epoch,
    begun,
    casts,
    feed,
    nullify,
    of_kind,
)

# --- FINALIZE and NULLIFY -------------------------------------------------------------------------------------------

NEWS = {
    "clock": TimerFired(VIEW, 1),
    "notarization": a_certificate(FOUR, NOTARIZE, 1, OTHERS, A),
    "nullification": a_certificate(FOUR, NULLIFY, 1, OTHERS),
}


@pytest.mark.parametrize("order", list(itertools.permutations(NEWS)), ids="-".join)
@pytest.mark.parametrize("performed", ["all", "all but the vote"])
def test_no_view_is_both_finalized_and_given_up_in_whatever_order_and_however_often_we_crash(order, performed):
    """`performed`: what the last step before each crash still did. Votes count from the moment they are on record."""
    for crashes in itertools.product([False, True], repeat=len(order)):
        own: dict[int, Own] = {}
        kept: list[Certificate] = []
        state, _ = begun()
        for news, crash in zip(order, crashes, strict=True):
            state, effects = feed(state, FOUR, NEWS[news])
            for effect in effects:
                if isinstance(effect, Keep):
                    kept.append(effect.certificate)
                if isinstance(effect, CastVote) and not (crash and performed != "all"):
                    assert effect.view not in own or own[effect.view].votes() == [(effect.kind, effect.block_hash)]
                    own[effect.view] = own.get(effect.view, Own()).with_vote(effect.kind, effect.block_hash)
            if crash:
                state, effects = begun(own=own, kept=kept)
                for kind, view, block_hash in casts(effects):
                    own[view] = own.get(view, Own()).with_vote(kind, block_hash)
                assert all((kind, 1, block) in casts(effects) for kind, block in own.get(1, Own()).votes())
        assert own.get(1, Own()).votes() in ([], [(FINALIZE, A)], [(NULLIFY, ZERO)])


def test_a_quorum_of_finalize_counts_however_many_views_later_it_is_complete():
    state, _ = feed(begun()[0], FOUR, a_proposal(FOUR, 1, 0, A), a_certificate(FOUR, NOTARIZE, 1, OTHERS, A))
    for view in range(2, VIEWS_BEHIND + 1):
        state, _ = feed(state, FOUR, a_certificate(FOUR, NULLIFY, view, OTHERS))
    votes = [a_vote(FOUR, FINALIZE, 1, signer, A) for signer in OTHERS]
    assert [each.block_hash for each in of_kind(feed(state, FOUR, *votes)[1], Finalized)] == [A]
    # Later still the votes are forgotten, and a certificate says the same.
    state, _ = feed(state, FOUR, a_certificate(FOUR, NULLIFY, VIEWS_BEHIND + 1, OTHERS))
    assert not of_kind(feed(state, FOUR, *votes)[1], Finalized)
    certificate = a_certificate(FOUR, FINALIZE, 1, OTHERS, A)
    assert [each.block_hash for each in of_kind(feed(state, FOUR, certificate)[1], Finalized)] == [A]


# --- power ----------------------------------------------------------------------------------------------------------


def test_a_whale_with_seven_tenths_is_a_quorum_and_its_nine_minnows_are_none():
    epoch = an_epoch(700, *[33] * 8, 36, us=9)
    minnows = range(1, 10)
    for kind, block in ((NOTARIZE, A), (FINALIZE, A), (NULLIFY, ZERO)):
        few, _ = feed(begun(epoch)[0], epoch, *[a_vote(epoch, kind, 1, signer, block) for signer in minnows])
        whale, _ = feed(begun(epoch)[0], epoch, a_vote(epoch, kind, 1, 0, block))
        assert (few.view, whale.view) == (1, 2)
        few, effects = feed(begun(epoch)[0], epoch, a_certificate(epoch, kind, 1, minnows, block))
        assert few.view == 1 and of_kind(effects, Blame)


@pytest.mark.parametrize("kind", [NOTARIZE, FINALIZE, NULLIFY])
def test_two_of_three_equal_members_decide_nothing(kind):
    three = an_epoch(1, 1, 1, us=None)
    block = ZERO if kind == NULLIFY else A
    votes = [a_vote(three, kind, 1, signer, block) for signer in range(3)]
    for two in itertools.combinations(votes, 2):
        assert feed(begun(three)[0], three, *two)[0].view == 1
    assert feed(begun(three)[0], three, *votes)[0].view == 2


# --- one domain of signatures for each statement --------------------------------------------------------------------


def test_what_was_signed_for_one_statement_counts_for_no_other():
    """All kinds, epochs, views, blocks and chains against each other, as votes and as certificates."""
    chains = {CHAIN: FOUR, B: replace(FOUR, chain_id=B)}
    statements = [
        (chain, number, kind, view, block)
        for chain, number, view in itertools.product(chains, (0, 1), (1, 2))
        for kind, block in ((NOTARIZE, A), (NOTARIZE, B), (FINALIZE, A), (FINALIZE, B), (NULLIFY, ZERO))
    ]

    def joined(statement: tuple[bytes, int, int, int, bytes]) -> Certificate:
        chain, number, kind, view, block = statement
        epoch = replace(FOUR, number=number)
        signature = SCHEME.aggregate([a_vote(epoch, kind, view, each, block, chain).signature for each in OTHERS])
        return replace(a_certificate(epoch, kind, view, OTHERS, block), signature=signature)

    made = {statement: joined(statement) for statement in statements}
    for said, signed in itertools.product(statements, statements):
        certificate = replace(made[said], signature=made[signed].signature)
        if said == signed:
            verify_certificate(certificate, FOUR.committee, said[0], SCHEME)
        else:
            with pytest.raises(BadAggregate):
                verify_certificate(certificate, FOUR.committee, said[0], SCHEME)


def test_the_set_of_another_epoch_decides_nothing_in_this_one():
    strangers = Committee(tuple(Member(a_key(100 + place), 1) for place in range(4)))
    old = replace(FOUR, us=None)
    new = replace(old, number=1, committee=strangers, anchor_hash=A, anchor_height=100, last_height=200)
    for kind, block in ((NOTARIZE, B), (FINALIZE, B), (NULLIFY, ZERO)):
        # What a set said of its own epoch says nothing here, even if it is the same set, and nobody is to blame for it.
        for epoch in (new, replace(new, committee=FOUR.committee)):
            before, _ = begun(epoch)
            votes = [a_vote(old, kind, 1, signer, block) for signer in range(4)]
            assert feed(before, epoch, a_certificate(old, kind, 1, OTHERS, block), *votes) == (before, ())
        # What the old set says of the new epoch is worth nothing.
        before, _ = begun(new)
        outlived = replace(new, committee=FOUR.committee)
        after, effects = feed(before, new, a_certificate(outlived, kind, 1, OTHERS, block))
        assert after == before and of_kind(effects, Blame)
        votes = [a_vote(outlived, kind, 1, signer, block) for signer in range(4)]
        assert feed(before, new, *votes)[0].view == 1
        assert feed(before, new, a_certificate(new, kind, 1, OTHERS, block))[0].view == 2


# --- silent leaders -------------------------------------------------------------------------------------------------


def test_nobody_takes_itself_for_silent():
    """Who is so slow that it has not voted for long still proposes when its turn comes."""
    state, _ = begun(LAST)
    for view in range(1, 4 * SILENT_VIEWS):
        state, effects = feed(state, LAST, a_certificate(LAST, NULLIFY, view, [0, 1, 2]))
        assert 3 not in state.heard
        if state.turn.leader == 3:
            assert SetTimer(LEADER, view + 1, 0) not in effects and of_kind(effects, Propose)


def test_a_silent_leader_that_speaks_again_is_waited_for():
    state, _ = begun()
    for view in range(1, 17):
        state, effects = feed(state, FOUR, *nullify(FOUR, view, [0, 2, 3]))
    assert state.view == 17 and 1 not in state.heard
    state, effects = feed(state, FOUR, a_vote(FOUR, NULLIFY, 17, 1), *nullify(FOUR, 17, [2, 3]))
    assert state.turn.leader == 1 and SetTimer(LEADER, 18, 0) not in effects


# --- a thousand views without finality ------------------------------------------------------------------------------


class Watched(dict[int, Any]):
    """Counts how often it is asked."""

    asked = 0

    def __contains__(self, key: object) -> bool:
        self.asked += 1
        return super().__contains__(key)


def test_after_a_thousand_views_given_up_the_gap_is_crossed_without_walking_it():
    state, _ = begun(LAST)
    for view in range(2, 1_000):
        state, _ = feed(state, LAST, a_certificate(LAST, NULLIFY, view, [0, 1, 2]))
    state, effects = feed(state, LAST, a_certificate(LAST, NOTARIZE, 1, [0, 1, 2], A))
    assert state.view == 1_000 and not of_kind(effects, Propose)
    state.nullified = watched = Watched(state.nullified)
    after, effects = feed(state, LAST, Linked(A, ANCHOR, 1))
    assert of_kind(effects, Propose) == [Propose(1_000, A, 1)]
    after, effects = feed(after, LAST, a_certificate(LAST, FINALIZE, 1_000, [0, 1, 2], B), TimerFired(VIEW, 1_001))
    assert after.view == 1_001 and len(after.nullified) == 998 and watched.asked < 20
    # Once a block is final, all of that is forgotten.
    after, _ = feed(after, LAST, Linked(B, A, 2))
    assert not after.nullified and not after.notarized and not after.own.keys() & set(range(1_001))


certificates = st.tuples(st.sampled_from([NOTARIZE, NULLIFY]), st.integers(1, 9))


@settings(max_examples=80)
@given(st.lists(certificates, max_size=18), st.integers(0, 4))
def test_the_parent_is_the_highest_certified_block_behind_nothing_but_nullified_views(history, final):
    state, _ = begun(replace(FOUR, us=None))
    for kind, view in history:
        block = ZERO if kind == NULLIFY else a_block(f"{view // 3}")  # One block may be certified in several views.
        state, _ = feed(state, FOUR, a_certificate(FOUR, kind, view, OTHERS, block))
    if final:
        state, _ = feed(state, FOUR, a_certificate(FOUR, FINALIZE, final, OTHERS, A), Linked(A, ANCHOR, 1))
    for wanted in (None, ANCHOR, A, *[a_block(f"{number}") for number in range(4)]):
        assert views.find_parent(Draft(state.copy(), FOUR, SCHEME), wanted) == walked(state, wanted)
    missing = next(view for view in itertools.count(state.root.view + 1) if not views.has_certificate(state, view))
    assert views.first_missing(state) == missing


def walked(state: State, wanted: bytes | None) -> int | None:
    """The gap rule word for word: down from our view, as long as views are nullified."""
    draft = Draft(state.copy(), FOUR, SCHEME)
    for view in range(state.view - 1, state.root.view - 1, -1):
        block_hash = draft.entry(view)
        if block_hash is not None and wanted in (None, block_hash):
            return view
        if view not in state.nullified:
            return None
    return None


def test_recorded_votes_that_nobody_counts_any_more_are_not_sent_again():
    kept = [a_certificate(FOUR, NOTARIZE, 60, OTHERS, A)]
    own = {view: Own(nullified=True) for view in range(1, 60)} | {60: Own(finalized=A)}
    state, effects = begun(own=own, kept=kept)
    assert state.view == 61
    assert [view for _, view, _ in casts(effects)] == list(range(61 - VIEWS_BEHIND, 61))
