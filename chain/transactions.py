"""What a wallet can sign. A transaction's id excludes its signature and binds the chain id.

Type numbers are final; those without a class are reserved for rules not built yet: 2 multi-transfer, 4 retire node,
5 bond, 6 unbond, 7 withdraw, 8 unjail, 9 evidence, 10 verdict, 11 challenge, 12 serve, 14 open escrow,
15 settle escrow, 16–19 governance.
"""

from dataclasses import dataclass
from typing import Annotated

from chain.codec import U64, U128, Address, Flag, Hash, OneOf, PublicKey, Signature, Wire
from chain.crypto import ecdsa
from chain.crypto.hashing import tagged_hash
from chain.errors import BadSignature

TRANSACTION_BYTES_MAXIMUM = 32_768


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
class ServicePayment(Wire):
    """Pay for inference or another service: 5 % of `amount`, rounded up, is burned; the payee gets the rest."""

    payee: Address
    amount: U128
    reference: Hash


Action = Transfer | RegisterNode | ServicePayment
ACTIONS: dict[int, type[Wire]] = {1: Transfer, 3: RegisterNode, 13: ServicePayment}


@dataclass(frozen=True, slots=True)
class Transaction(Wire):
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
        return tagged_hash("transaction", chain_id, self.signing_bytes())


def node_consent(chain_id: bytes, node_key: bytes, wallet_key: bytes, validator_intent: bool) -> bytes:
    """The digest that a node key signs to be registered to a wallet."""
    return tagged_hash("node-consent", chain_id, node_key, wallet_key, bytes((validator_intent,)))


def stamp_bits(chain_id: bytes, node_key: bytes, wallet_key: bytes, stamp: int) -> int:
    """Leading zero bits of the registration stamp (hashcash)."""
    digest = tagged_hash("stamp", chain_id, node_key, wallet_key, stamp.to_bytes(8, "big"))
    return 256 - int.from_bytes(digest, "big").bit_length()


def check_signature(transaction: Transaction, chain_id: bytes) -> None:
    """Raise BadSignature unless the sender (and, for a registration, the node key) signed."""
    if not ecdsa.verify(transaction.sender, transaction.id(chain_id), transaction.signature):
        raise BadSignature(f"the signature of transaction {transaction.id(chain_id).hex()[:16]} does not verify")
    action = transaction.action
    if isinstance(action, RegisterNode):
        consent = node_consent(chain_id, action.node_key, transaction.sender, action.validator_intent)
        if not ecdsa.verify(action.node_key, consent, action.node_signature):
            raise BadSignature(f"node key {action.node_key.hex()[:16]} did not agree to its registration")
