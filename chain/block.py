"""What travels: header, body, PoNW proofs, round inputs, certificates' place. Every layout here is final."""

from dataclasses import dataclass
from typing import Annotated

from chain.audit_messages import (
    AuditVote,
    DataReceipt,
    PlantReveal,
    SegmentOpening,
    StorageProof,
    VerdictCommit,
    VerdictReveal,
)
from chain.codec import (
    U8,
    U16,
    U32,
    U64,
    U128,
    Address,
    BlsPublicKey,
    BlsSignature,
    Hash,
    OneOf,
    Remembering,
    Signature,
    Var,
    Wire,
)
from chain.crypto.hashing import ZERO, merkle_root, tagged_hash
from chain.transactions import Transaction

TRAINING, STORAGE, SAMPLES = 1, 2, 3  # kinds of proof
WHOLE, DRIVER, WORKER, FINISHER = 0, 1, 2, 3  # roles of a node in a replica
BOOTSTRAP, HANDOVER, STAKED = 0, 1, 2  # phases of the validator set
PHASES = ("bootstrap", "handover", "staked")
SEGMENTS_MAXIMUM = 1024
SEATS_MAXIMUM = 1024
VALIDATORS_MAXIMUM = 1024


def state_hash(theta_root: bytes, m_root: bytes, v_root: bytes) -> bytes:
    """What a proof names a training state by: the pages roots of weights, first and second moments."""
    return tagged_hash("inner-state", theta_root, m_root, v_root)


@dataclass(frozen=True, slots=True)
class Proof(Remembering, Wire):
    """A signed claim of neural work. For a training segment: `steps_before … + batches` inner steps of one round."""

    node: Hash
    wallet: Address
    kind: U8
    role: U8
    first_layer: U16
    last_layer: U16
    round: U64
    segment: U32
    base_root: Hash
    data_first: U64  # index of the first sequence of the node's draw in this round
    data_count: U64  # sequences consumed
    batches: U32
    tokens: U64
    samples: U64
    state_before: Hash
    state_after: Hash
    loss_milli: U32  # mean training loss of the segment, nats per token
    time_ms: U64
    nonce: U64  # proofs of this node before this one
    previous_proof: Hash  # within the round; ZERO for the first
    signature: Signature

    def id(self, chain_id: bytes) -> bytes:
        """The id and the digest that the node key signs: every field but the signature, and the chain id."""
        return self.digest_once(chain_id, lambda: tagged_hash("proof", chain_id, self.encode()[:-64]))


@dataclass(frozen=True, slots=True)
class PayloadCommit(Wire):
    """A node's promise of its payload, made before anybody reveals one."""

    round: U64
    node: Hash
    commitment: Hash
    signature: Signature

    def digest(self, chain_id: bytes) -> bytes:
        return tagged_hash("payload-commit", chain_id, self.encode()[:-64])


@dataclass(frozen=True, slots=True)
class PayloadReveal(Wire):
    """What a commitment hid. `distances` are ‖θ_j − θ_{j−1}‖ per segment in units of 2⁻²⁴, rounded to nearest."""

    round: U64
    node: Hash
    salt: Hash
    payload_root: Hash
    payload_bytes: U64
    states_root: Hash  # merkle root of the segments' state_after
    theta_root: Hash  # the parts of the last of them: weights,
    m_root: Hash  # first
    v_root: Hash  # and second moments, with which the node may begin its next round
    steps: U32
    distances: Annotated[tuple[U64, ...], SEGMENTS_MAXIMUM]
    plant: Hash  # promise of the secret for the node's coming rounds, see `chain.plants`
    signature: Signature

    def commitment(self, chain_id: bytes) -> bytes:
        return tagged_hash("commitment", chain_id, self.encode()[:-64])

    def digest(self, chain_id: bytes) -> bytes:
        return tagged_hash("payload-reveal", chain_id, self.encode()[:-64])


