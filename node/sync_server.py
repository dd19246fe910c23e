"""Answers those who are behind and light clients: blocks, ends of epochs, records with proofs, the newest snapshot.

All reading happens in a lane of its own on a frozen view of the database, so consensus waits for nothing here. A peer
has one question of a kind open at a time; what it asks meanwhile is not answered.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from chain.block import validators_root
from chain.codec import Var
from chain.state import ValidatorSet, set_key
from chain.transition import epoch_of
from chain.tree import prove
from network.kinds import (
    EPOCHS,
    EPOCHS_REQUEST,
    RANGE,
    RANGE_REQUEST,
    SNAPSHOT,
    SNAPSHOT_REQUEST,
    STATE,
    STATE_REQUEST,
)
from network.peer import Peer
from node.parts import Handler
from node.runtime import Runtime
from node.set_chain import CERTIFICATE_BYTES_MAXIMUM, EpochEnd, Members
from node.store import Store, number
from node.sync_messages import (
    ENDS_BYTES,
    ENDS_MAXIMUM,
    RANGE_BLOCKS_MAXIMUM,
    RANGE_BYTES,
    RANGE_BYTES_MAXIMUM,
    RECORDS_BYTES,
    EpochRange,
    EpochsRequest,
    ProvenRecord,
    ProvenState,
    RangeRequest,
    SnapshotOffer,
    SnapshotRequest,
    StateRequest,
)

SERVING = "serving"  # a lane of `Runtime.offload`
Answer = Callable[[Store], bytes]


class Offers(Protocol):
    """Who knows the snapshot that this node serves: its height and the pages root of its manifest."""

    def newest(self) -> tuple[int, bytes] | None: ...


class SyncServer:
    """A part of the node. `offers` None: no snapshots are served."""

    def __init__(self, runtime: Runtime, store: Store, offers: Offers | None = None) -> None:
        self.runtime = runtime
        self.store = store
        self.offers = offers
        self._open: set[tuple[bytes, int]] = set()

    def handlers(self) -> Mapping[int, Handler]:
        return {
            RANGE_REQUEST: self._on_range_request,
            EPOCHS_REQUEST: self._on_epochs_request,
            STATE_REQUEST: self._on_state_request,
            SNAPSHOT_REQUEST: self._on_snapshot_request,
        }

    def joined(self, peer: Peer) -> None:
        """Nothing to say before it asks."""

    def left(self, key: bytes) -> None:
        """What is being read for it goes nowhere."""

    def _on_range_request(self, key: bytes, payload: bytes) -> None:
        asked = RangeRequest.decode(payload)
        self._answer(key, RANGE, lambda store: range_of(store, asked))

    def _on_epochs_request(self, key: bytes, payload: bytes) -> None:
        asked = EpochsRequest.decode(payload)
        self._answer(key, EPOCHS, lambda store: epochs_of(store, asked).encode())

    def _on_state_request(self, key: bytes, payload: bytes) -> None:
        asked = StateRequest.decode(payload)
        self._answer(key, STATE, lambda store: state_of(store, asked).encode())

    def _on_snapshot_request(self, key: bytes, payload: bytes) -> None:
        asked = SnapshotRequest.decode(payload)
        height, root = (self.offers.newest() if self.offers else None) or (0, bytes(32))
        self.runtime.send(key, SNAPSHOT, SnapshotOffer(asked.number, height, root).encode())

    def _answer(self, key: bytes, kind: int, read: Answer) -> None:
        if (key, kind) in self._open:
            return
        self._open.add((key, kind))

        def send(payload: bytes) -> None:
            self._open.discard((key, kind))
            self.runtime.send(key, kind, payload)

        self.runtime.offload(SERVING, lambda: _on_frozen(self.store, read), send)


def _on_frozen(store: Store, read: Answer) -> bytes:
    """What is final now, whatever is written meanwhile."""
    frozen = store.database.snapshot()
    try:
        return read(Store(frozen, store.network))
    finally:
        frozen.close()


# ---- Blocks


def range_of(store: Store, asked: RangeRequest) -> bytes:
    """The encoding of a BlockRange, made of the stored blocks as they are; of none if there is no such range."""
    blocks, last = _certified_run(store, asked)
    out = [number(asked.number), len(blocks).to_bytes(4, "big"), *blocks]
    Var(CERTIFICATE_BYTES_MAXIMUM).write(store.certificate(last) if blocks else b"", out)
    return b"".join(out)


def _certified_run(store: Store, asked: RangeRequest) -> tuple[list[bytes], int]:
    """As many blocks as may travel together, up to the last that has a certificate of its own; and its height."""
    blocks: list[bytes] = []
    certified, size = 0, 0
    epoch_blocks = store.network.params.epoch_blocks
    end = min(asked.first + min(asked.blocks, RANGE_BLOCKS_MAXIMUM) - 1, store.height)
    if asked.first:
        end = min(end, (epoch_of(asked.first, store.network.params) + 1) * epoch_blocks)
    for height in range(asked.first, end + 1):
        block = store.encoded_block(height)
        size += 0 if block is None else len(block)
        if block is None or size > (RANGE_BYTES if certified else RANGE_BYTES_MAXIMUM):
            break
        blocks.append(block)
        if store.certificate(height):
            certified = len(blocks)
        if certified and size >= RANGE_BYTES:
            break
    return blocks[:certified], asked.first + certified - 1


# ---- Epochs


def epochs_of(store: Store, asked: EpochsRequest) -> EpochRange:
    """What is known of these epochs; fewer ends than asked for where they are not over, not known or too large."""
    state, epoch_blocks = store.state(), store.network.params.epoch_blocks
    current = epoch_of(store.height + 1, store.network.params)

    def set_of(epoch: int) -> Members:
        found = state.find(ValidatorSet, set_key(epoch)) if epoch <= current else None
        return found.members if found else ()

    ends: list[EpochEnd] = []
    size = 0
    for epoch in range(asked.first, min(asked.first + min(asked.ends, ENDS_MAXIMUM), current)):
        header = store.header((epoch + 1) * epoch_blocks)
        if header is None:
            break
        following: Members = ()
        if header.next_validators_root != header.validators_root:
            following = set_of(epoch + 1)
            if validators_root(following) != header.next_validators_root:
                break
        end = EpochEnd(header, store.certificate(header.height), following)
        size += len(end.encode())
        if size > ENDS_BYTES:
            break
        ends.append(end)
    return EpochRange(asked.number, set_of(asked.first) if asked.with_set else (), tuple(ends))


# ---- State


def state_of(store: Store, asked: StateRequest) -> ProvenState:
    """The tip with proofs, or a header alone."""
    height = asked.height or store.height
    header = store.header(height) if 0 < height <= store.height else None
    if header is None:
        return ProvenState(asked.number, (), b"", ())
    records: list[ProvenRecord] = []
    left = RECORDS_BYTES
    for key in asked.keys if not asked.height else ():
        value = store.state().get(key)
        proof = prove(header.state_root, key, store.node)
        records.append(ProvenRecord(() if value is None else (value,), proof))
        left -= len(records[-1].encode())
        if left <= 0:
            break
    return ProvenState(asked.number, (header,), store.certificate(height), tuple(records))
