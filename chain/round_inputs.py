"""Commits, reveals and votes of a round: what nodes and validators may say, when, and once.

Start reading at `apply_round_input`.
"""

from collections.abc import Sequence
from dataclasses import replace

from chain.block import AvailabilityVote, PayloadCommit, PayloadReveal, ResultVote, RoundInput
from chain.crypto import bls, ecdsa
from chain.crypto.hashing import ZERO, merkle_root
from chain.errors import BadSignature, InvalidRoundInput
from chain.genesis import Params
from chain.rounds import counted_root, has_seat
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
    Tally,
    claim_key,
    node_key,
    round_key,
)

PAYLOAD_BYTES_MAXIMUM = 2**40


def apply_round_input(state: State, item: RoundInput, chain_id: bytes, params: Params) -> None:
    """Check one input and record it. Raises InvalidRoundInput or BadSignature, and then nothing has changed."""
    match item:
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
    if not has_seat(current, item.node, params) or len(current.committed) >= params.seats:
        raise InvalidRoundInput(f"node {item.node.hex()[:16]} has no seat in round {item.round}")
    state.put(claim_key(item.round, item.node), replace(claim, commitment=item.commitment))
    return replace(current, committed=(*current.committed, item.node))


def _reveal(state: State, item: PayloadReveal, chain_id: bytes, params: Params) -> Round:
    current = _in_phase(state, item.round, REVEALING)
    claim = _signed_by_node(state, item, chain_id)
    if claim.commitment != item.commitment(chain_id):
        raise InvalidRoundInput(f"node {item.node.hex()[:16]} committed to something else")
    if any(revealed.node == item.node for revealed in current.revealed):
        raise InvalidRoundInput(f"node {item.node.hex()[:16]} has already revealed")
    segments = len(claim.states)
    if item.states_root != merkle_root(claim.states) or item.steps != segments * params.segment_steps:
        raise InvalidRoundInput(f"the revealed states or steps differ from the {segments} proven segments")
    if len(item.distances) != segments or not 0 < item.payload_bytes <= PAYLOAD_BYTES_MAXIMUM:
        raise InvalidRoundInput(f"{segments} distances and 1 to 2^40 payload bytes are wanted")
    revealed = Revealed(item.node, item.payload_root, item.payload_bytes, item.steps, sum(item.distances), 0)
    return replace(current, revealed=(*current.revealed, revealed))


def _power_of_vote(state: State, current: Round, item: AvailabilityVote | ResultVote, chain_id: bytes) -> int:
    members = state.validators(current.set_epoch).members
    if item.validator >= len(members):
        raise InvalidRoundInput(f"validator {item.validator} of a set of {len(members)}")
    if current.voted[item.validator >> 3] >> (item.validator & 7) & 1:
        raise InvalidRoundInput(f"validator {item.validator} has already voted in this phase of round {item.round}")
    member = members[item.validator]
    if not bls.verify(member.public_key, item.digest(chain_id), item.signature):
        raise BadSignature(f"validator {item.validator} did not sign this for round {item.round}")
    return member.power


def _with_vote(current: Round, validator: int) -> bytes:
    voted = bytearray(current.voted)
    voted[validator >> 3] |= 1 << (validator & 7)
    return bytes(voted)


def _hold(state: State, item: AvailabilityVote, chain_id: bytes) -> Round:
    current = _in_phase(state, item.round, HOLDING)
    held = read_bitmap(item.bitmap, len(current.revealed))
    power = _power_of_vote(state, current, item, chain_id)
    revealed = tuple(
        replace(payload, power=payload.power + power) if is_held else payload
        for payload, is_held in zip(current.revealed, held, strict=True)
    )
    return replace(current, revealed=revealed, voted=_with_vote(current, item.validator))


def _result(state: State, item: ResultVote, chain_id: bytes) -> Round:
    current = _in_phase(state, item.round, RESULT)
    if item.outcome.counted_root != counted_root(state, current):
        raise InvalidRoundInput(f"the result of round {item.round} is over other payloads than the counted ones")
    power = _power_of_vote(state, current, item, chain_id)
    voted = _with_vote(current, item.validator)
    for i, tally in enumerate(current.tallies):
        if tally.outcome == item.outcome:
            added = (*current.tallies[:i], replace(tally, power=tally.power + power), *current.tallies[i + 1 :])
            return replace(current, tallies=added, voted=voted)
    # At most one tally per validator: nobody can crowd out the honest result with made-up ones.
    return replace(current, tallies=(*current.tallies, Tally(item.outcome, power)), voted=voted)


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
