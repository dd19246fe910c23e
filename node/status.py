"""The state of a running node in one flat object, for `status`, the API and the screen. Amounts are decimal strings."""

from dataclasses import asdict, dataclass
from typing import Any

from chain.block import PHASES
from chain.state import ROUND_PHASES, TRAINING
from node.node import Node
from node.round_history import finite
from node.round_now import Own, pace_ms, round_line, seconds_left


@dataclass(frozen=True, slots=True)
class Status:
    """Losses are in nats per token; None: not measured yet. Powers are nanos of stake or phantom power."""

    chain_id: str
    phase: str
    height: int
    state_root: str
    minted_nanos: str
    burned_nanos: str
    circulating_nanos: str
    total_bonded_nanos: str
    total_unbonding_nanos: str
    epoch: int  # of the next block
    validators: int  # in the set of that epoch
    total_power_nanos: str
    phantom_nanos: str  # power of each founder
    active_maximum_nanos: str  # the most active stake that there ever was
    stake_target_nanos: str  # active stake at which phantom power is gone
    latched: bool  # phantom power is gone for ever
    sunset_height: int  # from which on founders have less than half of the power of real stake
    round: int
    round_phase: str
    round_line: str  # the newest round at one glance, for people
    round_deadline_height: int  # at which the phase ends at the latest
    round_blocks_left: int  # until then; 0 when the round has ended
    round_seconds_left: int  # the same at the pace of the latest blocks
    round_participants: int
    round_awaited: int  # nodes that the training phase still waits for
    round_committed: int
    round_revealed: int
    round_held: int  # payloads that more than two thirds of the power hold
    closed_rounds: int
    segments_proven: int
    segments: int
    outer_root: str
    model_root: str
    parameters: int
    validation_loss: float | None
    first_validation_loss: float | None
    previous_validation_loss: float | None  # before `validation_loss`: what the last round changed
    bigram_loss: float | None
    training_loss: float | None
    tokens_trained: int
    tokens_per_second: float
    address: str
    node: str
    balance_nanos: str
    vesting_nanos: str
    validator: str  # what this node is to the set of validators, see `node.facts.STANDINGS`
    bonded_nanos: str
    unbonding_nanos: str
    power_nanos: str
    peers: int
    listen: str  # HOST:PORT where others can connect; empty: this node only dials out
    peer_height: int  # the highest block that a peer says is final; 0: nobody has said anything
    checkpoint: str  # HEIGHT:HASH of the last block that ended an epoch, for --checkpoint elsewhere; empty: none yet
    sync_refusal: str  # why this node does not catch up although others are ahead; empty: nothing is in the way
    model_trouble: str  # why the ledger's model is not here, so that this node does not train on it; empty: it is
    round_ms: int | None  # from the end of a round to the end of the next one, median of the newest
    finality_ms: int | None  # from a block's time until it was final here, median of the newest
    device: str
    self_verified: bool
    step: int  # of the inner steps of the round in training
    steps: int
    waiting_transactions: int
    audits_open: int  # of anybody's rounds
    audits_of_us: int  # of this node's rounds
    audits_for_us: int  # that this node has been drawn for, or is asked in, and has not answered yet
    audits_answered: int  # findings and answers of this node since its start
    audit_faults: int  # audits since its start in which this validator gave no verdict in time, or a wrong one
    uptime_seconds: int
    total_uptime_seconds: int  # in all runs on this data directory
    trainer_restarts: int
    memory_bytes: int
    open_files: int
    disk_free_bytes: int | None
    disk_low: bool


def status_of(node: Node) -> Status:
    """What is true at the last finalized block, and what trainer and jobs said last. Reads memory only."""
    readings, membership = node.readings, node.membership
    return Status(
        **_ledger(node),
        **_round(node),
        **_stake(node),
        **_learning(node),
        peers=0 if membership is None else membership.peers,
        listen="" if membership is None else membership.listens_at,
        peer_height=0 if membership is None else membership.peer_height,
        checkpoint=node.checkpoint,
        sync_refusal="" if membership is None else membership.refusal,
        model_trouble=model_trouble(node),
        round_ms=node.history.round_ms,
        finality_ms=readings.finality_ms,
        waiting_transactions=len(node.mempool),
        audits_open=node.audits.driver.open_audits,
        audits_of_us=len(node.audits.driver.own),
        audits_for_us=node.audits.driver.tasks,
        audits_answered=node.audits.given,
        audit_faults=node.audits.faults,
        uptime_seconds=int(readings.uptime_seconds),
        total_uptime_seconds=int(readings.total_seconds),
        trainer_restarts=readings.trainer_restarts,
        memory_bytes=readings.memory_bytes,
        open_files=readings.open_files,
        disk_free_bytes=readings.disk_free_bytes,
        disk_low=readings.disk_low,
    )


