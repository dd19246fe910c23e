"""What nodes and validators have said and no block has taken yet: about the running round, about audits of rounds that
are over, about storage and data. Start at `ClaimPool`.

A signer may say each thing once: the pool has one place for it, so a registered node fills its own places and no more.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from chain.attestations import has_voted
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
    VALIDATORS_MAXIMUM,
    AvailabilityVote,
    PayloadCommit,
    PayloadReveal,
    Proof,
    ResultVote,
    RoundInput,
)
from chain.crypto.hashing import ZERO
from chain.genesis import Params
from chain.rounds import counted_root
from chain.state import (
    CLOSED,
    HOLDING,
    RESULT,
    REVEALING,
    TRAINING,
    VOID,
    Claim,
    NodeRecord,
    Round,
    State,
    claim_key,
    node_key,
)
from node import audit_slots, service_slots
from node.audit_slots import AuditClaim
from node.relay_messages import Claimed, ClaimMessage
from node.service_slots import ServiceClaim

CLAIMS_MAXIMUM, BYTES_MAXIMUM = 20_000, 16 << 20

# In the order in which a round goes through them; then what concerns rounds that are over.
PROOF, COMMIT, REVEAL, AVAILABILITY, RESULTS = range(5)
KINDS: dict[type, int] = {
    Proof: PROOF, PayloadCommit: COMMIT, PayloadReveal: REVEAL, AvailabilityVote: AVAILABILITY, ResultVote: RESULTS,
    SegmentOpening: 5, VerdictCommit: 6, PlantReveal: 7, VerdictReveal: 8, AuditVote: 9,
    StorageProof: 10, DataReceipt: 11,
}  # fmt: skip
PHASES = (TRAINING, TRAINING, REVEALING, HOLDING, RESULT)

RoundClaim = Proof | PayloadCommit | PayloadReveal | AvailabilityVote | ResultVote  # of the running round
ASKED = AuditClaim | AvailabilityVote | ResultVote  # places of those that the ledger has drawn or that vote
Slot = tuple[int, int, bytes, int]  # round, kind, who, segment


def slot_of(claim: Claimed) -> Slot:
    """What a claim says something about: no two of one slot are wanted."""
    match claim:
        case Proof():
            return claim.round, PROOF, claim.node, claim.segment
        case PayloadCommit() | PayloadReveal():
            return claim.round, KINDS[type(claim)], claim.node, 0
        case SegmentOpening() | VerdictCommit() | VerdictReveal() | PlantReveal() | AuditVote():
            return claim.round, KINDS[type(claim)], *audit_slots.who_says(claim)
        case StorageProof() | DataReceipt():
            about, who = service_slots.place_of(claim)
            return about, KINDS[type(claim)], who, 0
    return claim.round, KINDS[type(claim)], claim.validator.to_bytes(2, "big"), 0


def is_past(claim: Claimed, state: State) -> bool:
    """Whether the ledger has it or can never take it any more."""
    if isinstance(claim, AuditClaim):
        return audit_slots.is_past(claim, state)
    if isinstance(claim, ServiceClaim):
        return service_slots.is_past(claim, state)
    number = state.ledger.round
    current = state.round(number)
    if current is None or claim.round != number:
        return claim.round < number
    phase = PHASES[KINDS[type(claim)]]
    if current.phase != phase:
        return current.phase > phase
    return _is_said(claim, state, current)


def is_early(claim: Claimed, state: State) -> bool:
    """Whether its phase has not begun."""
    if isinstance(claim, AuditClaim):
        return audit_slots.is_early(claim, state)
    if isinstance(claim, ServiceClaim):
        return service_slots.is_early(claim, state)
    current = state.round(claim.round)
    return current is None or current.phase < PHASES[KINDS[type(claim)]]


def _is_said(claim: RoundClaim, state: State, current: Round) -> bool:
    """For a claim of the round's phase: whether its signer has said this already, or has bound itself otherwise."""
    match claim:
        case AvailabilityVote() | ResultVote():
            is_other = isinstance(claim, ResultVote) and claim.outcome.counted_root != counted_root(state, current)
            return is_other or claim.validator >= VALIDATORS_MAXIMUM or has_voted(current.poll, claim.validator)
    known = state.find(Claim, claim_key(claim.round, claim.node))
    is_committed = known is not None and known.commitment != ZERO
    match claim:
        case Proof():
            return is_committed or _is_overtaken(claim, known, state)
        case PayloadCommit():
            return is_committed
    return not is_committed or any(revealed.node == claim.node for revealed in current.revealed)


