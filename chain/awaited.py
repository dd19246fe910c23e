"""Whom the training phase of a round waits for, and when it stops waiting: for work, not for names.

Awaited are the nodes that committed in the round before and those registered since that one opened; everybody if there
is none such. The phase ends when all of them have committed. As soon as those who have did more than two thirds of the
work of all, the deadline comes nearer: the rest get half of the time that the round took so far. Work is the segments
that a node committed in its last round, so a node without history weighs nothing: names can neither hurry nor stall.

A node that missed a round is not awaited by name, and one that is a little slower than the others would never get in
again: so it is awaited once it has proven a third of its segments, by which time it can still do half of them in the
grace. It weighs nothing, so it can make a round longer by its grace only.

With more participants than seats nobody knows which newcomer has a seat, so of the awaited only the veterans are. If
seats are too few for the veterans as well, the phase ends when all seats are taken, and the work to come is measured by
what was committed in the round before, by whomever.

Nobody waits for a node that is suspended for fraud, and its work weighs nothing.

No block looks at all nodes: an opening looks at those that committed last. Start reading at `open_awaited`.
"""

from collections.abc import Sequence
from dataclasses import replace

from chain.audit_records import count_suspended, is_suspended, remember_suspended
from chain.genesis import Params
from chain.seats import seats_of
from chain.state import (
    ANYBODY,
    EVERYBODY,
    RECENT,
    VETERANS,
    Awaited,
    Claim,
    NodeRecord,
    Round,
    State,
    claim_key,
    node_key,
    round_key,
)


def open_awaited(state: State, previous: Round | None, params: Params) -> Awaited:
    """For the round that opens after `previous`."""
    ledger, since = state.ledger, previous.opened_height if previous else 0
    suspended = count_suspended(state, ledger.round + 1)
    records = [state.need(NodeRecord, node_key(node)) for node in previous.committed] if previous else []
    recent = [record for record in records if not record.retired_height and not is_suspended(record, ledger.round + 1)]
    if ledger.nodes > params.seats:
        veterans = [record for record in recent if record.counted_rounds]
        seats, candidates = seats_of(ledger.nodes, ledger.veterans, False, params)
        if veterans and candidates <= seats:
            return _awaited(VETERANS, since, len(veterans), _work(veterans))
        return _awaited(ANYBODY, since, params.seats, _work(recent))
    if recent:
        return _awaited(RECENT, since, len(recent) + ledger.arrivals, _work(recent))
    return _awaited(EVERYBODY, since, ledger.nodes - suspended, ledger.work)


def _awaited(whom: int, since: int, nodes: int, work: int) -> Awaited:
    return Awaited(whom, since, nodes, work, arrived=0, arrived_work=0, quorum_height=0)


def _work(records: Sequence[NodeRecord]) -> int:
    return sum(record.committed_segments for record in records)


def _is_out(current: Round, record: NodeRecord) -> bool:
    """Whether a node cannot take part: retired, registered too late, or suspended."""
    is_late = record.registered_height > current.opened_height
    return is_late or record.retired_height > 0 or is_suspended(record, current.number)


def is_awaited(current: Round, record: NodeRecord) -> bool:
    """Whether the round waits for this very node from its opening on; it has not committed in it yet."""
    if _is_out(current, record):
        return False
    has_just_committed = record.committed_round == current.number - 1 > 0
    match current.awaited.whom:
        case whom if whom == EVERYBODY:
            return True
        case whom if whom == RECENT:
            return has_just_committed or record.registered_height > current.awaited.since_height
        case whom if whom == VETERANS:
            return has_just_committed and record.counted_rounds > 0
        case _:
            return False


def is_back(state: State, current: Round, node: bytes, params: Params) -> bool:
    """Whether the round waits for a node that its opening did not name, since the node has proven enough."""
    claim = state.find(Claim, claim_key(current.number, node))
    is_enough = claim is not None and 3 * len(claim.states) >= params.segments
    return is_enough and _may_come_back(current, state.need(NodeRecord, node_key(node)))


def _may_come_back(current: Round, record: NodeRecord) -> bool:
    """Of those that the opening did not name: where a lot decides who has a seat, veterans only."""
    if _is_out(current, record) or is_awaited(current, record):
        return False
    whom = current.awaited.whom
    return whom == RECENT or (whom == VETERANS and record.counted_rounds > 0)


