"""The epoch that follows from the ledger's tip: who votes in it, and where it stands."""

from chain.transition import epoch_of
from consensus.state import Epoch, Root, Timing
from node.certificates import committee_of
from node.ledger_view import LedgerView


def epoch_at_tip(view: LedgerView, public_key: bytes) -> tuple[Epoch, Root | None]:
    """The epoch of the next block for the validator with this key, and its last final block; None: it has none yet."""
    params, tip = view.network.params, view.tip
    number = epoch_of(tip.height + 1, params)
    committee = committee_of(view.state(), number)
    first = number * params.epoch_blocks + 1
    epoch = Epoch(
        chain_id=view.network.chain_id,
        number=number,
        committee=committee,
        us=committee.place_of(public_key),
        anchor_hash=tip.hash if tip.height < first else view.store.hash_at(first - 1),
        anchor_height=first - 1,
        last_height=first - 1 + params.epoch_blocks,
        timing=Timing(patience_ms=params.block_interval_max_ms),
    )
    return epoch, Root(tip.view, tip.hash, tip.height) if tip.height >= first else None
