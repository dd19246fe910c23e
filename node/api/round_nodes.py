"""Who does what in a round whose records are there: nodes, payloads, and the votes on its result."""

from collections.abc import Iterator

from chain.crypto.hashing import ZERO
from chain.payouts import claims_of
from chain.rounds import counted
from chain.state import CLOSED, HOLDING, RESULT, REVEALING, TRAINING, Claim, Round, State, claim_key
from node.api.block_answers import Json
from node.round_now import power_of_round

NODES_TOLD = 64  # of a round: all that committed, for there are no more seats; then those who proved work last
RESULTS_TOLD = 8


def nodes_of(state: State, current: Round) -> list[Json]:
    """What each node has proven and said, by node id."""
    revealed = {payload.node for payload in current.revealed}
    held = {payload.node for payload in counted(state, current)}
    found = []
    for node, claim in sorted(_claims(state, current)):
        committed = claim.commitment != ZERO
        awaited = {
            TRAINING: not committed,
            REVEALING: committed and node not in revealed,
            HOLDING: node in revealed and node not in held,
        }
        told = node_fields(node, len(claim.states), committed, node in revealed)
        found.append(told | {"awaited": awaited.get(current.phase, False)})
    return found


def _claims(state: State, current: Round) -> Iterator[tuple[bytes, Claim]]:
    """Of those who committed, then of the others, as many as are told."""
    left = NODES_TOLD - len(current.committed)
    for node in current.committed:
        yield node, state.need(Claim, claim_key(current.number, node))
    for node, claim in claims_of(state, current.number):
        if left <= 0:
            return
        if claim.commitment == ZERO:
            left -= 1
            yield node, claim


def node_fields(node: bytes, segments: int, committed: bool, revealed: bool) -> Json:
    return {"node": node.hex(), "segments": segments, "committed": committed, "revealed": revealed, "awaited": False}


def holdings_of(state: State, current: Round) -> dict[bytes, int]:
    """Which share of the power holds each payload, in basis points; nothing before anybody can have said so."""
    total = power_of_round(state, current)
    if current.phase < HOLDING or not total:
        return {}
    return {payload.node: 10_000 * payload.power // total for payload in current.revealed}


def results_of(state: State, current: Round) -> list[Json]:
    """What the validators have signed, the most power first."""
    total = power_of_round(state, current)
    if current.phase not in (RESULT, CLOSED) or not total:
        return []
    tallies = sorted(current.tallies, key=lambda tally: tally.power, reverse=True)[:RESULTS_TOLD]
    return [
        {
            "outer_root": tally.outcome.outer_root.hex(),
            "model_root": tally.outcome.model_root.hex(),
            "power_nanos": str(tally.power),
            "share_basis_points": 10_000 * tally.power // total,
        }
        for tally in tallies
    ]
