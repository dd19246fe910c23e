"""Uptime: a seat for an epoch, drawn from who was registered before, and one proof. Start at `apply_storage_proof`.

One disk can stand behind any number of names, and nobody can tell. So seats are counted, not names: about `holders` for
each fragment of the model, whatever the number of nodes, and never more proofs than that.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from chain.audit_messages import StorageProof
from chain.crypto import ecdsa
from chain.crypto.hashing import ZERO, tagged_hash
from chain.crypto.merkle_path import is_included, path_root
from chain.errors import BadSignature, InvalidRoundInput
from chain.genesis import Params
from chain.services import FRAGMENTS_KEY, STORAGE_KEY, Fragments, Holder, Storage, holder_key
from chain.state import NodeRecord, State, node_key


@dataclass(frozen=True, slots=True)
class StorageSeat:
    """What a node has to show: a leaf of a fragment, and how many of them there are."""

    fragment: int
    fragments: int
    leaf: int
    leaves: int


def open_storage(state: State, epoch: int, height: int, time_ms: int) -> None:
    """In the last block before an epoch: its mix and its model decide about the epoch's seats."""
    ledger, fragments = state.ledger, state.need(Fragments, FRAGMENTS_KEY)
    opened = Storage(
        epoch=epoch,
        mix=ledger.mix,
        model_root=ledger.model.model_root,
        opened_height=height,
        opened_ms=time_ms,
        nodes=ledger.nodes,
        veterans=ledger.veterans,
        last_holder=ZERO,
        newcomers=0,
        taken=(0,) * len(fragments.leaves),
    )
    state.put(STORAGE_KEY, opened)


def storage(state: State) -> Storage:
    return state.need(Storage, STORAGE_KEY)


def storage_seat(state: State, node: bytes, params: Params) -> StorageSeat | None:
    """The seat that a node has in this epoch, if it has drawn one."""
    record, opened = state.find(NodeRecord, node_key(node)), storage(state)
    if record is None or record.retired_height or not opened.taken:
        return None
    # Who registers later would choose its name to suit the mix, which the proposer of that block knows as it makes it.
    if record.registered_height >= opened.opened_height:
        return None
    digest = tagged_hash("storage", opened.mix, node)
    lot, place = (int.from_bytes(digest[at : at + 8], "big") for at in (0, 8))
    seats, candidates = _seats_of(opened, is_newcomer(record), params)
    if candidates > seats and lot * candidates >= seats << 64:
        return None
    fragment = place % len(opened.taken)
    leaves = state.need(Fragments, FRAGMENTS_KEY).leaves[fragment]
    leaf = int.from_bytes(tagged_hash("storage-leaf", opened.mix, node)[:8], "big") % leaves
    return StorageSeat(fragment, len(opened.taken), leaf, leaves)


def is_newcomer(record: NodeRecord) -> bool:
    """Whether it draws for the newcomers' seats: no work of it has counted, or none stood an audit since one failed."""
    return not record.counted_rounds or not record.audited_rounds


def _seats_of(opened: Storage, newcomer: bool, params: Params) -> tuple[int, int]:
    """How many seats the newcomers (or the others) draw for, and how many they are. Few nodes have a seat each."""
    seats = params.holders * len(opened.taken)
    if opened.nodes <= seats:
        return seats, opened.nodes
    newcomers = opened.nodes - opened.veterans
    theirs = min(seats // 4, newcomers)
    return (theirs, max(newcomers, 1)) if newcomer else (seats - theirs, opened.veterans)


def is_storage_free(state: State, node: bytes, seat: StorageSeat, params: Params) -> bool:
    """Whether a proof for this seat would still be taken: lots give a seat to a few too many at times."""
    opened, record = storage(state), state.need(NodeRecord, node_key(node))
    is_short = opened.nodes > params.holders * len(opened.taken)
    if is_short and is_newcomer(record) and opened.newcomers >= _seats_of(opened, True, params)[0]:
        return False
    return opened.taken[seat.fragment] < params.holders


def has_proven(state: State, node: bytes) -> bool:
    """Whether a proof of this epoch is on the ledger."""
    return state.find(Holder, holder_key(node)) is not None


def apply_storage_proof(state: State, item: StorageProof, chain_id: bytes, params: Params) -> None:
    """Record a proof of this epoch. Raises InvalidRoundInput or BadSignature, and then nothing has changed."""
    opened, name = storage(state), f"node {item.node.hex()[:16]}"
    if item.epoch != opened.epoch or item.round > state.ledger.round:
        raise InvalidRoundInput(f"a storage proof of epoch {item.epoch} and round {item.round} in epoch {opened.epoch}")
    seat = storage_seat(state, item.node, params)
    if seat is None:
        raise InvalidRoundInput(f"{name} has drawn no storage seat in epoch {opened.epoch}")
    if has_proven(state, item.node):
        raise InvalidRoundInput(f"{name} has already proven its storage in epoch {opened.epoch}")
    if not is_storage_free(state, item.node, seat, params):
        raise InvalidRoundInput(f"the seats that {name} drew for are taken: fragment {seat.fragment}")
    root = path_root(item.leaf, seat.leaf, seat.leaves, item.leaf_path)
    if root is None or not is_included(root, seat.fragment, seat.fragments, item.fragment_path, opened.model_root):
        raise InvalidRoundInput(f"{name} does not show leaf {seat.leaf} of fragment {seat.fragment} of the model")
    record = state.need(NodeRecord, node_key(item.node))
    if not ecdsa.verify(record.public_key, item.digest(chain_id), item.signature):
        raise BadSignature(f"{name} did not sign its storage proof of epoch {opened.epoch}")
    _seat(state, item.node, record, seat)


def _seat(state: State, node: bytes, record: NodeRecord, seat: StorageSeat) -> None:
    opened = storage(state)
    taken = tuple(count + (place == seat.fragment) for place, count in enumerate(opened.taken))
    newcomers = opened.newcomers + is_newcomer(record)
    state.put(holder_key(node), Holder(record.wallet, opened.last_holder))
    state.put(STORAGE_KEY, replace(opened, last_holder=node, newcomers=newcomers, taken=taken))


def holders_of(state: State) -> Iterator[tuple[bytes, Holder]]:
    """(node, record) of all that have proven in this epoch, the last one first."""
    node = storage(state).last_holder
    while node != ZERO:
        holder = state.need(Holder, holder_key(node))
        yield node, holder
        node = holder.previous


def epoch_ms(state: State, time_ms: int, params: Params) -> int:
    """How long the epoch that ends now has lasted, at most as long as an epoch may: a ledger may have stood still."""
    return min(time_ms - storage(state).opened_ms, params.epoch_blocks * params.block_interval_max_ms)
