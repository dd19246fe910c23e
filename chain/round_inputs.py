"""Commits, reveals and votes of a round: what nodes and validators may say, when, and once.

What they say of a round that has ended is elsewhere: `chain.audit_inputs`.

Start reading at `apply_round_input`.
"""

from collections.abc import Sequence
from dataclasses import replace

from chain.attestations import cast
from chain.audit_inputs import apply_audit_input
from chain.audit_messages import (
    AuditVote,
    DataReceipt,
    PlantReveal,
    SegmentOpening,
    StorageProof,
    VerdictCommit,
    VerdictReveal,
)
from chain.audit_records import is_suspended
from chain.awaited import note_committed
from chain.block import AvailabilityVote, PayloadCommit, PayloadReveal, ResultVote, RoundInput, state_hash
from chain.crypto import ecdsa
from chain.crypto.hashing import ZERO, merkle_root
from chain.data_receipts import apply_data_receipt
from chain.errors import BadSignature, InvalidRoundInput
from chain.genesis import Params
from chain.rounds import counted_root
from chain.seats import has_seat, is_newcomer, is_seat_free
from chain.state import (
    HOLDING,
    RESULT,
    REVEALING,
    ROUND_PHASES,
    TRAINING,
    Claim,
    NodeRecord,
    Revealed,
    Round,
    State,
    claim_key,
    node_key,
    round_key,
)
from chain.storage import apply_storage_proof

PAYLOAD_BYTES_MAXIMUM = 2**40


def apply_round_input(state: State, item: RoundInput, chain_id: bytes, params: Params) -> None:
    """Check one input and record it. Raises InvalidRoundInput or BadSignature, and then nothing has changed."""
    match item:
        case SegmentOpening() | VerdictCommit() | VerdictReveal() | PlantReveal() | AuditVote():
            return apply_audit_input(state, item, chain_id, params)
        case StorageProof():
            return apply_storage_proof(state, item, chain_id, params)
        case DataReceipt():
            return apply_data_receipt(state, item, chain_id, params)
        case PayloadCommit():
            after = _commit(state, item, chain_id, params)
        case PayloadReveal():
            after = _reveal(state, item, chain_id, params)
        case AvailabilityVote():
            after = _hold(state, item, chain_id)
        case ResultVote():
            after = _result(state, item, chain_id)
    state.put(round_key(item.round), after)


def _in_phase(state: State, number: int, phase: int) -> Round:
    current = state.round(number)
    if current is None or current.phase != phase:
        found = ROUND_PHASES[current.phase] if current else "unknown"
        raise InvalidRoundInput(f"round {number} is {found}, this needs it to be {ROUND_PHASES[phase]}")
    return current


def _signed_by_node(state: State, item: PayloadCommit | PayloadReveal, chain_id: bytes) -> Claim:
    record = state.find(NodeRecord, node_key(item.node))
    claim = state.find(Claim, claim_key(item.round, item.node))
    if record is None or claim is None:
        raise InvalidRoundInput(f"node {item.node.hex()[:16]} proved no segment in round {item.round}")
    if not ecdsa.verify(record.public_key, item.digest(chain_id), item.signature):
        raise BadSignature(f"node {item.node.hex()[:16]} did not sign this for round {item.round}")
    return claim


def _commit(state: State, item: PayloadCommit, chain_id: bytes, params: Params) -> Round:
    current = _in_phase(state, item.round, TRAINING)
    claim = _signed_by_node(state, item, chain_id)
    if claim.commitment != ZERO or item.commitment == ZERO:
        raise InvalidRoundInput(f"node {item.node.hex()[:16]} commits once and to something")
    if 2 * len(claim.states) < params.segments:
        raise InvalidRoundInput(f"{len(claim.states)} of {params.segments} segments proven, half are needed for a seat")
    if not has_seat(state, current, item.node, params):
        raise InvalidRoundInput(f"node {item.node.hex()[:16]} has no seat in round {item.round}")
    if not is_seat_free(state, current, item.node, params):
        raise InvalidRoundInput(f"the seats that node {item.node.hex()[:16]} drew for in round {item.round} are taken")
    state.put(claim_key(item.round, item.node), replace(claim, commitment=item.commitment))
    return replace(
        current,
        awaited=note_committed(state, current, item.node, len(claim.states)),
        committed=(*current.committed, item.node),
        committed_newcomers=current.committed_newcomers + is_newcomer(state, item.node),
    )