@dataclass(frozen=True, slots=True)
class AvailabilityVote(Wire):
    """A validator's list of the revealed payloads that it holds and will serve.

    Bit i (bit i % 8 of byte i // 8, lowest first) stands for the i-th revealed node in order of node id.
    """

    round: U64
    validator: U16
    bitmap: Annotated[bytes, Var(SEATS_MAXIMUM // 8)]
    signature: BlsSignature

    def digest(self, chain_id: bytes) -> bytes:
        return tagged_hash("availability", chain_id, self.encode()[:-96])


@dataclass(frozen=True, slots=True)
class Outcome(Wire):
    """What a round's outer step gave. All but the first two are the roots of blobs that make up a checkpoint."""

    counted_root: Hash  # merkle root of (node id ‖ payload root) of the counted payloads, by node id
    model_root: Hash  # over the fragments' roots, for storage proofs
    weights_root: Hash  # pages root of the weights
    momentum_root: Hash
    aggregate_root: Hash  # of the accepted aggregate: all that a plain trainer has to fetch
    trust_root: Hash  # of the record of trust

    @property
    def outer_root(self) -> bytes:
        """The name of the whole outer state."""
        parts = self.model_root, self.weights_root, self.momentum_root, self.aggregate_root, self.trust_root
        return tagged_hash("outer-state", *parts)

    @property
    def start_state(self) -> bytes:
        """The state hash with which segment 0 of a round begins that starts fresh: these weights, averages at zero."""
        return self.carried_state(ZERO)

    def carried_state(self, averages_root: bytes) -> bytes:
        """The same of a node that brings second moments along; their root is ZERO if it has none."""
        return state_hash(self.weights_root, ZERO, averages_root)


@dataclass(frozen=True, slots=True)
class ResultVote(Wire):
    """A validator's signature on the outcome that it computed itself."""

    round: U64
    validator: U16
    outcome: Outcome
    signature: BlsSignature

    def digest(self, chain_id: bytes) -> bytes:
        # The signer's index is not signed: equal statements of several validators can then be aggregated.
        return tagged_hash("result", chain_id, self.round.to_bytes(8, "big"), self.outcome.encode())


RoundInput = (
    PayloadCommit | PayloadReveal | AvailabilityVote | ResultVote
    | SegmentOpening | VerdictCommit | VerdictReveal | PlantReveal | AuditVote | StorageProof | DataReceipt
)  # fmt: skip
ROUND_INPUTS: dict[int, type[Wire]] = {
    2: PayloadCommit,
    3: PayloadReveal,
    4: AvailabilityVote,
    5: ResultVote,
    6: SegmentOpening,
    7: VerdictCommit,
    8: VerdictReveal,
    9: PlantReveal,
    10: AuditVote,
    11: StorageProof,
    12: DataReceipt,
}
_ROUND_INPUT = OneOf(ROUND_INPUTS)


def encode_round_input(item: RoundInput) -> bytes:
    """With its type: fields of one type can be those of another, byte for byte, and a header must fit one body only."""
    out: list[bytes] = []
    _ROUND_INPUT.write(item, out)
    return b"".join(out)


@dataclass(frozen=True, slots=True)
class Validator(Wire):
    """A member of a validator set: its key and its voting power in nanos."""

    public_key: BlsPublicKey
    power: U128


def validators_root(members: tuple[Validator, ...]) -> bytes:
    return merkle_root([member.encode() for member in members])


@dataclass(frozen=True, slots=True)
class Header(Remembering, Wire):
    version: U8
    chain_id: Hash
    height: U64
    epoch: U64
    view: U64
    parent_hash: Hash
    time_ms: U64
    proposer: U16  # index in the validator set of the epoch
    beacon_reveal: BlsSignature
    certificate_root: Hash  # of the parent's notarization in the body
    proofs_root: Hash
    transactions_root: Hash
    rounds_root: Hash
    receipts_root: Hash
    state_root: Hash
    validators_root: Hash
    next_validators_root: Hash
    params_hash: Hash
    minted: U128
    burned: U128
    phase: U8

    def hash(self) -> bytes:
        return self.digest_once(b"", lambda: tagged_hash("block", self.encode()))


@dataclass(frozen=True, slots=True)
class Body(Wire):
    proofs: Annotated[tuple[Proof, ...], 4096]
    transactions: Annotated[tuple[Transaction, ...], 4096]
    rounds: Annotated[tuple[Annotated[RoundInput, OneOf(ROUND_INPUTS)], ...], 4096]
    parent_certificate: Annotated[bytes, Var(512)]


@dataclass(frozen=True, slots=True)
class Block(Wire):
    header: Header
    body: Body


def beacon_message(chain_id: bytes, epoch: int, view: int) -> bytes:
    """What the proposer of a view signs with its BLS key as its share of the beacon: unique, so it has no choice."""
    return tagged_hash("beacon", chain_id, epoch.to_bytes(8, "big"), view.to_bytes(8, "big"))


def certificate_root(certificate: bytes) -> bytes:
    return tagged_hash("certificate", certificate)
