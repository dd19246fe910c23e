"""What nodes, auditors and validators say about an audit. Every layout here is final.

All of them are round inputs and travel like these. Start reading at `chain.audits` for the rules.
"""

from dataclasses import dataclass
from typing import Annotated

from chain.codec import U8, U16, U32, U64, BlsSignature, Hash, Signature, Var, Wire
from chain.crypto.hashing import tagged_hash

INNER_MAXIMUM = 256  # inner steps of a segment, of which an auditor names every state
PATH_MAXIMUM = 64  # hashes on the way from a leaf to a root
LEAF_BYTES = 1024

# Findings of an auditor.
NO_FINDING, PASS, MISMATCH, UNSERVED = range(4)
FINDINGS = ("none", "pass", "mismatch", "unserved")

# Answers of a validator to the question of an audit's poll.
MISSING, HERE, FRAUD, CLEAN = range(1, 5)
ANSWERS = ("none", "missing", "here", "fraud", "clean")


@dataclass(frozen=True, slots=True)
class StateParts(Wire):
    """The pages roots that make up a state hash. They name the blobs that an auditor fetches."""

    theta_root: Hash
    m_root: Hash
    v_root: Hash


@dataclass(frozen=True, slots=True)
class SegmentOpening(Wire):
    """The audited node shows what the drawn segment's first and last state are made of."""

    round: U64
    node: Hash
    before: StateParts
    after: StateParts
    signature: Signature

    def digest(self, chain_id: bytes) -> bytes:
        return tagged_hash("segment-opening", chain_id, self.encode()[:-64])


@dataclass(frozen=True, slots=True)
class VerdictCommit(Wire):
    """An auditor binds itself to what it found, before anybody shows anything."""

    round: U64
    node: Hash
    validator: U16
    commitment: Hash
    signature: BlsSignature

    def digest(self, chain_id: bytes) -> bytes:
        return tagged_hash("verdict-commit", chain_id, self.encode()[:-96])


@dataclass(frozen=True, slots=True)
class VerdictReveal(Wire):
    """What the commitment hid. `inner`: the pages root of the weights after each inner step of the auditor's replay.

    Empty if nothing was served. Nobody who did not replay can name them.
    """

    round: U64
    node: Hash
    validator: U16
    salt: Hash
    finding: U8
    inner: Annotated[tuple[Hash, ...], INNER_MAXIMUM]
    signature: BlsSignature

    def commitment(self, chain_id: bytes) -> bytes:
        return tagged_hash("verdict", chain_id, self.encode()[:-96])

    def digest(self, chain_id: bytes) -> bytes:
        return tagged_hash("verdict-reveal", chain_id, self.encode()[:-96])


@dataclass(frozen=True, slots=True)
class PlantReveal(Wire):
    """The audited node shows the secret that says which of its segments read other data: `chain.plants`."""

    round: U64
    node: Hash
    secret: Hash
    signature: Signature

    def digest(self, chain_id: bytes) -> bytes:
        return tagged_hash("plant-reveal", chain_id, self.encode()[:-64])


@dataclass(frozen=True, slots=True)
class AuditVote(Wire):
    """A validator's answer to the question of an audit's poll: are the states to be had, is the segment forged."""

    round: U64
    node: Hash
    validator: U16
    attempt: U8  # of the audit, so that an answer to an earlier question is none to this one
    answer: U8
    signature: BlsSignature

    def digest(self, chain_id: bytes) -> bytes:
        return tagged_hash("audit-vote", chain_id, self.encode()[:-96])


@dataclass(frozen=True, slots=True)
class StorageProof(Wire):
    """A holder shows the leaf of its fragment that the epoch's mix chose, and the way from it to the model's root."""

    round: U64  # the newest round when it was made: it travels with the round's inputs
    epoch: U64
    node: Hash
    leaf: Annotated[bytes, Var(LEAF_BYTES)]
    leaf_path: Annotated[tuple[Hash, ...], PATH_MAXIMUM]
    fragment_path: Annotated[tuple[Hash, ...], PATH_MAXIMUM]
    signature: Signature

    def digest(self, chain_id: bytes) -> bytes:
        return tagged_hash("storage-proof", chain_id, self.encode()[:-64])


@dataclass(frozen=True, slots=True)
class DataReceipt(Wire):
    """A trainer confirms that the provider drawn for it in this round served it a shard of the corpus."""

    round: U64
    trainer: Hash
    provider: Hash
    shard: U32  # its place in the manifest
    signature: Signature

    def digest(self, chain_id: bytes) -> bytes:
        return tagged_hash("data-receipt", chain_id, self.encode()[:-64])