def _reveal(state: State, item: PayloadReveal, chain_id: bytes, params: Params) -> Round:
    current = _in_phase(state, item.round, REVEALING)
    claim = _signed_by_node(state, item, chain_id)
    if is_suspended(state.need(NodeRecord, node_key(item.node)), item.round):
        raise InvalidRoundInput(f"node {item.node.hex()[:16]} is suspended for fraud")
    if claim.commitment != item.commitment(chain_id):
        raise InvalidRoundInput(f"node {item.node.hex()[:16]} committed to something else")
    if any(revealed.node == item.node for revealed in current.revealed):
        raise InvalidRoundInput(f"node {item.node.hex()[:16]} has already revealed")
    if any(revealed.payload_root == item.payload_root for revealed in current.revealed):
        # Data are drawn by node, so honest payloads differ; nor can a copier be first: it commits before it can look.
        raise InvalidRoundInput(f"another node has revealed the payload of node {item.node.hex()[:16]} before")
    segments = len(claim.states)
    if item.states_root != merkle_root(claim.states) or item.steps != segments * params.segment_steps:
        raise InvalidRoundInput(f"the revealed states or steps differ from the {segments} proven segments")
    if len(item.distances) != segments or not 0 < item.payload_bytes <= PAYLOAD_BYTES_MAXIMUM:
        raise InvalidRoundInput(f"{segments} distances and 1 to 2^40 payload bytes are wanted")
    if state_hash(item.theta_root, item.m_root, item.v_root) != claim.states[-1]:
        raise InvalidRoundInput("the revealed roots of weights and moments are not those of the last proven state")
    _note_reveal(state, item, claim)
    revealed = Revealed(item.node, item.payload_root, item.payload_bytes, item.steps, sum(item.distances))
    return replace(current, revealed=(*current.revealed, revealed))


def _note_reveal(state: State, item: PayloadReveal, claim: Claim) -> None:
    """What an audit compares with later, and the promise for the coming rounds.

    The node's next round may begin with these second moments, whatever becomes of this one: they are its own.
    """
    shown = replace(claim, payload_root=item.payload_root, theta_root=item.theta_root, distances=item.distances)
    state.put(claim_key(item.round, item.node), shown)
    record = state.need(NodeRecord, node_key(item.node))
    # Moments that are all zero are those of a fresh start, whose age is 0.
    age = claim.averages_steps + item.steps if item.v_root != ZERO else 0
    state.put(
        node_key(item.node),
        replace(record, averages_root=item.v_root, averages_steps=age, plant=item.plant, plant_round=item.round),
    )


def _hold(state: State, item: AvailabilityVote, chain_id: bytes) -> Round:
    current = _in_phase(state, item.round, HOLDING)
    held = read_bitmap(item.bitmap, len(current.revealed))
    roots = [payload.payload_root for payload, is_held in zip(current.revealed, held, strict=True) if is_held]
    return replace(current, availability=cast(state, current.availability, item, roots, chain_id))


def _result(state: State, item: ResultVote, chain_id: bytes) -> Round:
    current = _in_phase(state, item.round, RESULT)
    if item.outcome.counted_root != counted_root(state, current):
        raise InvalidRoundInput(f"the result of round {item.round} is over other payloads than the counted ones")
    # The counted root being given, the outer root names the outcome. At most one new outcome per validator: nobody can
    # crowd out the honest result with made-up ones.
    poll = cast(state, current.result, item, [item.outcome.outer_root], chain_id)
    is_new = len(poll.tallies) > len(current.outcomes)
    return replace(current, result=poll, outcomes=(*current.outcomes, item.outcome) if is_new else current.outcomes)


def write_bitmap(flags: Sequence[bool]) -> bytes:
    """Bit i of byte i // 8, least significant first."""
    packed = bytearray(-(-len(flags) // 8))
    for i, flag in enumerate(flags):
        packed[i >> 3] |= flag << (i & 7)
    return bytes(packed)


def read_bitmap(bitmap: bytes, count: int) -> list[bool]:
    """The inverse, strict: exactly ceil(count / 8) bytes and no bit beyond `count`."""
    flags = [bool(bitmap[i >> 3] >> (i & 7) & 1) for i in range(min(count, 8 * len(bitmap)))]
    if len(flags) != count or write_bitmap(flags) != bitmap:
        raise InvalidRoundInput(
            f"a bitmap of {count} bits is wanted, {len(bitmap)} bytes with stray bits or a wrong length found"
        )
    return flags
