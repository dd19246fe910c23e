"""Who does what in a round whose records are there: nodes, payloads, and the votes on its result."""

from chain.awaited import is_awaited, is_back
from chain.crypto.hashing import ZERO
from chain.genesis import Params
from chain.payouts import claims_of
from chain.state import (
    AUDIT_PHASES,
    CLOSED,
    HOLDING,
    RESULT,
    REVEALING,
    TRAINING,
    Claim,
    NodeRecord,
    Round,
    State,
    claim_key,
    node_key,
)
from node.api.block_answers import Json
from node.round_now import power_of_round, voted_power

NODES_TOLD = 128  # of a round, beside those that committed: their number is that of the seats at most
RESULTS_TOLD = 8


def nodes_of(state: State, current: Round, params: Params) -> list[Json]:
    """What each node has proven and said, by node id: see `_named`."""
    revealed = {payload.node for payload in current.revealed}
    found = []
    for node, claim in sorted(_named(state, current).items()):
        committed = claim is not None and claim.commitment != ZERO
        segments = 0 if claim is None else len(claim.states)
        told = node_fields(node, segments, committed, node in revealed)
        found.append(told | _history(state, current, node) | {"awaited": _is_awaited(state, current, told, params)})
    return found


def _history(state: State, current: Round, node: bytes) -> Json:
    """How its audit of this round stands, and what audits have made of the node so far."""
    audit, record = state.audit(current.number, node), state.find(NodeRecord, node_key(node))
    return {
        "audit": None if audit is None else AUDIT_PHASES[audit.phase],
        "audited_rounds": None if record is None else record.audited_rounds,
        "suspended_round": None if record is None else record.suspended_round,
    }


def _named(state: State, current: Round) -> dict[bytes, Claim | None]:
    """Who committed; who did in the round before and is awaited; and of the others those that proved work last."""

    def claim_of(node: bytes) -> Claim | None:
        return state.find(Claim, claim_key(current.number, node))

    named = {node: claim_of(node) for node in current.committed}
    before = state.round(current.number - 1)
    if current.phase == TRAINING and before is not None:
        for node in before.committed:
            if node not in named and _is_missed(state, current, node):
                named[node] = claim_of(node)
    # What is left of a released round is not a whole list any more.
    others = claims_of(state, current.number) if current.number > state.ledger.released_round else ()
    for node, claim in others:
        if len(named) >= NODES_TOLD + len(current.committed):
            break
        named.setdefault(node, claim)
    return named


def _is_missed(state: State, current: Round, node: bytes) -> bool:
    """Whether the training phase waits from its opening on for a node that has not committed."""
    record = state.find(NodeRecord, node_key(node))
    return record is not None and is_awaited(current, record)


def _is_awaited(state: State, current: Round, told: Json, params: Params) -> bool:
    if current.phase == TRAINING:
        node = bytes.fromhex(told["node"])
        is_missed = _is_missed(state, current, node) or is_back(state, current, node, params)
        return not told["committed"] and is_missed
    return current.phase == REVEALING and bool(told["committed"]) and not told["revealed"]


def node_fields(node: bytes, segments: int, committed: bool, revealed: bool) -> Json:
    said = {"node": node.hex(), "segments": segments, "committed": committed, "revealed": revealed, "awaited": False}
    return said | {"audit": None, "audited_rounds": None, "suspended_round": None}


def holdings_of(state: State, current: Round) -> dict[bytes, int]:
    """Which share of the power holds each payload, in basis points; nothing before anybody can have said so."""
    total, tallies = power_of_round(state, current), current.availability.tallies
    if current.phase < HOLDING or not total:
        return {}
    # The subjects of the poll are the payloads in their order.
    return {each.node: 10_000 * tally.power // total for each, tally in zip(current.revealed, tallies, strict=False)}


def results_of(state: State, current: Round) -> list[Json]:
    """What the validators have signed, the most power first."""
    total = power_of_round(state, current)
    if current.phase not in (RESULT, CLOSED) or not total:
        return []
    signed = zip(current.outcomes, current.result.tallies, strict=True)
    return [
        {
            "outer_root": outcome.outer_root.hex(),
            "model_root": outcome.model_root.hex(),
            "power_nanos": str(tally.power),
            "share_basis_points": 10_000 * tally.power // total,
        }
        for outcome, tally in sorted(signed, key=lambda each: each[1].power, reverse=True)[:RESULTS_TOLD]
    ]


def voted_share(state: State, current: Round) -> int | None:
    """Which share of the power has voted in the phase, in basis points; None where there is nothing to vote on."""
    total = power_of_round(state, current)
    is_asked = current.phase in (HOLDING, RESULT, CLOSED) and total
    return 10_000 * voted_power(state, current) // total if is_asked else None
