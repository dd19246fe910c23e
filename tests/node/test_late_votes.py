"""Votes that come after the quorum: whose are added to the certificate that a block carries, and who is waited for."""

import pytest

from chain.crypto import bls
from consensus.certificate import certify, signers_in, verify_certificate
from consensus.committee import Committee, Member
from consensus.messages import FINALIZE, NOTARIZE, NULLIFY, Certificate, Vote, vote_message
from consensus.state import Epoch, Root, State
from consensus.step import start
from node.late_votes import VIEWS_KEPT, LateVotes

CHAIN, BLOCK, OTHER = b"c" * 32, b"b" * 32, b"o" * 32
SECRETS = sorted(((7 + place).to_bytes(32, "big") for place in range(4)), key=bls.public_key)
COMMITTEE = Committee(tuple(Member(bls.public_key(secret), 1) for secret in SECRETS))
VIEW = 20


def in_view(view: int) -> State:
    epoch = Epoch(CHAIN, 0, COMMITTEE, None, b"a" * 32, 0, 99)
    return start(epoch, Root(view - 1, b"r" * 32, 5))[0]


def a_vote(signer: int, view: int = VIEW, kind: int = NOTARIZE, block_hash: bytes = BLOCK, epoch: int = 0) -> Vote:
    message = vote_message(CHAIN, kind, epoch, view, block_hash)
    return Vote(kind, epoch, view, block_hash, signer, bls.sign(SECRETS[signer], message))


def forged(signer: int, copy: int = 0) -> Vote:
    """A vote with a signature of something else."""
    return Vote(NOTARIZE, 0, VIEW, BLOCK, signer, bls.sign(SECRETS[signer], b"something %d" % copy))


def a_certificate(*signers: int, kind: int = NOTARIZE, view: int = VIEW) -> Certificate:
    return certify({signer: a_vote(signer, view, kind) for signer in signers}, len(SECRETS))


@pytest.fixture
def late() -> LateVotes:
    return LateVotes(CHAIN)


def add(late: LateVotes, *votes: Vote, committee: Committee = COMMITTEE) -> None:
    for vote in votes:
        late.add(vote, in_view(VIEW), committee)


def shown(late: LateVotes, *known: Certificate) -> tuple[int, list[int]]:
    """Kind and signers of what a block would carry, which verifies."""
    found = late.complete(late.gather(known, COMMITTEE), COMMITTEE)
    verify_certificate(found, COMMITTEE, CHAIN)
    return found.kind, list(signers_in(found.bitmap, len(SECRETS)))


# ---- What a block shows


def test_a_vote_that_came_after_the_quorum_is_added(late: LateVotes) -> None:
    quorum = a_certificate(0, 1, 2)
    assert shown(late, quorum) == (NOTARIZE, [0, 1, 2])
    add(late, a_vote(3))
    assert shown(late, quorum) == (NOTARIZE, [0, 1, 2, 3])


@pytest.mark.parametrize(
    "vote",
    [a_vote(3, view=VIEW - 1), a_vote(3, block_hash=OTHER), a_vote(3, kind=FINALIZE), a_vote(3, epoch=1)],
    ids=["of another view", "for another block", "of another kind", "of another epoch"],
)
def test_only_a_vote_for_the_same_is_added(late: LateVotes, vote: Vote) -> None:
    add(late, vote)
    assert shown(late, a_certificate(0, 1, 2)) == (NOTARIZE, [0, 1, 2])


def test_a_forged_vote_is_left_out_and_keeps_neither_the_true_one_nor_others_out(late: LateVotes) -> None:
    quorum = a_certificate(0, 1)
    add(late, forged(3), a_vote(2))
    assert shown(late, quorum) == (NOTARIZE, [0, 1, 2])
    add(late, a_vote(3))
    assert shown(late, quorum) == (NOTARIZE, [0, 1, 2, 3])