def model_trouble(node: Node) -> str:
    """Why this node does not train on the ledger's model; empty if that is here."""
    ledger = node.facts.ledger
    if node.attendance.trouble or node.outcomes.model_root == ledger.model.outer_root:
        return node.attendance.trouble
    return f"the model after round {ledger.ended_round} is not here yet"


def _ledger(node: Node) -> dict[str, Any]:
    """Blocks, money and rounds."""
    facts = node.facts
    ledger, supply, tip = facts.ledger, facts.supply, facts.tip
    return {
        "chain_id": node.network.chain_id.hex(),
        "phase": PHASES[tip.phase],
        "height": tip.height,
        "state_root": tip.state_root.hex(),
        "minted_nanos": str(supply.minted),
        "burned_nanos": str(supply.burned),
        "circulating_nanos": str(supply.circulating),
        "round": ledger.round,
        "closed_rounds": ledger.closed_rounds,
        "outer_root": ledger.model.outer_root.hex(),
        "model_root": ledger.model.model_root.hex(),
        "tokens_trained": ledger.tokens,
        "address": node.address_text,
        "node": node.driver.node.hex(),
        "balance_nanos": str(facts.balance_nanos),
        "vesting_nanos": str(facts.vesting_nanos),
    }


def _round(node: Node) -> dict[str, Any]:
    """The newest round."""
    now, pace = node.facts.round, pace_ms(tuple(node.readings.block_times_ms), node.network.params)
    return {
        "round_phase": node.facts.round_phase,
        "round_line": round_line(now, own_part(node, pace)),
        "round_deadline_height": 0 if now is None else now.deadline_height,
        "round_blocks_left": 0 if now is None else now.blocks_left,
        "round_seconds_left": seconds_left(now, pace),
        "round_participants": 0 if now is None else now.participants,
        "round_awaited": 0 if now is None else now.awaited,
        "round_committed": 0 if now is None else now.committed,
        "round_revealed": 0 if now is None else now.revealed,
        "round_held": 0 if now is None else now.held,
    }


def own_part(node: Node, pace: int) -> Own:
    """What this node knows of the round beside the ledger."""
    peer_height = 0 if node.membership is None else node.membership.peer_height
    steps = 0 if node.trainer is None else node.network.params.inner_steps
    behind = max(0, peer_height - node.facts.tip.height)
    is_without_model = bool(node.attendance.trouble)
    return Own(own_step(node), steps, pace, node.history.losses, behind, is_without_model)


def own_step(node: Node) -> int:
    """Inner steps that this node's trainer has done in the round in training."""
    live, facts = node.live, node.facts
    is_on = facts.round_phase == ROUND_PHASES[TRAINING] and live.round == facts.ledger.round
    return min(live.step, node.network.params.inner_steps) if is_on else 0


def _stake(node: Node) -> dict[str, Any]:
    """Who carries the chain, and this node's part in it."""
    facts, params = node.facts, node.network.params
    return {
        "total_bonded_nanos": str(facts.supply.bonded),
        "total_unbonding_nanos": str(facts.supply.unbonding),
        "epoch": facts.epoch,
        "validators": facts.validators,
        "total_power_nanos": str(facts.total_power),
        "phantom_nanos": str(facts.staking.phantom),
        "active_maximum_nanos": str(facts.ledger.active_maximum),
        "stake_target_nanos": str(params.stake_target_nanos),
        "latched": facts.staking.latched,
        "sunset_height": params.sunset_height,
        "validator": facts.standing,
        "bonded_nanos": str(facts.bonded_nanos),
        "unbonding_nanos": str(facts.unbonding_nanos),
        "power_nanos": str(facts.power),
        "self_verified": facts.validators == 1,
    }


def _learning(node: Node) -> dict[str, Any]:
    """The model and the round in training."""
    live, work, params = node.live, node.driver.work, node.network.params
    return {
        "segments_proven": len(work.segments) if work.round == node.facts.ledger.round else 0,
        "segments": params.segments,
        "parameters": node.learning.parameters,
        "validation_loss": finite(node.history.last),
        "first_validation_loss": finite(node.history.first),
        "previous_validation_loss": finite(node.history.losses[0]) if len(node.history.losses) > 1 else None,
        "bigram_loss": finite(live.bigram_loss),
        "training_loss": finite(live.training_loss),
        "tokens_per_second": round(live.tokens_per_second, 1),
        "device": live.device,
        "step": own_step(node),
        "steps": params.inner_steps,
    }


def as_json(status: Status) -> dict[str, object]:
    return asdict(status)
