"""Who a node is: wallet key, node key and, for a validator, a BLS key. Everything a node says is signed here."""

from dataclasses import dataclass, replace
from typing import TypeVar

from chain.address import address_of
from chain.audit_messages import (
    AuditVote,
    DataReceipt,
    PlantReveal,
    SegmentOpening,
    StorageProof,
    VerdictCommit,
    VerdictReveal,
)
from chain.block import (
    AvailabilityVote,
    Outcome,
    PayloadCommit,
    PayloadReveal,
    Proof,
    ResultVote,
    beacon_message,
)
from chain.crypto import bls, ecdsa
from chain.crypto.hashing import tagged_hash
from chain.genesis import BootstrapValidator
from chain.transactions import RegisterNode, Transaction, node_consent, stamp_bits
from chain.transfers import node_id
from wallet.keys import Wallet

EMPTY, EMPTY_BLS = bytes(64), bytes(96)
NodeWord = TypeVar("NodeWord", SegmentOpening, PlantReveal, StorageProof, DataReceipt)
ValidatorWord = TypeVar("ValidatorWord", VerdictCommit, VerdictReveal, AuditVote)


@dataclass(frozen=True, slots=True, repr=False)
class Identity:
    """The secrets of one node; printing it shows none."""

    wallet_secret: bytes
    node_secret: bytes
    validator_secret: bytes

    @classmethod
    def of(cls, wallet: Wallet, node_index: int = 0) -> "Identity":
        """Money and votes belong to the wallet, wherever it is; a node key is for one of its machines."""
        return cls(wallet.wallet_key(0), wallet.node_key(node_index), wallet.validator_key(0))

    @property
    def wallet_public_key(self) -> bytes:
        return ecdsa.public_key(self.wallet_secret)

    @property
    def address(self) -> bytes:
        return address_of(self.wallet_public_key)

    @property
    def node_public_key(self) -> bytes:
        return ecdsa.public_key(self.node_secret)

    @property
    def node(self) -> bytes:
        return node_id(self.node_public_key)

    @property
    def validator_public_key(self) -> bytes:
        return bls.public_key(self.validator_secret)

    def bootstrap_validator(self) -> BootstrapValidator:
        possession = bls.prove_possession(self.validator_secret)
        return BootstrapValidator(self.validator_public_key, possession, self.address)

    def beacon_reveal(self, chain_id: bytes, epoch: int, view: int) -> bytes:
        return bls.sign(self.validator_secret, beacon_message(chain_id, epoch, view))

    def sign_proof(self, proof: Proof, chain_id: bytes) -> Proof:
        return replace(proof, signature=ecdsa.sign(self.node_secret, proof.id(chain_id)))

    def sign_commit(self, round_number: int, commitment: bytes, chain_id: bytes) -> PayloadCommit:
        draft = PayloadCommit(round_number, self.node, commitment, EMPTY)
        return replace(draft, signature=ecdsa.sign(self.node_secret, draft.digest(chain_id)))

    def sign_reveal(self, reveal: PayloadReveal, chain_id: bytes) -> PayloadReveal:
        return replace(reveal, signature=ecdsa.sign(self.node_secret, reveal.digest(chain_id)))

    def salt(self, round_number: int, chain_id: bytes) -> bytes:
        """The salt of a round's commitment: secret, and the same after a restart."""
        return tagged_hash("salt", self.node_secret, chain_id, round_number.to_bytes(8, "big"))

    def plant_secret(self, round_number: int, chain_id: bytes) -> bytes:
        """The secret that the reveal of this round promises: the same after a restart."""
        return tagged_hash("plant-secret", self.node_secret, chain_id, round_number.to_bytes(8, "big"))

    def verdict_salt(self, round_number: int, node: bytes, attempt: int, chain_id: bytes) -> bytes:
        """What hides a verdict until all auditors are bound. Another in every attempt: no commitment fits twice."""
        about = (round_number.to_bytes(8, "big"), node, attempt.to_bytes(1, "big"))
        return tagged_hash("verdict-salt", self.validator_secret, chain_id, *about)

    def sign_as_node(self, draft: NodeWord, chain_id: bytes) -> NodeWord:
        return replace(draft, signature=ecdsa.sign(self.node_secret, draft.digest(chain_id)))

    def sign_as_validator(self, draft: ValidatorWord, chain_id: bytes) -> ValidatorWord:
        return replace(draft, signature=bls.sign(self.validator_secret, draft.digest(chain_id)))

    def sign_availability(self, round_number: int, validator: int, bitmap: bytes, chain_id: bytes) -> AvailabilityVote:
        draft = AvailabilityVote(round_number, validator, bitmap, bytes(96))
        return replace(draft, signature=bls.sign(self.validator_secret, draft.digest(chain_id)))

    def sign_result(self, round_number: int, validator: int, outcome: Outcome, chain_id: bytes) -> ResultVote:
        draft = ResultVote(round_number, validator, outcome, bytes(96))
        return replace(draft, signature=bls.sign(self.validator_secret, draft.digest(chain_id)))

    def sign_transaction(self, draft: Transaction, chain_id: bytes) -> Transaction:
        return replace(draft, signature=ecdsa.sign(self.wallet_secret, draft.id(chain_id)))

    def registration(self, nonce: int, stamp: int, validator_intent: bool, chain_id: bytes) -> Transaction:
        consent = node_consent(chain_id, self.node_public_key, self.wallet_public_key, validator_intent)
        action = RegisterNode(self.node_public_key, validator_intent, stamp, ecdsa.sign(self.node_secret, consent))
        return self.sign_transaction(Transaction(self.wallet_public_key, nonce, 0, 0, action, EMPTY), chain_id)


def find_stamp(node_key: bytes, wallet_key: bytes, chain_id: bytes, wanted_bits: int) -> int:
    """Search the registration stamp: 2^wanted_bits hashes on average. Runs in a thread."""
    stamp = 0
    while stamp_bits(chain_id, node_key, wallet_key, stamp) < wanted_bits:
        stamp += 1
    return stamp
