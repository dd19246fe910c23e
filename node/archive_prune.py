"""Pruning: a node that is no archive forgets the bodies of old blocks and the payloads of released rounds.

Kept: every header and certificate, the index of blocks and of rounds, what wallets earned day by day, the whole state
and its tree, the bodies of the running epoch and of the last epochs before it, the bodies since the opening of the
oldest round whose rewards are not released, and the payloads of such rounds. What is pruned is noted in the ledger
first: a run that is cut short leaves a ledger that says so, and the next run ends it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from chain.block import Block, PayloadReveal
from chain.transition import epoch_of
from node.archive_stored import Progress, silent
from node.errors import StoreError, disk_advice
from node.payload_store import PayloadStore
from node.store import PRUNED, Store, body_entries, number, receipt_entries

BATCH_BLOCKS = 256  # of one write: a running node's own writes wait for no longer than that


@dataclass(slots=True)
class Pruned:
    """What a run did. `height`: the bodies of blocks up to here are gone."""

    height: int
    blocks: int = 0
    payloads: list[str] = field(default_factory=list)
    payload_bytes: int = 0


def last_prunable(store: Store, keep_epochs: int) -> int:
    """The highest block whose body a node can do without; 0 if there is none."""
    params, ledger = store.network.params, store.state().ledger
    height = max(0, (epoch_of(max(store.height, 1), params) - keep_epochs) * params.epoch_blocks)
    oldest = store.state().round(ledger.released_round + 1)
    return height if oldest is None else min(height, oldest.opened_height - 1)


def prune(store: Store, payloads: PayloadStore, last: int, progress: Progress = silent) -> Pruned:
    """Forget the bodies of blocks up to `last`, which is prunable. The database is not compacted. Raises StoreError."""
    done = Pruned(max(last, store.pruned_height))
    if done.height == 0:
        return done
    if done.height > store.pruned_height:
        store.database.write({PRUNED: number(done.height)})
    _prune_payloads(store, payloads, done)
    for blocks in _batches(store, done.height):
        changes: dict[bytes, bytes | None] = {}
        for block in blocks:
            height = number(block.header.height)
            changes |= {b"b" + height: None, b"e" + height: block.header.encode()}
            changes |= dict.fromkeys(body_entries(block, store.network))
            changes |= dict.fromkeys(receipt_entries(store.database, block.header.height))
        store.database.write(changes)
        done.blocks += len(blocks)
        progress(blocks[-1].header.height, done.height)
    return done


def prune_beside(store: Store, payloads: PayloadStore, keep_epochs: int) -> Pruned | None:
    """Prune while the node makes blocks, if there is something new to prune. Raises StoreError."""
    frozen = store.database.snapshot()
    try:
        # The height and the oldest round must be of one moment.
        last = last_prunable(Store(frozen, store.network), keep_epochs)
    finally:
        frozen.close()
    if last <= store.pruned_height:
        return None
    done = prune(store, payloads, last)
    if store.database.name == "leveldb":
        # LMDB cannot shrink its file under a running node; it uses the space again.
        store.database.compact()
    return done


def _batches(store: Store, last: int) -> Iterator[list[Block]]:
    """The blocks up to a height whose bodies are there. Each batch is gone when the next is read."""
    while True:
        blocks: list[Block] = []
        for key, data in store.database.items(b"b"):
            if int.from_bytes(key[1:], "big") > last or len(blocks) == BATCH_BLOCKS:
                break
            blocks.append(Block.decode(data))
        if not blocks:
            return
        yield blocks


def _prune_payloads(store: Store, payloads: PayloadStore, done: Pruned) -> None:
    """Remove what was revealed for rounds that are released: until then bodies stay too, so every reveal is seen."""
    released = store.state().ledger.released_round
    for _, data in store.database.items(b"b"):
        for item in Block.decode(data).body.rounds:
            if isinstance(item, PayloadReveal) and item.round <= released:
                remove_payload(payloads, item.payload_root, done)


def remove_payload(payloads: PayloadStore, root: bytes, done: Pruned) -> None:
    """Remove a payload, if it is here, and count it. Raises StoreError."""
    path = payloads.path(root)
    try:
        size = path.stat().st_size
        path.unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"cannot remove the payload {path}: {disk_advice(error)}") from error
    done.payloads.append(path.name)
    done.payload_bytes += size
