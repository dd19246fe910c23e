"""The state of a running node in one flat object, for `status`, the API and the screen. Amounts are decimal strings."""

from dataclasses import asdict, dataclass

from chain.block import PHASES
from node.node import Node


@dataclass(frozen=True, slots=True)
class Status:
    """Losses are in nats per token; None: not measured yet."""

    chain_id: str
    phase: str
    height: int
    state_root: str
    minted_nanos: str
    burned_nanos: str
    circulating_nanos: str
    round: int
    round_phase: str
    closed_rounds: int
    segments_proven: int
    segments: int
    outer_root: str
    model_root: str
    parameters: int
    validation_loss: float | None
    first_validation_loss: float | None
    bigram_loss: float | None
    training_loss: float | None
    tokens_trained: int
    tokens_per_second: float
    address: str
    node: str
    balance_nanos: str
    vesting_nanos: str
    peers: int
    device: str
    self_verified: bool
    step: int  # of the inner steps of the round in training
    steps: int
    waiting_transactions: int
    uptime_seconds: int
    total_uptime_seconds: int  # in all runs on this data directory
    trainer_restarts: int
    memory_bytes: int
    open_files: int
    disk_free_bytes: int | None
    disk_low: bool


def status_of(node: Node) -> Status:
    """What is true at the last finalized block, and what trainer and jobs said last. Reads memory only."""
    facts, live, work, readings = node.facts, node.live, node.driver.work, node.readings
    ledger, supply, tip = facts.ledger, facts.supply, facts.tip
    params = node.network.params
    return Status(
        chain_id=node.network.chain_id.hex(),
        phase=PHASES[tip.phase],
        height=tip.height,
        state_root=tip.state_root.hex(),
        minted_nanos=str(supply.minted),
        burned_nanos=str(supply.burned),
        circulating_nanos=str(supply.circulating),
        round=ledger.round,
        round_phase=facts.round_phase,
        closed_rounds=ledger.closed_rounds,
        segments_proven=len(work.segments) if work.round == ledger.round else 0,
        segments=params.segments,
        outer_root=ledger.model.outer_root.hex(),
        model_root=ledger.model.model_root.hex(),
        parameters=node.learning.parameters,
        validation_loss=node.history.last,
        first_validation_loss=node.history.first,
        bigram_loss=live.bigram_loss,
        training_loss=live.training_loss,
        tokens_trained=ledger.tokens,
        tokens_per_second=round(live.tokens_per_second, 1),
        address=node.address_text,
        node=node.driver.node.hex(),
        balance_nanos=str(facts.balance_nanos),
        vesting_nanos=str(facts.vesting_nanos),
        peers=0,
        device=live.device,
        self_verified=len(node.network.validators) == 1,
        step=min(live.step, params.inner_steps) if facts.round_phase == "training" else 0,
        steps=params.inner_steps,
        waiting_transactions=len(node.mempool),
        uptime_seconds=int(readings.uptime_seconds),
        total_uptime_seconds=int(readings.total_seconds),
        trainer_restarts=readings.trainer_restarts,
        memory_bytes=readings.memory_bytes,
        open_files=readings.open_files,
        disk_free_bytes=readings.disk_free_bytes,
        disk_low=readings.disk_low,
    )


def as_json(status: Status) -> dict[str, object]:
    return asdict(status)
