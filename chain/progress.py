"""How rounds and audits move on within a block: at its beginning, and after each round input."""

from dataclasses import dataclass
from typing import get_args

from chain.audit_draw import Scene
from chain.audit_inputs import AuditInput
from chain.audits import advance_audit, advance_audits
from chain.block import RoundInput
from chain.genesis import Network
from chain.receipts import Receipt
from chain.round_inputs import apply_round_input
from chain.rounds import advance
from chain.state import AuditName, State


@dataclass(frozen=True, slots=True)
class Progress:
    """The rounds and audits of a block in the making, on a draft of the state."""

    state: State
    height: int
    epoch: int
    network: Network

    def begin(self) -> list[Receipt]:
        """What time brings about. To be called when the block's transactions and proofs are in."""
        audited = advance_audits(self.state, self.height, self.epoch, self.network)
        return audited + advance(self.state, self.height, self.epoch, self.network.params)

    def take(self, item: RoundInput) -> list[Receipt]:
        """Check an input, record it and let it take effect. Raises, and then nothing has changed."""
        apply_round_input(self.state, item, self.network.chain_id, self.network.params)
        receipts: list[Receipt] = []
        if isinstance(item, get_args(AuditInput)):
            scene = Scene(self.state, self.height, self.epoch, self.network)
            receipts = advance_audit(scene, AuditName(item.round, item.node))
        return receipts + advance(self.state, self.height, self.epoch, self.network.params)
