"""What a wallet can sign. A transaction's id excludes its signature and binds the chain id.

Type numbers are final; those without a class are reserved for rules not built yet: 10 verdict, 11 challenge, 12 serve,
14 open escrow, 15 settle escrow, 16–19 governance.
"""

from dataclasses import dataclass
from typing import Annotated

from chain.codec import (
    U64,
    U128,
    Address,
    BlsPublicKey,
    BlsSignature,
    Flag,
    Hash,
    OneOf,
    PublicKey,
    Remembering,
    Signature,
    Wire,
)
from chain.crypto import ecdsa
from chain.crypto.hashing import tagged_hash
from chain.crypto.votes import Evidence
from chain.errors import BadSignature

TRANSACTION_BYTES_MAXIMUM = 32_768
PAYMENTS_MAXIMUM = 256


@dataclass(frozen=True, slots=True)
class Transfer(Wire):
    """Pay `amount` nanos to an address. Burns nothing but the base fee."""

    payee: Address
    amount: U128


@dataclass(frozen=True, slots=True)
class RegisterNode(Wire):
    """Tie a node key to the sender's wallet. Costs a proof-of-work stamp and no fee; both keys sign."""

    node_key: PublicKey
    validator_intent: Flag
    stamp: U64
    node_signature: Signature


@dataclass(frozen=True, slots=True)
class Payment(Wire):
    """One of several: `amount` nanos to an address."""

    payee: Address
    amount: U128


@dataclass(frozen=True, slots=True)
class MultiTransfer(Wire):
    """Pay 1 to 256 addresses under one signature: all of them or none."""

    payments: Annotated[tuple[Payment, ...], PAYMENTS_MAXIMUM]


@dataclass(frozen=True, slots=True)
class RetireNode(Wire):
    """End a node's registration for ever; both keys sign. What it earned goes on vesting."""

    node_key: PublicKey
    node_signature: Signature


@dataclass(frozen=True, slots=True)
class Bond(Wire):
    """Put `amount` nanos of the sender's balance at stake, and name the key that votes with it.

    `possession` is that key's signature of `bond_consent`.
    """

    amount: U128
    public_key: BlsPublicKey
    possession: BlsSignature


@dataclass(frozen=True, slots=True)
class Unbond(Wire):
    """Ask for `amount` nanos of the stake back. They stay slashable until the unbonding time is over."""

    amount: U128


@dataclass(frozen=True, slots=True)
class Withdraw(Wire):
    """Move all stake whose unbonding time is over to the sender's balance."""


@dataclass(frozen=True, slots=True)
class Unjail(Wire):
    """Let the sender's validator into the set again after its jail term."""


@dataclass(frozen=True, slots=True)
class ServicePayment(Wire):
    """Pay for inference or another service: 5 % of `amount`, rounded up, is burned; the payee gets the rest."""

    payee: Address
    amount: U128
    reference: Hash


Action = (
    Transfer | MultiTransfer | RegisterNode | RetireNode | Bond | Unbond | Withdraw | Unjail | Evidence | ServicePayment
)
ACTIONS: dict[int, type[Wire]] = {
    1: Transfer,
    2: MultiTransfer,
    3: RegisterNode,
    4: RetireNode,
    5: Bond,
    6: Unbond,
    7: Withdraw,
    8: Unjail,
    9: Evidence,
    13: ServicePayment,
}


class Vouching(Remembering):
    """A first base that remembers, beside the fields, for which chain an object's signatures are known to be good."""

    __slots__ = ("_good_for",)


@dataclass(frozen=True, slots=True)
class Transaction(Vouching, Wire):
    """`max_fee` and `tip` are nanos per unit of gas."""

    sender: PublicKey
    nonce: U64
    max_fee: U64
    tip: U64
    action: Annotated[Action, OneOf(ACTIONS)]
    signature: Signature

    def signing_bytes(self) -> bytes:
        return self.encode()[:-64]

    def id(self, chain_id: bytes) -> bytes:
        """The id and the digest that the sender signs. 32 bytes."""
        return self.digest_once(chain_id, lambda: tagged_hash("transaction", chain_id, self.signing_bytes()))


def node_consent(chain_id: bytes, node_key: bytes, wallet_key: bytes, validator_intent: bool) -> bytes:
    """The digest that a node key signs to be registered to a wallet."""
    return tagged_hash("node-consent", chain_id, node_key, wallet_key, bytes((validator_intent,)))


def node_farewell(chain_id: bytes, node_key: bytes, wallet_key: bytes) -> bytes:
    """The digest that a node key signs to be retired."""
    return tagged_hash("node-farewell", chain_id, node_key, wallet_key)


def bond_consent(chain_id: bytes, public_key: bytes, wallet: bytes) -> bytes:
    """What a validator key signs to vote for a wallet (21-byte address): it proves possession of the key as well.

    A plain proof of possession says nothing about a wallet, so a stranger could copy it and bond the key first.
    """
    return tagged_hash("bond-consent", chain_id, public_key, wallet)


def stamp_bits(chain_id: bytes, node_key: bytes, wallet_key: bytes, stamp: int) -> int:
    """Leading zero bits of the registration stamp (hashcash)."""
    digest = tagged_hash("stamp", chain_id, node_key, wallet_key, stamp.to_bytes(8, "big"))
    return 256 - int.from_bytes(digest, "big").bit_length()


def vouch(transaction: Transaction, chain_id: bytes) -> None:
    """The caller has checked the signatures of these very bytes: `check_signature` lets this object pass from now on.

    An object that is decoded again is checked again, so whoever reads blocks from a disk checks all of them.
    """
    object.__setattr__(transaction, "_good_for", chain_id)


def check_signature(transaction: Transaction, chain_id: bytes) -> None:
    """Raise BadSignature unless the sender (and, where a node is named, the node key) signed. Asked once per object."""
    if getattr(transaction, "_good_for", None) != chain_id:
        _check_signature(transaction, chain_id)
        vouch(transaction, chain_id)


def _check_signature(transaction: Transaction, chain_id: bytes) -> None:
    if not ecdsa.verify(transaction.sender, transaction.id(chain_id), transaction.signature):
        raise BadSignature(f"the signature of transaction {transaction.id(chain_id).hex()[:16]} does not verify")
    match transaction.action:
        case RegisterNode(node_key=node_key, validator_intent=intent, node_signature=signature):
            agreed = node_consent(chain_id, node_key, transaction.sender, intent)
        case RetireNode(node_key=node_key, node_signature=signature):
            agreed = node_farewell(chain_id, node_key, transaction.sender)
        case _:
            return
    if not ecdsa.verify(node_key, agreed, signature):
        raise BadSignature(f"node key {node_key.hex()[:16]} did not agree to this")
