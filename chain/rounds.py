"""A DiLoCo round as the ledger sees it.

Start reading at `advance`, the life of a round; what moves it on is in `chain.round_inputs`.

    opened ─ next mix ─▶ training ─ all committed, or deadline ─▶ revealing ─▶ holding ─▶ result ─ > 2/3 ─▶ closed
                              └──────────── nothing there at a deadline ─────────────────────┴───────────▶ void

A void round leaves the model as it was; the next round opens at once. Blocks never wait for any of this.
"""

from dataclasses import replace

from chain.block import VALIDATORS_MAXIMUM, Outcome
from chain.crypto.hashing import ZERO, merkle_root, tagged_hash
from chain.genesis import Params
from chain.receipts import Receipt, RoundClosed, RoundDrawn, RoundOpened, RoundVoid
from chain.state import (
    CLOSED,
    HOLDING,
    OPENED,
    RESULT,
    REVEALING,
    TRAINING,
    VOID,
    Revealed,
    Round,
    State,
    round_key,
)

NOBODY = bytes(VALIDATORS_MAXIMUM // 8)


def advance(state: State, height: int, epoch: int, params: Params) -> list[Receipt]:
    """Move the round on as far as the block at `height` allows, and open the next one when it has ended."""
    receipts: list[Receipt] = []
    current = state.round(state.ledger.round)
    while current is not None and current.phase not in (CLOSED, VOID):
        after = _next(state, current, height, epoch, params)
        if after is None:
            return receipts
        receipts.extend(_announce(state, after))
        state.put(round_key(after.number), after)
        current = after
    if state.ledger.nodes:
        receipts.append(_open(state, height))
    return receipts


def _open(state: State, height: int) -> Receipt:
    """Participants are the nodes registered so far; the mix that fixes their data is a later one."""
    ledger = state.ledger
    number = ledger.round + 1
    state.update_ledger(round=number)
    opened = Round(
        number=number,
        phase=OPENED,
        opened_height=height,
        deadline_height=height + 1,
        participants=ledger.nodes,
        base=ledger.model,
        mix=ZERO,
        set_epoch=0,
        last_claimant=ZERO,
        committed=(),
        revealed=(),
        voted=NOBODY,
        tallies=(),
    )
    state.put(round_key(number), opened)
    return RoundOpened(number, ledger.model)


def _next(state: State, current: Round, height: int, epoch: int, params: Params) -> Round | None:
    """The round in its next phase, or None while it must wait."""
    late = height >= current.deadline_height
    match current.phase:
        case phase if phase == OPENED and height > current.opened_height:
            return _enter(current, TRAINING, height + params.train_blocks, mix=state.ledger.mix)
        case phase if phase == TRAINING and (late or len(current.committed) == current.participants):
            if not current.committed:
                return replace(current, phase=VOID)
            return _enter(current, REVEALING, height + params.reveal_blocks, set_epoch=epoch)
        case phase if phase == REVEALING and (late or len(current.revealed) == len(current.committed)):
            if not current.revealed:
                return replace(current, phase=VOID)
            by_node = tuple(sorted(current.revealed, key=lambda revealed: revealed.node))
            return _enter(current, HOLDING, height + params.hold_blocks, revealed=by_node)
        case phase if phase == HOLDING and (late or _all_held(state, current)):
            if not counted(state, current):
                return replace(current, phase=VOID)
            return _enter(current, RESULT, height + params.result_blocks, voted=NOBODY)
        case phase if phase == RESULT:
            if agreed_outcome(state, current) is not None:
                return replace(current, phase=CLOSED)
            return replace(current, phase=VOID) if late else None
        case _:
            return None


def _enter(current: Round, phase: int, deadline: int, **changes: object) -> Round:
    return replace(current, phase=phase, deadline_height=deadline, **changes)  # type: ignore[arg-type]


def _announce(state: State, after: Round) -> list[Receipt]:
    if after.phase == TRAINING:
        return [RoundDrawn(after.number, after.mix)]
    if after.phase == CLOSED:
        outcome = agreed_outcome(state, after)
        assert outcome is not None
        closed = state.ledger.closed_rounds + 1
        state.update_ledger(model=outcome, ended_round=after.number, closed_rounds=closed)
        return [RoundClosed(after.number, outcome)]
    if after.phase == VOID:
        state.update_ledger(ended_round=after.number)
        return [RoundVoid(after.number)]
    return []


def _total(state: State, current: Round) -> int:
    """Power of the set that attests the round: a sum over up to a thousand members, so ask once for many payloads."""
    return state.validators(current.set_epoch).power if current.revealed else 0


def _quorum(power: int, total: int) -> bool:
    return 3 * power > 2 * total


def _all_held(state: State, current: Round) -> bool:
    total = _total(state, current)
    return all(_quorum(revealed.power, total) for revealed in current.revealed)


def counted(state: State, current: Round) -> tuple[Revealed, ...]:
    """The payloads held by > 2/3 of stake: they are part of the round. By node id."""
    total = _total(state, current)
    return tuple(revealed for revealed in current.revealed if _quorum(revealed.power, total))


def counted_root(state: State, current: Round) -> bytes:
    return merkle_root([revealed.node + revealed.payload_root for revealed in counted(state, current)])


def agreed_outcome(state: State, current: Round) -> Outcome | None:
    """The outcome that > 2/3 of stake signed, if any."""
    total = _total(state, current)
    return next((tally.outcome for tally in current.tallies if _quorum(tally.power, total)), None)


def has_seat(current: Round, node: bytes, params: Params) -> bool:
    """Whether `node` has one of the round's seats: everybody has while they suffice, else by independent lot."""
    if current.participants <= params.seats:
        return True
    lot = int.from_bytes(tagged_hash("seat", current.mix, node)[:8], "big")
    return lot * current.participants < params.seats << 64