def _is_overtaken(proof: Proof, known: Claim | None, state: State) -> bool:
    """Whether the ledger has another proof of its segment, or of the one before it: then it can never follow."""
    segments = len(known.states) if known else 0
    record = state.find(NodeRecord, node_key(proof.node))
    if record is None or proof.segment != segments:
        return proof.segment < segments
    return (proof.previous_proof, proof.nonce) != (known.last_proof if known else ZERO, record.proofs)


def signer_of(claim: Claimed, state: State, params: Params) -> bytes | None:
    """The key that has to have signed it: of the node, or of the validator. None while the ledger cannot tell."""
    if isinstance(claim, AuditClaim):
        return audit_slots.signer_of(claim, state)
    if isinstance(claim, ServiceClaim):
        return service_slots.signer_of(claim, state)
    number = state.ledger.round
    current = state.round(number)
    match claim:
        case AvailabilityVote() | ResultVote():
            # Which set attests is fixed when the commitments are complete.
            if current is None or claim.round != number or not REVEALING <= current.phase <= RESULT:
                return None
            members = state.validators(current.set_epoch).members
            return members[claim.validator].public_key if claim.validator < len(members) else None
    record = state.find(NodeRecord, node_key(claim.node))
    if record is None or not number <= claim.round <= number + 1:
        return None
    if claim.round == number and current is not None and record.registered_height > current.opened_height:
        return None
    if isinstance(claim, Proof) and (claim.segment >= params.segments or record.retired_height):
        return None
    return record.public_key


@dataclass(slots=True)
class Held:
    """A claim whose signature is good."""

    claim: Claimed
    encoded: bytes
    arrival: int
    is_own: bool
    failures: int = 0  # blocks that it did not fit into when it should have