def test_of_notarization_and_finalization_the_one_is_shown_that_more_have_signed(late: LateVotes) -> None:
    """Who is slow votes to finalize what others tell it is notarized, before it has judged the block itself."""
    both = a_certificate(0, 1, 2), a_certificate(0, 1, 2, kind=FINALIZE)
    assert shown(late, *both) == (NOTARIZE, [0, 1, 2])
    add(late, a_vote(3, kind=FINALIZE))
    assert shown(late, *both) == (FINALIZE, [0, 1, 2, 3])


def test_forged_votes_do_not_make_the_certificate_with_fewer_signers_be_shown(late: LateVotes) -> None:
    both = a_certificate(0, 1, 2, 3, kind=FINALIZE), a_certificate(0, 1, 2)
    add(late, forged(3))
    assert shown(late, *both) == (FINALIZE, [0, 1, 2, 3])


# ---- Who is waited for


def test_who_has_spoken_lately_and_not_of_this_block_is_waited_for_until_its_vote_comes(late: LateVotes) -> None:
    known = [a_certificate(0, 1, 2)]
    assert not late.awaits(known, COMMITTEE)
    add(late, a_vote(3, view=VIEW - 1, block_hash=OTHER))
    assert late.awaits(known, COMMITTEE)
    add(late, a_vote(3))
    assert not late.awaits(known, COMMITTEE)


def test_a_vote_to_finalize_ends_the_waiting_once_there_is_a_finalization(late: LateVotes) -> None:
    notarized, final = a_certificate(0, 1, 2), a_certificate(0, 1, 2, kind=FINALIZE)
    add(late, a_vote(3, view=VIEW - 1), a_vote(3, kind=FINALIZE))
    assert late.awaits([notarized], COMMITTEE)
    assert not late.awaits([notarized, final], COMMITTEE)


def test_nobody_is_waited_for_where_nothing_is_certified(late: LateVotes) -> None:
    add(late, a_vote(3, view=VIEW - 1))
    assert not late.awaits([], COMMITTEE)


def test_who_has_said_nothing_for_so_many_views_is_not_waited_for(late: LateVotes) -> None:
    add(late, a_vote(3, view=VIEW - VIEWS_KEPT + 1))
    for view in range(VIEW - VIEWS_KEPT + 2, VIEW):
        add(late, a_vote(0, view=view))
    assert late.awaits([a_certificate(0, 1, 2)], COMMITTEE)
    add(late, a_vote(0), a_vote(0, view=VIEW + 1))
    assert not late.awaits([a_certificate(0, 1, 2)], COMMITTEE)


@pytest.mark.parametrize(("spoke", "bitmap", "is_awaited"), [(3, 0b011, True), (0, 0b110, False)])
def test_members_are_known_by_their_keys_for_places_change_with_the_set(
    late: LateVotes, spoke: int, bitmap: int, is_awaited: bool
) -> None:
    """Whoever was first has left: each of the others has the place before its own."""
    smaller = Committee(COMMITTEE.members[1:])
    add(late, a_vote(spoke, view=VIEW - 1))
    first = Certificate(NOTARIZE, 1, 1, BLOCK, bytes((bitmap,)), a_vote(0).signature)
    assert late.awaits([first], smaller) is is_awaited


@pytest.mark.parametrize(
    ("view", "is_kept"),
    [(VIEW - VIEWS_KEPT, False), (VIEW - VIEWS_KEPT + 1, True), (VIEW + 1, True), (VIEW + 2, False)],
)
def test_votes_of_the_newest_views_and_of_the_next_are_kept(late: LateVotes, view: int, is_kept: bool) -> None:
    add(late, a_vote(3, view=view))
    assert late.awaits([a_certificate(0, 1, 2)], COMMITTEE) is is_kept


def test_votes_against_a_view_and_of_strangers_are_not_kept(late: LateVotes) -> None:
    stranger = Vote(NOTARIZE, 0, VIEW - 1, BLOCK, len(SECRETS), a_vote(3).signature)
    add(late, a_vote(3, view=VIEW - 1, kind=NULLIFY), stranger)
    assert not late.awaits([a_certificate(0, 1, 2)], COMMITTEE)
