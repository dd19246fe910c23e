"""Blocks, transactions and claims as peers pass them on, byte for byte; `network.kinds` has their numbers and sizes."""

import hashlib
from dataclasses import dataclass
from typing import Annotated

from chain.block import ROUND_INPUTS, Header, Proof, RoundInput
from chain.codec import U16, Fixed, Hash, OneOf, Var, Wire
from chain.transactions import TRANSACTION_BYTES_MAXIMUM
from consensus.messages import Proposal

NAME_BYTES = 16
NAMES_MAXIMUM = 4_000  # in one message: 64 KiB
BODY_MAXIMUM = 4_096  # transactions of a block

Name = Annotated[bytes, Fixed(NAME_BYTES)]
Encoded = Annotated[bytes, Var(TRANSACTION_BYTES_MAXIMUM)]


def name_of(encoded: bytes) -> bytes:
    """What peers call a transaction: BLAKE2b-128 (RFC 7693) of its bytes, signature included. 16 bytes.

    It saves traffic and proves nothing: a block is complete when its roots say so, never because names match.
    """
    return hashlib.blake2b(encoded, digest_size=NAME_BYTES).digest()


@dataclass(frozen=True, slots=True)
class Names(Wire):
    """An announcement of transactions, or a request of them."""

    names: Annotated[tuple[Name, ...], NAMES_MAXIMUM]


@dataclass(frozen=True, slots=True)
class Transactions(Wire):
    """Transactions that were asked for, as their bytes."""

    transactions: Annotated[tuple[Encoded, ...], NAMES_MAXIMUM]


@dataclass(frozen=True, slots=True)
class CompactProposal(Wire):
    """A leader's offer and its block, in which names stand for transactions. `carried` are some of them in full."""

    proposal: Proposal
    header: Header
    proofs: Annotated[tuple[Proof, ...], BODY_MAXIMUM]
    rounds: Annotated[tuple[Annotated[RoundInput, OneOf(ROUND_INPUTS)], ...], BODY_MAXIMUM]
    parent_certificate: Annotated[bytes, Var(512)]
    names: Annotated[tuple[Name, ...], BODY_MAXIMUM]
    carried: Annotated[tuple[Encoded, ...], BODY_MAXIMUM]


@dataclass(frozen=True, slots=True)
class MissingRequest(Wire):
    """Please send these transactions of a block that you proposed. Indices ascend."""

    block_hash: Hash
    indices: Annotated[tuple[U16, ...], BODY_MAXIMUM]


@dataclass(frozen=True, slots=True)
class Missing(Wire):
    """The transactions asked for, in the order of the request."""

    block_hash: Hash
    transactions: Annotated[tuple[Encoded, ...], BODY_MAXIMUM]


@dataclass(frozen=True, slots=True)
class BlockName(Wire):
    """A request of a whole block, or the answer that it is not here."""

    block_hash: Hash


CLAIMS: dict[int, type[Wire]] = {1: Proof, **ROUND_INPUTS}
Claimed = Proof | RoundInput


@dataclass(frozen=True, slots=True)
class ClaimMessage(Wire):
    """What a node or validator has to say about a round, on its way to whoever proposes next."""

    claim: Annotated[Claimed, OneOf(CLAIMS)]
