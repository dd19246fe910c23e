"""What a validator signs when it votes, and which pairs of its votes are proof of a broken rule.

Both the ledger, which punishes, and consensus, which counts, must read a vote alike; neither imports the other.
"""

from dataclasses import dataclass
from typing import Annotated

from chain.codec import U8, U16, U64, BlsSignature, Hash, Var, Wire
from chain.crypto.hashing import ZERO, tagged_hash

NOTARIZE = 1  # this block may be the block of this view
FINALIZE = 2  # I saw this block notarized and have not given up the view, nor ever will
NULLIFY = 3  # I give up this view
KIND_NAMES = {NOTARIZE: "NOTARIZE", FINALIZE: "FINALIZE", NULLIFY: "NULLIFY"}
MEMBERS_MAXIMUM = 1024  # of a validator set


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
    bitmap: Annotated[bytes, Var(MEMBERS_MAXIMUM // 8)]
    signature: BlsSignature


def vote_message(chain_id: bytes, kind: int, epoch: int, view: int, block_hash: bytes) -> bytes:
    """The 32 bytes a vote signs. Chain, kind and epoch are bound, so a vote counts nowhere else."""
    words = (kind.to_bytes(1, "big"), epoch.to_bytes(8, "big"), view.to_bytes(8, "big"))
    return tagged_hash("vote", chain_id, *words, block_hash)


def is_well_formed(kind: int, block_hash: bytes) -> bool:
    """A known kind, with a block hash exactly where one belongs."""
    return kind in KIND_NAMES and (kind == NULLIFY) == (block_hash == ZERO)


def statements_conflict(first: Vote | Certificate, second: Vote | Certificate) -> bool:
    """Whether one honest validator can not have signed both: one kind for two blocks, or FINALIZE and NULLIFY.

    NOTARIZE and then NULLIFY is legal: a validator may like a block and still give up waiting for the others. NOTARIZE
    of one block and FINALIZE of another is legal too: the second says only that a quorum was seen.
    """
    if (first.epoch, first.view) != (second.epoch, second.view):
        return False
    if first.kind == second.kind:
        return first.block_hash != second.block_hash
    return {first.kind, second.kind} == {FINALIZE, NULLIFY}


def votes_conflict(first: Vote, second: Vote) -> bool:
    """Whether one honest signer can not have cast both. Signatures are not looked at."""
    return first.signer == second.signer and statements_conflict(first, second)


@dataclass(frozen=True, slots=True)
class Evidence(Wire):
    """Two conflicting votes of one signer, the one with the smaller encoding first."""

    first: Vote
    second: Vote


def evidence_of(one: Vote, other: Vote) -> Evidence:
    """The pair in its one order."""
    first, second = sorted((one, other), key=Vote.encode)
    return Evidence(first, second)