def note_proven(state: State, number: int, node: bytes, segments: int, params: Params) -> None:
    """`node` has proven one more segment of a round in training, now so many: it may be awaited from here on."""
    current = state.need(Round, round_key(number))
    is_just_enough = 3 * segments >= params.segments > 3 * (segments - 1)
    if is_just_enough and _may_come_back(current, state.need(NodeRecord, node_key(node))):
        awaited = replace(current.awaited, nodes=current.awaited.nodes + 1)
        state.put(round_key(number), replace(current, awaited=awaited))


def note_registered(state: State) -> None:
    """A new node: the next round waits for it."""
    ledger = state.ledger
    state.update_ledger(nodes=ledger.nodes + 1, arrivals=ledger.arrivals + 1)


def note_committed(state: State, current: Round, node: bytes, segments: int) -> Awaited:
    """`node` commits that many segments: what the round still waits for. Notes it for the next round too."""
    record, awaited = state.need(NodeRecord, node_key(node)), current.awaited
    # Before the record changes: it tells what the node did last.
    weight = segments if awaited.whom == ANYBODY else record.committed_segments
    if awaited.whom == ANYBODY or is_awaited(current, record):
        awaited = replace(awaited, arrived=awaited.arrived + 1, arrived_work=awaited.arrived_work + weight)
    elif _may_come_back(current, record):
        awaited = replace(awaited, arrived=awaited.arrived + 1)  # Who commits has proven half, so it is awaited.
    state.put(node_key(node), replace(record, committed_round=current.number, committed_segments=segments))
    if not record.retired_height:
        state.update_ledger(work=state.ledger.work - record.committed_segments + segments)
    return awaited


def note_retired(state: State, node: bytes, params: Params) -> None:
    """An active node goes (its record still says nothing of it): neither this round nor the next one waits for it."""
    ledger, record = state.ledger, state.need(NodeRecord, node_key(node))
    current = state.round(ledger.round)
    state.update_ledger(
        nodes=ledger.nodes - 1,
        veterans=ledger.veterans - (record.counted_rounds > 0),
        work=ledger.work - record.committed_segments,
        arrivals=ledger.arrivals - (current is None or record.registered_height > current.opened_height),
    )
    if current is not None:
        _stop_waiting(state, current, node, params)


def note_suspended(state: State, node: bytes, params: Params) -> None:
    """A node is convicted of fraud (its record still says nothing of it): no round waits for it for some time."""
    ledger, record = state.ledger, state.need(NodeRecord, node_key(node))
    _stop_waiting(state, state.need(Round, round_key(ledger.round)), node, params)
    if not record.retired_height:
        state.update_ledger(work=ledger.work - record.committed_segments)
        remember_suspended(state, node)
    until = ledger.round + params.suspension_rounds
    state.put(node_key(node), replace(record, suspended_round=until, committed_segments=0))


def _stop_waiting(state: State, current: Round, node: bytes, params: Params) -> None:
    """Take a node that has not committed off what a round waits for."""
    record, awaited = state.need(NodeRecord, node_key(node)), current.awaited
    if record.committed_round == current.number:
        return
    if is_awaited(current, record):
        awaited = replace(awaited, nodes=awaited.nodes - 1, work=awaited.work - record.committed_segments)
    elif is_back(state, current, node, params):
        awaited = replace(awaited, nodes=awaited.nodes - 1)
    state.put(round_key(current.number), replace(current, awaited=awaited))


def is_complete(current: Round) -> bool:
    """Whether all that the round waits for is there, and something is."""
    return bool(current.committed) and current.awaited.arrived >= current.awaited.nodes


def hurried(current: Round, height: int, params: Params) -> Round | None:
    """The round with its nearer deadline, once: when a quorum of the awaited work has committed."""
    awaited = current.awaited
    if awaited.quorum_height or not awaited.work or 3 * awaited.arrived_work <= 2 * awaited.work:
        return None
    since = height - current.opened_height - 1  # training begins in the block after the opening
    deadline = min(current.deadline_height, height + max(params.grace_blocks_minimum, since // 2))
    return replace(current, deadline_height=deadline, awaited=replace(awaited, quorum_height=height))
