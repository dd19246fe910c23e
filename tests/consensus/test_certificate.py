"""What a certificate must show before anyone believes it, with hash signatures and with the real ones."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.crypto import bls
from chain.crypto.hashing import ZERO, tagged_hash
from chain.errors import NeuroError
from consensus.certificate import bitmap_of, certify, signers_in, verify_certificate, verify_vote
from consensus.committee import Committee, Member
from consensus.errors import (
    BadAggregate,
    BadCertificate,
    BadVote,
    ConsensusError,
    NoQuorum,
    TrailingBits,
    WrongBitmapLength,
)
from consensus.messages import (
    FINALIZE,
    NOTARIZE,
    NULLIFY,
    Certificate,
    CertificateRequest,
    Proposal,
    Vote,
    vote_message,
)
from tests.consensus.builders import CHAIN, SCHEME, a_block, a_certificate, a_proposal, a_vote, an_epoch

TEN = an_epoch(*[1] * 10)
BLOCK = a_block("b")


def verify(certificate: Certificate, chain_id: bytes = CHAIN, epoch=TEN):
    return verify_certificate(certificate, epoch.committee, chain_id, SCHEME)


def test_the_signed_message_binds_chain_kind_epoch_view_and_block():
    expected = tagged_hash("vote", CHAIN, b"\x02", (3).to_bytes(8, "big"), (4).to_bytes(8, "big"), BLOCK)
    assert vote_message(CHAIN, FINALIZE, 3, 4, BLOCK) == expected


def test_a_quorum_of_signers_makes_a_certificate_and_one_fewer_does_not():
    assert verify(a_certificate(TEN, NOTARIZE, 3, range(7), BLOCK)) == tuple(range(7))
    with pytest.raises(NoQuorum):
        verify(a_certificate(TEN, NOTARIZE, 3, range(6), BLOCK))


def test_an_aggregate_counts_under_no_other_kind_epoch_view_block_or_chain():
    good = a_certificate(TEN, NOTARIZE, 3, range(7), BLOCK)
    changes = [{"kind": FINALIZE}, {"epoch": 1}, {"view": 4}, {"block_hash": a_block("c")}]
    for change in [*changes, {"kind": NULLIFY, "block_hash": ZERO}]:
        with pytest.raises(BadAggregate):
            verify(replace(good, **change))
    with pytest.raises(BadAggregate):
        verify(good, chain_id=a_block("another chain"))


def test_a_bitmap_that_names_others_than_the_signers_proves_nothing():
    good = a_certificate(TEN, NOTARIZE, 3, range(7), BLOCK)
    for named in (range(1, 8), range(8)):
        with pytest.raises(BadAggregate):
            verify(replace(good, bitmap=bitmap_of(named, 10)))


def test_a_bitmap_has_exactly_one_bit_for_each_member_rounded_up():
    good = a_certificate(TEN, NOTARIZE, 3, range(7), BLOCK)
    for wrong in (good.bitmap[:1], good.bitmap + b"\x00", b""):
        with pytest.raises(WrongBitmapLength):
            verify(replace(good, bitmap=wrong))


def test_no_bit_beyond_the_last_member_is_set():
    assert signers_in(b"\xff\x03", 10) == tuple(range(10))
    for wrong in (b"\xff\x07", b"\xff\x83"):
        with pytest.raises(TrailingBits):
            signers_in(wrong, 10)
    assert signers_in(b"\xff", 8) == tuple(range(8))


def test_signer_i_is_bit_i_counted_from_the_lowest_of_each_byte():
    assert bitmap_of([0, 3, 9], 10) == b"\x09\x02"
    assert len(bitmap_of([1023], 1024)) == 128


@given(st.sets(st.integers(0, 30)), st.just(31))
def test_bitmaps_and_signers_are_the_same_thing(signers, size):
    assert signers_in(bitmap_of(signers, size), size) == tuple(sorted(signers))


def test_a_nullification_names_no_block_and_the_others_name_one():
    for kind, block_hash in ((NULLIFY, BLOCK), (NOTARIZE, ZERO), (FINALIZE, ZERO), (0, BLOCK), (4, BLOCK)):
        with pytest.raises(BadCertificate):
            verify(a_certificate(TEN, kind, 3, range(7), block_hash))
        with pytest.raises(BadVote):
            verify_vote(a_vote(TEN, kind, 3, 0, block_hash), TEN.committee, CHAIN, SCHEME)
    for kind, block_hash in ((NULLIFY, ZERO), (NOTARIZE, BLOCK), (FINALIZE, BLOCK)):
        verify(a_certificate(TEN, kind, 3, range(7), block_hash))
        verify_vote(a_vote(TEN, kind, 3, 0, block_hash), TEN.committee, CHAIN, SCHEME)


def test_a_vote_of_a_signer_beyond_the_committee_is_refused():
    vote = a_vote(TEN, NOTARIZE, 3, 9, BLOCK)
    verify_vote(vote, TEN.committee, CHAIN, SCHEME)
    with pytest.raises(BadVote):
        verify_vote(replace(vote, signer=10), TEN.committee, CHAIN, SCHEME)
    with pytest.raises(BadVote):
        verify_vote(replace(vote, signer=8), TEN.committee, CHAIN, SCHEME)


certificates = st.builds(
    Certificate,
    kind=st.integers(0, 255),
    epoch=st.integers(0, 2**64 - 1),
    view=st.integers(0, 2**64 - 1),
    block_hash=st.binary(min_size=32, max_size=32),
    bitmap=st.binary(max_size=128),
    signature=st.binary(min_size=96, max_size=96),
)


@given(certificates, st.integers(1, 20))
def test_a_strangers_certificate_fails_by_name(certificate, members):
    assert Certificate.decode(certificate.encode()) == certificate
    with pytest.raises(ConsensusError):
        verify(certificate, epoch=an_epoch(*[1] * members))


@given(st.binary(max_size=400))
def test_strangers_bytes_decode_to_their_one_encoding_or_fail_by_name(content):
    for kind in (Vote, Certificate, Proposal, CertificateRequest):
        try:
            message = kind.decode(content)
        except NeuroError:
            continue
        assert message.encode() == content


def test_the_layout_of_every_message_is_fixed():
    vote = a_vote(TEN, NOTARIZE, 0x0102, 7, BLOCK)
    head = b"\x01" + bytes(8) + (0x0102).to_bytes(8, "big") + BLOCK
    assert vote.encode() == head + b"\x00\x07" + vote.signature
    certificate = a_certificate(TEN, NOTARIZE, 0x0102, range(7), BLOCK)
    assert certificate.encode() == head + b"\x00\x00\x00\x02\x7f\x00" + certificate.signature
    proposal = a_proposal(TEN, 2, 1, BLOCK)
    assert len(proposal.encode()) == 8 + 8 + 8 + 32 + 32 + 8 + len(vote.encode()) == 243
    with pytest.raises(NeuroError):
        Certificate.decode(replace(certificate, bitmap=bytes(128)).encode()[:-1])
    with pytest.raises(NeuroError):
        replace(certificate, bitmap=bytes(129)).encode()


# --- the real signatures ------------------------------------------------------------------------------------------

SECRETS = sorted(((number + 1).to_bytes(32, "big") for number in range(4)), key=bls.public_key)


def real_votes(kind: int, signers: range, epoch: int = 1, view: int = 2, block_hash: bytes = BLOCK) -> dict[int, Vote]:
    message = vote_message(CHAIN, kind, epoch, view, block_hash)
    return {place: Vote(kind, epoch, view, block_hash, place, bls.sign(SECRETS[place], message)) for place in signers}


def test_real_votes_join_into_a_certificate_that_counts_nowhere_else():
    committee = Committee(tuple(Member(bls.public_key(secret), 1) for secret in SECRETS))
    certificate = certify(real_votes(NOTARIZE, range(3)), 4)
    for vote in real_votes(NOTARIZE, range(3)).values():
        verify_vote(vote, committee, CHAIN)

    assert verify_certificate(certificate, committee, CHAIN) == (0, 1, 2)
    for change in ({"kind": FINALIZE}, {"epoch": 2}, {"view": 3}, {"bitmap": b"\x0f"}, {"signature": bytes(96)}):
        with pytest.raises(BadAggregate):
            verify_certificate(replace(certificate, **change), committee, CHAIN)
    with pytest.raises(BadAggregate):
        verify_certificate(certificate, committee, ZERO)


def test_a_real_vote_signed_by_another_key_is_refused():
    committee = Committee(tuple(Member(bls.public_key(secret), 1) for secret in SECRETS))
    first, second = itertools.islice(real_votes(NULLIFY, range(2), block_hash=ZERO).values(), 2)
    with pytest.raises(BadVote):
        verify_vote(replace(first, signature=second.signature), committee, CHAIN)
