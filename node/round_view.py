"""What people may want to know of the round under way and of the last outer step, as this node sees it.

Start reading at `round_view`. Never read by a rule.
"""

from dataclasses import dataclass

from chain.crypto.hashing import ZERO
from chain.payouts import claims_of
from chain.rounds import counted
from chain.state import CLOSED, RESULT, ROUND_PHASES, Round, State
from node.attendance import claimed_of
from node.outcomes import Outcomes
from node.round_history import RoundHistory


@dataclass(frozen=True, slots=True)
class Part:
    """One node's part in a round. `weight_ppm`: what it weighed in the last outer step, in millionths of the whole."""

    node: bytes
    segments: int  # proven on the ledger
    is_committed: bool
    payload_root: bytes | None  # from the reveal on, like the next two
    payload_bytes: int | None
    steps: int | None
    is_held: bool | None  # here, and sound; None: this node has not looked, as who does not attest the round never does
    is_counted: bool | None  # more than two thirds hold it; None: not known yet
    weight_ppm: int


@dataclass(frozen=True, slots=True)
class LastStep:
    """The step that led to the model that this node has. Losses as it measured them; None: it has not."""

    round: int
    weights_ppm: tuple[tuple[bytes, int], ...]  # by node, those that weighed something
    aggregate_bytes: int
    loss_before: float | None
    loss_after: float | None


@dataclass(frozen=True, slots=True)
class RoundView:
    """Round 0 has no phase: nobody is registered yet. Heights are those of blocks."""

    round: int
    phase: str
    deadline_height: int
    participants: int
    awaited: int  # nodes that the training phase waits for
    arrived: int  # of them, those that have committed
    parts: tuple[Part, ...]  # of all that have proven anything, by node id
    last_step: LastStep


def round_view(state: State, outcomes: Outcomes, history: RoundHistory) -> RoundView:
    """The newest round in `state`, which is final."""
    current = state.round(state.ledger.round)
    step = _last_step(outcomes, history)
    if current is None:
        return RoundView(0, ROUND_PHASES[0], 0, 0, 0, 0, (), step)
    return RoundView(
        round=current.number,
        phase=ROUND_PHASES[current.phase],
        deadline_height=current.deadline_height,
        participants=current.participants,
        awaited=current.awaited.nodes,
        arrived=current.awaited.arrived,
        parts=_parts(state, current, outcomes, dict(step.weights_ppm)),
        last_step=step,
    )


def _parts(state: State, current: Round, outcomes: Outcomes, weights: dict[bytes, int]) -> tuple[Part, ...]:
    revealed = {each.node: each for each in current.revealed}
    is_known = current.phase in (RESULT, CLOSED)
    included = {each.node for each in counted(state, current)} if is_known else set()
    found = []
    for node, claim in claims_of(state, current.number):
        shown = revealed.get(node)
        found.append(
            Part(
                node=node,
                segments=len(claim.states),
                is_committed=claim.commitment != ZERO,
                payload_root=None if shown is None else shown.payload_root,
                payload_bytes=None if shown is None else shown.payload_bytes,
                steps=None if shown is None else shown.steps,
                is_held=None if shown is None else outcomes.holds(claimed_of(shown)),
                is_counted=node in included if is_known else None,
                weight_ppm=weights.get(node, 0),
            )
        )
    return tuple(sorted(found, key=lambda part: part.node))


def _last_step(outcomes: Outcomes, history: RoundHistory) -> LastStep:
    number, model = outcomes.model_round, outcomes.model
    losses = {entry.round: entry.validation_loss for entry in history.entries}
    before = max((each for each in losses if each < number), default=None)
    trust = () if model is None else model.trust
    return LastStep(
        round=number,
        weights_ppm=tuple((each.node, each.weight_ppm) for each in trust if each.weight_ppm),
        aggregate_bytes=0 if model is None else len(model.aggregate),
        loss_before=None if before is None else losses[before],
        loss_after=losses.get(number),
    )
