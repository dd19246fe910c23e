"""A DiLoCo round as the ledger sees it.

Start reading at `advance`, the life of a round; what moves it on is in `chain.round_inputs`.

    opened ─ next mix ─▶ training ─ all awaited committed, or deadline ─▶ revealing ─▶ holding ─▶ result ─▶ closed
                              └──────────── nothing agreed on at a deadline ───────────────────────┴──────▶ void

A void round leaves the model as it was; the next round opens at once. Blocks never wait for any of this.
"""

from dataclasses import replace

from chain.attestations import agreed, open_poll
from chain.audit_records import is_suspended
from chain.awaited import hurried, is_complete, open_awaited
from chain.block import Outcome
from chain.crypto.hashing import ZERO, merkle_root
from chain.genesis import Params
from chain.receipts import Receipt, RoundClosed, RoundDrawn, RoundOpened, RoundVoid
from chain.seats import note_counted
from chain.state import (
    CLOSED,
    HOLDING,
    OPENED,
    RESULT,
    REVEALING,
    TRAINING,
    VOID,
    NodeRecord,
    Revealed,
    Round,
    State,
    node_key,
    round_key,
)


def advance(state: State, height: int, epoch: int, params: Params) -> list[Receipt]:
    """Move the round on as far as the block at `height` allows, and open the next one when it has ended."""
    receipts: list[Receipt] = []
    current = state.round(state.ledger.round)
    while current is not None and current.phase not in (CLOSED, VOID):
        after = _next(state, current, height, epoch, params)
        if after is None:
            return receipts
        if after.phase != current.phase:
            receipts.extend(_announce(state, after))
        state.put(round_key(after.number), after)
        current = after
    if state.ledger.nodes:
        receipts.append(_open(state, current, height, params))
    return receipts


def _open(state: State, previous: Round | None, height: int, params: Params) -> Receipt:
    """Participants are the nodes registered so far; the mix that fixes their data is a later one."""
    ledger = state.ledger
    number = ledger.round + 1
    opened = Round(
        number=number,
        phase=OPENED,
        opened_height=height,
        deadline_height=height + 1,
        participants=ledger.nodes,
        veterans=ledger.veterans,
        awaited=open_awaited(state, previous, params),
        base=ledger.model,
        mix=ZERO,
        last_claimant=ZERO,
        committed=(),
        committed_newcomers=0,
        revealed=(),
        availability=open_poll(0),
        result=open_poll(0),
        outcomes=(),
    )
    state.update_ledger(round=number, arrivals=0)
    state.put(round_key(number), opened)
    return RoundOpened(number, ledger.model)


def _next(state: State, current: Round, height: int, epoch: int, params: Params) -> Round | None:
    """The round in its next phase, or None while it must wait."""
    late = height >= current.deadline_height
    match current.phase:
        case phase if phase == OPENED and height > current.opened_height:
            return _enter(current, TRAINING, height + params.train_blocks, mix=state.ledger.mix)
        case phase if phase == TRAINING:
            if not late and not is_complete(current):
                return hurried(current, height, params)
            if not current.committed:
                return replace(current, phase=VOID)
            polls = {"availability": open_poll(epoch), "result": open_poll(epoch)}
            return _enter(current, REVEALING, height + params.reveal_blocks, **polls)
        case phase if phase == REVEALING and (late or _is_revealed(state, current)):
            if not current.revealed:
                return replace(current, phase=VOID)
            by_node = tuple(sorted(current.revealed, key=lambda revealed: revealed.node))
            poll = open_poll(current.set_epoch, (revealed.payload_root for revealed in by_node))
            return _enter(current, HOLDING, height + params.hold_blocks, revealed=by_node, availability=poll)
        case phase if phase == HOLDING and (late or len(counted(state, current)) == len(current.revealed)):
            if not counted(state, current):
                return replace(current, phase=VOID)
            return _enter(current, RESULT, height + params.result_blocks)
        case phase if phase == RESULT:
            if agreed_outcome(state, current) is not None:
                return replace(current, phase=CLOSED)
            return replace(current, phase=VOID) if late else None
        case _:
            return None


def _is_revealed(state: State, current: Round) -> bool:
    """Whether all have revealed that may: who was convicted of fraud after its commit may not."""
    shown = {revealed.node for revealed in current.revealed}
    silent = (node for node in current.committed if node not in shown)
    return all(is_suspended(state.need(NodeRecord, node_key(node)), current.number) for node in silent)


def _enter(current: Round, phase: int, deadline: int, **changes: object) -> Round:
    return replace(current, phase=phase, deadline_height=deadline, **changes)  # type: ignore[arg-type]


def _announce(state: State, after: Round) -> list[Receipt]:
    if after.phase == TRAINING:
        return [RoundDrawn(after.number, after.mix)]
    if after.phase == CLOSED:
        outcome = agreed_outcome(state, after)
        assert outcome is not None
        closed = state.ledger.closed_rounds + 1
        note_counted(state, [revealed.node for revealed in counted(state, after)])
        state.update_ledger(model=outcome, ended_round=after.number, closed_rounds=closed)
        return [RoundClosed(after.number, outcome)]
    if after.phase == VOID:
        state.update_ledger(ended_round=after.number)
        return [RoundVoid(after.number)]
    return []


def counted(state: State, current: Round) -> tuple[Revealed, ...]:
    """The payloads held by > 2/3 of stake: they are part of the round. By node id. None before the holding phase."""
    return tuple(current.revealed[place] for place in agreed(state, current.availability))


def earning(state: State, ended: Round) -> list[bytes]:
    """The nodes that a round pays, by id: those counted, or in a void round all that showed what can be audited."""
    payloads = ended.revealed if ended.phase == VOID else counted(state, ended)
    return sorted(revealed.node for revealed in payloads)


def counted_root(state: State, current: Round) -> bytes:
    return merkle_root([revealed.node + revealed.payload_root for revealed in counted(state, current)])


def agreed_outcome(state: State, current: Round) -> Outcome | None:
    """The outcome that > 2/3 of stake signed, if any."""
    return next((current.outcomes[place] for place in agreed(state, current.result)), None)
