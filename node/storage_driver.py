"""This node's storage seat: once an epoch it shows the leaf that the mix chose, read from its own model file.

The proof is made in a thread. What is said follows from the state: after a restart it is made and said again.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from chain.audit_messages import StorageProof
from chain.block import RoundInput
from chain.crypto.hashing import leaf_hash, root_of_hashes
from chain.crypto.merkle_path import inclusion_path
from chain.genesis import Network
from chain.services import Storage
from chain.state import State
from chain.storage import StorageSeat, has_proven, is_storage_free, storage, storage_seat
from node.identity import EMPTY, Identity
from node.logs import log_of
from node.model_store import ModelStore, load_base
from node.once import Once
from node.template import Learning
from training.errors import CheckpointError
from training.pages import leaves

LOG = log_of("storage")


@dataclass(frozen=True, slots=True)
class Shown:
    """A leaf and its way to the model's root."""

    epoch: int
    leaf: bytes
    leaf_path: tuple[bytes, ...]
    fragment_path: tuple[bytes, ...]


class StorageDriver:
    """`news` is told when there is a proof to be said."""

    def __init__(self, network: Network, identity: Identity, models: ModelStore, news: Callable[[], None]) -> None:
        self.network = network
        self.identity = identity
        self.models = models
        self.news = news
        self._shown: Shown | None = None
        self._tried: tuple[int, tuple[Path, ...]] = (0, ())  # epoch, and the files in which its model was looked for
        self._task: asyncio.Task[None] | None = None
        self._once = Once()

    def follow(self, state: State) -> None:
        """After a block: begin to make the proof of this epoch, if there is one to be made. Call on the event loop."""
        opened = storage(state)
        seat = self._seat(state)
        busy = self._task is not None and not self._task.done()
        if seat is None or busy or (self._shown is not None and self._shown.epoch == opened.epoch):
            return
        files = tuple(self.models.files())
        if self._tried != (opened.epoch, files):
            self._tried = opened.epoch, files
            self._task = asyncio.create_task(self._make(opened, seat))

    def inputs(self, state: State) -> list[RoundInput]:
        """The proof, as long as the ledger lacks it and would take it."""
        shown = self._shown
        if shown is None or shown.epoch != storage(state).epoch or self._seat(state) is None:
            return []
        place = state.ledger.round, shown.epoch, self.identity.node
        draft = StorageProof(*place, shown.leaf, shown.leaf_path, shown.fragment_path, EMPTY)
        return [self._once(draft, lambda: self.identity.sign_as_node(draft, self.network.chain_id))]

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _seat(self, state: State) -> StorageSeat | None:
        """Our seat, if we have not proven it and nobody has taken it."""
        node, params = self.identity.node, self.network.params
        if has_proven(state, node):
            return None
        seat = storage_seat(state, node, params)
        return seat if seat is not None and is_storage_free(state, node, seat, params) else None

    async def _make(self, opened: Storage, seat: StorageSeat) -> None:
        shown = await asyncio.to_thread(show, self.models, opened, seat)
        if shown is None:
            LOG.debug("the epoch's model is not here: no storage proof", epoch=opened.epoch)
            return
        self._shown = shown
        self.news()


def show(models: ModelStore, opened: Storage, seat: StorageSeat) -> Shown | None:
    """The leaf of this seat from the model file that has the epoch's root; None: it is not here."""
    for path in reversed(models.files()):
        try:
            weights = load_base(path, models.learning).state.weights
        except CheckpointError:
            continue  # damaged, or gone meanwhile
        fragments = [leaves(weights[first:end]) for first, end in _places(models.learning)]
        hashes = [[leaf_hash(leaf) for leaf in fragment] for fragment in fragments]
        roots = [leaf_hash(root_of_hashes(each)) for each in hashes]
        if root_of_hashes(roots) == opened.model_root:
            way = inclusion_path(hashes[seat.fragment], seat.leaf), inclusion_path(roots, seat.fragment)
            return Shown(opened.epoch, fragments[seat.fragment][seat.leaf], *way)
    return None


def _places(learning: Learning) -> list[tuple[int, int]]:
    """First value and end of each fragment."""
    places, first = [], 0
    for size in learning.fragment_sizes:
        places.append((first, first + size))
        first += size
    return places
