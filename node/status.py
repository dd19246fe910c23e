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


def status_of(node: Node) -> Status:
    """What is true at the last finalized block, and what the trainer said last."""
    facts, live, work = node.facts, node.live, node.driver.work
    ledger, supply, tip = facts.ledger, facts.supply, facts.tip
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
        segments=node.network.params.segments,
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
    )


def as_json(status: Status) -> dict[str, object]:
    return asdict(status)
