"""What validators say to each other, byte for byte."""

from dataclasses import dataclass

from chain.codec import U64, Hash, Wire
from chain.crypto.votes import (
    FINALIZE,
    KIND_NAMES,
    NOTARIZE,
    NULLIFY,
    Certificate,
    Vote,
    is_well_formed,
    vote_message,
)

__all__ = [
    "FINALIZE", "KIND_NAMES", "NOTARIZE", "NULLIFY", "Certificate", "CertificateRequest", "Message", "Proposal", "Vote",
    "is_well_formed", "vote_message",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Proposal(Wire):
    """The leader offers a block. Its NOTARIZE vote is the signature; `parent_view` is a hint, see consensus.step."""

    epoch: U64
    view: U64
    parent_view: U64
    parent_hash: Hash
    block_hash: Hash
    height: U64
    leader_vote: Vote


@dataclass(frozen=True, slots=True)
class CertificateRequest(Wire):
    """Please send what you hold of these views, both ends included, and your highest finalization above them."""

    epoch: U64
    first_view: U64
    last_view: U64


Message = Vote | Certificate | Proposal | CertificateRequest
