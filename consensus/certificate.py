"""When a vote or a certificate is worth believing."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from chain.crypto import bls
from consensus.committee import Committee, is_quorum
from consensus.errors import BadAggregate, BadCertificate, BadVote, NoQuorum, TrailingBits, WrongBitmapLength
from consensus.messages import Certificate, Vote, is_well_formed, vote_message


class Scheme(Protocol):
    """Aggregatable signatures; `chain.crypto.bls` is one. Keys are 48 bytes, signatures 96."""

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool: ...

    def aggregate(self, signatures: Sequence[bytes]) -> bytes: ...

    def fast_aggregate_verify(self, public_keys: Sequence[bytes], message: bytes, signature: bytes) -> bool: ...


def bitmap_of(signers: Collection[int], size: int) -> bytes:
    """The bitmap of a committee of `size` members in which exactly `signers` signed."""
    bits = bytearray((size + 7) // 8)
    for place in signers:
        bits[place // 8] |= 1 << place % 8
    return bytes(bits)


def signers_in(bitmap: bytes, size: int) -> tuple[int, ...]:
    """The signers of a bitmap, ascending. Raises WrongBitmapLength or TrailingBits."""
    if len(bitmap) != (size + 7) // 8:
        raise WrongBitmapLength(f"{(size + 7) // 8} bytes wanted for {size} members, {len(bitmap)} given")
    if int.from_bytes(bitmap, "little") >> size:
        raise TrailingBits(f"a bit is set beyond the {size} members")
    return tuple(place for place in range(size) if bitmap[place // 8] >> place % 8 & 1)


def check_vote_form(vote: Vote, committee: Committee) -> None:
    """Raise BadVote if the vote is malformed whatever its signature says."""
    if not is_well_formed(vote.kind, vote.block_hash):
        raise BadVote(f"no vote has kind {vote.kind} and block {vote.block_hash.hex()}")
    if vote.signer >= len(committee.members):
        raise BadVote(f"signer {vote.signer} of {len(committee.members)} members")


def verify_vote(vote: Vote, committee: Committee, chain_id: bytes, scheme: Scheme = bls) -> None:
    """Raise BadVote unless a member of the committee signed this vote for this chain."""
    check_vote_form(vote, committee)
    message = vote_message(chain_id, vote.kind, vote.epoch, vote.view, vote.block_hash)
    if not scheme.verify(committee.members[vote.signer].public_key, message, vote.signature):
        raise BadVote(f"signature of signer {vote.signer} in view {vote.view} does not verify")


def verify_certificate(
    certificate: Certificate, committee: Committee, chain_id: bytes, scheme: Scheme = bls
) -> tuple[int, ...]:
    """Return the signers, ascending, or raise the BadCertificate that says what is wrong.

    The caller sees to it that `committee` is the one of `certificate.epoch`.
    """
    if not is_well_formed(certificate.kind, certificate.block_hash):
        raise BadCertificate(f"no certificate has kind {certificate.kind} and block {certificate.block_hash.hex()}")
    signers = signers_in(certificate.bitmap, len(committee.members))
    if not is_quorum(committee, signers):
        raise NoQuorum(f"{len(signers)} signers do not hold more than two thirds of {committee.total_power}")
    keys = [committee.members[place].public_key for place in signers]
    message = vote_message(chain_id, certificate.kind, certificate.epoch, certificate.view, certificate.block_hash)
    if not scheme.fast_aggregate_verify(keys, message, certificate.signature):
        raise BadAggregate(f"aggregate of {len(signers)} signers in view {certificate.view} does not verify")
    return signers


def certify(votes: Mapping[int, Vote], size: int, scheme: Scheme = bls) -> Certificate:
    """Join votes by different signers for the same thing. `size` is the number of members.

    Nothing is checked: the certificate is true if the votes are. Raises BadSignature if one is no signature at all.
    """
    signers = sorted(votes)
    first = votes[signers[0]]
    signature = scheme.aggregate([votes[place].signature for place in signers])
    return Certificate(first.kind, first.epoch, first.view, first.block_hash, bitmap_of(signers, size), signature)
