"""Places in the pool of claims for proofs of storage and receipts for data: one of a kind for a node at a time."""

from chain.audit_messages import DataReceipt, StorageProof
from chain.data_receipts import has_fetched
from chain.state import NodeRecord, State, node_key, set_key
from chain.storage import has_proven, storage

ServiceClaim = StorageProof | DataReceipt


def place_of(claim: ServiceClaim) -> tuple[int, bytes]:
    """The epoch or round that it is about, and who has a place for it there."""
    match claim:
        case StorageProof():
            return claim.epoch, claim.node
    return claim.round, claim.trainer


def is_past(claim: ServiceClaim, state: State) -> bool:
    """Whether the ledger has it, or can never take it any more."""
    if isinstance(claim, StorageProof):
        now = storage(state).epoch
        return claim.epoch < now or (claim.epoch == now and has_proven(state, claim.node))
    # A trainer has one place, for one receipt after another: it must be free again as soon as the ledger has the first.
    return claim.round < state.ledger.round or has_fetched(state, claim.trainer, claim.shard)


def is_early(claim: ServiceClaim, state: State) -> bool:
    if isinstance(claim, StorageProof) and not _has_begun(state, claim.epoch):
        return True
    return claim.round > state.ledger.round


def signer_of(claim: ServiceClaim, state: State) -> bytes | None:
    """The node's key. None while the ledger does not know it, or for what concerns no epoch or round of now."""
    if is_early(claim, state) or is_past(claim, state):
        return None
    record = state.find(NodeRecord, node_key(claim.node if isinstance(claim, StorageProof) else claim.trainer))
    return None if record is None else record.public_key


def _has_begun(state: State, epoch: int) -> bool:
    """Whether the epoch's set of validators is known: the last block of the epoch before fixes it."""
    return epoch < 2**64 and state.get(set_key(epoch)) is not None
