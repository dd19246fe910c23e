"""What validators say to each other, byte for byte."""

from dataclasses import dataclass
from typing import Annotated

from chain.codec import U8, U16, U64, BlsSignature, Hash, Var, Wire
from chain.crypto.hashing import ZERO, tagged_hash
from consensus.committee import MAX_MEMBERS

NOTARIZE = 1  # this block may be the block of this view
FINALIZE = 2  # I saw this block notarized and have not given up the view, nor ever will
NULLIFY = 3  # I give up this view
KIND_NAMES = {NOTARIZE: "NOTARIZE", FINALIZE: "FINALIZE", NULLIFY: "NULLIFY"}

MAX_BITMAP = MAX_MEMBERS // 8


@dataclass(frozen=True, slots=True)
class Vote(Wire):
    """One validator's word on one view. `block_hash` is ZERO for NULLIFY; `signer` is a place in the committee."""

    kind: U8
    epoch: U64
    view: U64
    block_hash: Hash
    signer: U16
    signature: BlsSignature


@dataclass(frozen=True, slots=True)
class Certificate(Wire):
    """Votes of more than two thirds of the power in one: bit i % 8 of byte i // 8, lowest first, is signer i."""

    kind: U8
    epoch: U64
    view: U64
    block_hash: Hash
    bitmap: Annotated[bytes, Var(MAX_BITMAP)]
    signature: BlsSignature


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


def vote_message(chain_id: bytes, kind: int, epoch: int, view: int, block_hash: bytes) -> bytes:
    """The 32 bytes a vote signs. Chain, kind and epoch are bound, so a vote counts nowhere else."""
    words = (kind.to_bytes(1, "big"), epoch.to_bytes(8, "big"), view.to_bytes(8, "big"))
    return tagged_hash("vote", chain_id, *words, block_hash)


def is_well_formed(kind: int, block_hash: bytes) -> bool:
    """A known kind, with a block hash exactly where one belongs."""
    return kind in KIND_NAMES and (kind == NULLIFY) == (block_hash == ZERO)
