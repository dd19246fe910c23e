"""Whom the training phase of a round waits for, and when it stops waiting: for work, not for names.

Awaited are the nodes that committed in the round before and those registered since that one opened; everybody if there
is none such. The phase ends when all of them have committed. As soon as those who have did more than two thirds of the
work of all, the deadline comes nearer: the rest get half of the time that the round took so far. Work is the segments
that a node committed in its last round, so a node without history weighs nothing: names can neither hurry nor stall.

When seats are scarce nobody knows which of the awaited will have one. Then the phase ends when all seats are taken, and
the work to come is measured by what was committed in the round before, by whomever.

Nothing here looks at all nodes: the ledger keeps the sums for the next round. Start reading at `open_awaited`.
"""

from dataclasses import replace

from chain.genesis import Params
from chain.state import Awaited, Ledger, NodeRecord, Round, State, node_key, round_key


def open_awaited(ledger: Ledger, previous: Round | None, params: Params) -> Awaited:
    """For the round that opens after `previous`."""
    if ledger.nodes > params.seats:
        return Awaited(0, params.seats, ledger.coming_work, 0, 0, 0)
    if previous is None or not previous.committed or not ledger.coming:
        return Awaited(0, ledger.nodes, ledger.work, 0, 0, 0)
    return Awaited(previous.opened_height, ledger.coming, ledger.coming_work, 0, 0, 0)


def is_awaited(current: Round, record: NodeRecord, params: Params) -> bool:
    """Whether the round waits for a node that has not committed yet."""
    if record.retired_height or record.registered_height > current.opened_height or current.participants > params.seats:
        return False
    is_new = record.registered_height > current.awaited.since_height
    return is_new or record.committed_round == current.number - 1


def note_registered(state: State) -> None:
    """A new node: the next round waits for it."""
    ledger = state.ledger
    state.update_ledger(nodes=ledger.nodes + 1, coming=ledger.coming + 1)


def note_committed(state: State, current: Round, node: bytes, segments: int, params: Params) -> Awaited:
    """`node` commits that many segments. Notes it for the next round too."""
    record, awaited = state.need(NodeRecord, node_key(node)), current.awaited
    # Before the record changes: it tells what the node did last.
    if current.participants > params.seats:
        awaited = replace(awaited, arrived=awaited.arrived + 1, arrived_work=awaited.arrived_work + segments)
    elif is_awaited(current, record, params):
        work = awaited.arrived_work + record.committed_segments
        awaited = replace(awaited, arrived=awaited.arrived + 1, arrived_work=work)
    state.put(node_key(node), replace(record, committed_round=current.number, committed_segments=segments))
    if not record.retired_height:
        ledger = state.ledger
        work = ledger.work - record.committed_segments + segments
        state.update_ledger(work=work, coming=ledger.coming + 1, coming_work=ledger.coming_work + segments)
    return awaited


def note_retired(state: State, record: NodeRecord, params: Params) -> None:
    """An active node goes (`record` is from before): neither this round nor the next one waits for it."""
    ledger = state.ledger
    current = state.round(ledger.round)
    has_committed = current is not None and record.committed_round == current.number
    is_coming = has_committed or current is None or record.registered_height > current.opened_height
    state.update_ledger(
        nodes=ledger.nodes - 1,
        veterans=ledger.veterans - (record.counted_rounds > 0),
        work=ledger.work - record.committed_segments,
        coming=ledger.coming - is_coming,
        coming_work=ledger.coming_work - (record.committed_segments if has_committed else 0),
    )
    if current is not None and not has_committed and is_awaited(current, record, params):
        awaited = current.awaited
        fewer = replace(awaited, nodes=awaited.nodes - 1, work=awaited.work - record.committed_segments)
        state.put(round_key(current.number), replace(current, awaited=fewer))


def is_complete(current: Round) -> bool:
    """Whether all that the round waits for is there, and something is."""
    return bool(current.committed) and current.awaited.arrived >= current.awaited.nodes


def hurried(current: Round, height: int, params: Params) -> Round | None:
    """The round with its nearer deadline, once: when a quorum of the awaited work has committed."""
    awaited = current.awaited
    if awaited.quorum_height or 3 * awaited.arrived_work <= 2 * awaited.work or not awaited.work:
        return None
    since = height - current.opened_height - 1  # training begins in the block after the opening
    deadline = min(current.deadline_height, height + max(params.grace_blocks_minimum, since // 2))
    return replace(current, deadline_height=deadline, awaited=replace(awaited, quorum_height=height))