class ClaimPool:
    """Checked claims by slot. Bounded in number and bytes; who has a place in it is bounded by the ledger."""

    def __init__(self, params: Params) -> None:
        self.params = params
        self._held: dict[Slot, Held] = {}
        self._arrivals = 0
        self._bytes = 0
        # What the pool is worth on one state is asked for whenever anything comes, and changes with blocks and claims.
        self._version = 0
        self._worth: tuple[int, bytes, bool, bool] = 0, b"", False, False

    def __len__(self) -> int:
        return len(self._held)

    def get(self, slot: Slot) -> Held | None:
        return self._held.get(slot)

    def has_room(self, claim: Claimed) -> bool:
        """Whether `put` would keep it: its place is free, or taken by a proof that is soon too old for any block."""
        held = self._held.get(slot_of(claim))
        if held is None:
            # Registrations cost little. Whom an audit or a poll asks is drawn or has stake: names cannot crowd it out.
            reserve = 2 if isinstance(claim, ASKED) else 1
            return len(self._held) < reserve * CLAIMS_MAXIMUM and self._bytes < reserve * BYTES_MAXIMUM
        if not isinstance(claim, Proof) or not isinstance(held.claim, Proof):
            return False
        return claim.time_ms >= held.claim.time_ms + self.params.proof_window_ms // 2

    def put(self, claim: Claimed, is_own: bool = False) -> Held | None:
        """Keep a claim whose signature has been checked; None if nothing new was said. Our own word is the last."""
        slot, encoded = slot_of(claim), ClaimMessage(claim).encode()
        before = self._held.get(slot)
        if before is not None and before.encoded == encoded:
            return None
        if not is_own and not self.has_room(claim):
            return None
        self._drop(slot)
        self._arrivals += 1
        self._version += 1
        held = self._held[slot] = Held(claim, encoded, self._arrivals, is_own)
        self._bytes += len(encoded)
        return held

    def _drop(self, slot: Slot) -> None:
        held = self._held.pop(slot, None)
        if held is not None:
            self._version += 1
            self._bytes -= len(held.encoded)

    def follow(self, state: State) -> None:
        """After a block: forget what is on the ledger or has missed its round."""
        state = state.fork()  # reads each record once
        for slot in [slot for slot, held in self._held.items() if is_past(held.claim, state)]:
            self._drop(slot)

    def failed(self, claims: Iterable[Claimed]) -> None:
        """These did not fit into a block: they no longer make one urgent."""
        self._version += 1
        for claim in claims:
            held = self._held.get(slot_of(claim))
            if held is not None and held.claim == claim:
                held.failures += 1

    def all(self) -> list[Held]:
        """Everything, by arrival."""
        return list(self._held.values())

    # ---- For blocks

    def proofs(self, state: State) -> list[Proof]:
        """Of the running round: node by node in order of arrival, each node's in order of its segments."""
        number = state.ledger.round
        by_node: dict[bytes, list[Proof]] = {}
        for held in self._held.values():
            if isinstance(held.claim, Proof) and held.claim.round == number:
                by_node.setdefault(held.claim.node, []).append(held.claim)
        return [proof for proofs in by_node.values() for proof in sorted(proofs, key=lambda each: each.segment)]

    def inputs(self, state: State) -> list[RoundInput]:
        """Of the running round, in the order of its phases, and then what concerns others.

        What a node owes an audit comes before its commit, which is refused until then. Who commits after whom goes by
        arrival. What blocks have refused comes last: it must not stand before the rest.
        """
        number = state.ledger.round
        waits = [
            (held.failures, held.claim)
            for held in self._held.values()
            if not isinstance(held.claim, Proof)
            and (held.claim.round == number or not isinstance(held.claim, RoundClaim))
        ]
        commits = {claim.node for _, claim in waits if isinstance(claim, PayloadCommit)}

        def turn(wait: tuple[int, Claimed]) -> tuple[int, bool, int]:
            failures, claim = wait
            is_owed = isinstance(claim, SegmentOpening | PlantReveal) and claim.node in commits
            return failures, not is_owed, KINDS[type(claim)]

        return [claim for _, claim in sorted(waits, key=turn)]

    def has_news(self, state: State) -> bool:
        """Whether the next block should hold something from here."""
        return self._worth_of(state)[0]

    def is_urgent(self, state: State) -> bool:
        """Whether a round waits for something from here: for a word on its phase, or the last proof before one."""
        return self._worth_of(state)[1]

    def _worth_of(self, state: State) -> tuple[bool, bool]:
        mix = state.ledger.mix  # another in every block
        if self._worth[:2] != (self._version, mix):
            state = state.fork()
            due = [held.claim for held in self._held.values() if self._is_due(held, state)]
            last = self.params.segments - 1
            # The round waits for it. An audit's word goes into a block of the usual pace: nobody stands still for it.
            awaited = [claim for claim in due if isinstance(claim, RoundClaim)]
            is_urgent = any(not isinstance(claim, Proof) or claim.segment == last for claim in awaited)
            self._worth = self._version, mix, bool(due), is_urgent
        return self._worth[2:]

    def _is_due(self, held: Held, state: State) -> bool:
        """Whether it should fit into the next block, and none has shown that it does not."""
        claim, number = held.claim, state.ledger.round
        if not isinstance(claim, RoundClaim):
            return not (held.failures or is_early(claim, state) or is_past(claim, state))
        current = state.round(number)
        if held.failures or claim.round != number or current is None or current.phase in (CLOSED, VOID):
            return False
        if current.phase != PHASES[KINDS[type(claim)]] or _is_said(claim, state, current):
            return False
        if isinstance(claim, Proof):
            return self._is_continued(claim, state)
        if isinstance(claim, PayloadCommit):
            known = state.find(Claim, claim_key(number, claim.node))
            return known is not None and 2 * len(known.states) >= self.params.segments
        return True

    def _is_continued(self, proof: Proof, state: State) -> bool:
        """Whether all segments before it are on the ledger or here."""
        known = state.find(Claim, claim_key(proof.round, proof.node))
        first = len(known.states) if known else 0
        return all((proof.round, PROOF, proof.node, segment) in self._held for segment in range(first, proof.segment))
