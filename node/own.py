"""What a node brings to its protocols, and who hears what they find out."""

from collections.abc import Callable
from dataclasses import dataclass

from chain.crypto.votes import Evidence
from chain.transition import Applied
from consensus.messages import Certificate
from consensus.state import Epoch
from node.identity import Identity
from node.ledger_view import LedgerView
from node.producer import Producer
from node.sign_state import SignState


@dataclass(slots=True)
class Hooks:
    """Who hears what. `on_final` hears of every final block, after it is on disk."""

    on_final: Callable[[Applied], None]
    report: Callable[[Evidence], None] = lambda evidence: None
    accuse: Callable[[Certificate, Certificate], None] = lambda first, second: None
    on_epoch: Callable[[Epoch], None] = lambda epoch: None


@dataclass(slots=True)
class Own:
    """What makes this node the one it is."""

    identity: Identity
    view: LedgerView
    producer: Producer
    sign_state: SignState
    has_peers: bool  # or may have some
