"""Who may have a payload counted in a round: a seat is drawn, and newcomers draw for a quarter of them only.

A newcomer is a node whose payload was never counted: names cost little, and must not crowd out who is known for work.
"""

from collections.abc import Iterable
from dataclasses import replace

from chain.audit_records import is_suspended, owes_answer
from chain.crypto.hashing import tagged_hash
from chain.genesis import Params
from chain.state import NodeRecord, Round, State, node_key


def seats_of(participants: int, veterans: int, is_newcomer: bool, params: Params) -> tuple[int, int]:
    """How many seats the newcomers (or the veterans) of a round draw for if seats are short, and how many they are."""
    newcomers = participants - veterans
    theirs = min(params.seats // 4, newcomers)
    return (theirs, newcomers) if is_newcomer else (params.seats - theirs, veterans)


def has_seat(state: State, current: Round, node: bytes, params: Params) -> bool:
    """Whether a registered node has drawn a seat: everybody has while they suffice, else by independent lot.

    Nobody has that is suspended for fraud or owes an audit an answer: unanswered ones must not pile up.
    """
    record = state.find(NodeRecord, node_key(node))
    if (record is not None and is_suspended(record, current.number)) or owes_answer(state, node):
        return False
    if current.participants <= params.seats:
        return True
    seats, candidates = seats_of(current.participants, current.veterans, is_newcomer(state, node), params)
    lot = int.from_bytes(tagged_hash("seat", current.mix, node)[:8], "big")
    return lot * candidates < seats << 64


def is_seat_free(state: State, current: Round, node: bytes, params: Params) -> bool:
    """Whether there is room for one more commitment of the node's kind: lots give a seat to a few too many at times."""
    if current.participants <= params.seats:
        return len(current.committed) < params.seats
    newcomer, taken = is_newcomer(state, node), current.committed_newcomers
    seats, _ = seats_of(current.participants, current.veterans, newcomer, params)
    return (taken if newcomer else len(current.committed) - taken) < seats


def is_newcomer(state: State, node: bytes) -> bool:
    record = state.find(NodeRecord, node_key(node))
    return record is None or not record.counted_rounds


def note_counted(state: State, nodes: Iterable[bytes]) -> None:
    """The payloads of these nodes were counted in a round that closed: they are veterans now."""
    veterans = state.ledger.veterans
    for node in nodes:
        record = state.need(NodeRecord, node_key(node))
        veterans += not record.counted_rounds and not record.retired_height
        state.put(node_key(node), replace(record, counted_rounds=record.counted_rounds + 1))
    state.update_ledger(veterans=veterans)
