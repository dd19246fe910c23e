"""A new node's ledger from a snapshot that peers serve. Start reading at `SnapshotSync`.

Peers offer manifests; one is fetched and checked against the validator sets that follow from the network file or the
checkpoint. Then come the chunks, from all who have them, each proven as it comes, and the model. What has been written
stays: a run that was killed goes on where it was, with the same manifest.

A file that does not have its root is the fault of who sent it, and `node.blob_exchange` asks somebody else. A file with
the right root and wrong content is the fault of whoever offered the manifest: then another one is taken.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Protocol, TypeVar

from chain.crypto.hashing import ZERO
from chain.errors import NeuroError
from chain.genesis import Network
from network.kinds import SNAPSHOT, SNAPSHOT_REQUEST
from network.peer import LIGHT, Peer
from node.block_range import Fault
from node.checkpoint import Trust
from node.data_directory import write_atomically
from node.errors import NodeError, disk_advice
from node.key_value import KeyValue
from node.ledger_restore import (
    MANIFEST_BYTES_MAXIMUM,
    NO_EPOCHS,
    LedgerRestoration,
    check_manifest,
    decode_manifest,
)
from node.model_store import ModelStore
from node.parts import Handler
from node.runtime import LEDGER, MALFORMED, UNASKED, Runtime, Timer
from node.snapshot import EPOCHS, MANIFEST, MODEL, Epochs, Manifest, SnapshotError, file_root
from node.snapshot_choice import Offers, vouch
from node.snapshot_restore import keep_model
from node.store import CHAIN
from node.sync_messages import SnapshotOffer, SnapshotRequest

OFFERS_MS = 3_000  # from the first offer on, others may come
MANIFEST_MS = 30_000  # an offer whose manifest does not come in this time is passed over
AGAIN_MS = 5_000
AT_ONCE = 4  # chunks that are fetched or wait to be written
EPOCHS_BYTES = 64 << 20  # of a file that is fetched into memory
MODEL_BYTES_PER_PARAMETER = 16

Done = Callable[[bytes | Path | None], None]
T = TypeVar("T")


class Blobs(Protocol):
    """Who fetches files by pages root: `node.blob_exchange`, or `node.blobs` for long ones."""

    def want(
        self, root: bytes, bytes_maximum: int, holders: Iterable[bytes], done: Done, size: int | None = None
    ) -> None: ...

    def forget(self, root: bytes) -> None: ...


def is_wanted(database: KeyValue) -> bool:
    """Whether a ledger is still empty, or half restored."""
    return database.get(CHAIN) is None


@dataclass(slots=True)
class Place:
    """Where the ledger grows: the database, a folder for what has to be remembered, and the models."""

    database: KeyValue
    folder: Path
    models: ModelStore


class SnapshotSync:
    """A part. `done` is told the manifest once the ledger has its tip; then block sync goes on from there."""

    def __init__(
        self,
        runtime: Runtime,
        network: Network,
        place: Place,
        blobs: Blobs,
        trust: Trust,
        done: Callable[[Manifest], None],
    ) -> None:
        self.runtime = runtime
        self.network = network
        self.place = place
        self.blobs = blobs
        self.trust = trust
        self.done = done
        self.ledger: LedgerRestoration | None = None
        self._notes: dict[bytes, bytes] = {}
        self._root: bytes | None = None  # of the manifest that is being followed
        self._offers = Offers()
        self._numbers = count(1)
        self._timer: Timer | None = None
        self._fetched: dict[int, bytes] = {}  # chunks that wait to be written
        self._asked = 0  # chunks up to here are fetched or being fetched
        self._is_writing = False
        runtime.later(0, self._resume)

    @property
    def progress(self) -> tuple[int, int]:
        """Chunks that are there, and chunks in all."""
        return (0, 0) if self.ledger is None else (self.ledger.done, self.ledger.total)

    # ---- Offers

    def handlers(self) -> Mapping[int, Handler]:
        return {SNAPSHOT: self._on_offer}

    def joined(self, peer: Peer) -> None:
        if not peer.roles & LIGHT:
            self._question(peer.key)

    def left(self, key: bytes) -> None:
        self._offers.by_peer.pop(key, None)
        self._offers.asked.pop(key, None)

    def _question(self, key: bytes) -> None:
        request = SnapshotRequest(next(self._numbers))
        self._offers.asked[key] = request.number
        self.runtime.send(key, SNAPSHOT_REQUEST, request.encode())

    def _on_offer(self, key: bytes, payload: bytes) -> None:
        offer = SnapshotOffer.decode(payload)
        if self._offers.asked.pop(key, None) != offer.number:
            self.runtime.blame(key, UNASKED, "a snapshot that was not asked for")
            return
        if offer.manifest_root == ZERO:
            return
        self._offers.by_peer[key] = offer
        if self._root is None and self._timer is None:
            self._timer = self.runtime.later(OFFERS_MS, self._choose)

    def _choose(self) -> None:
        self._timer = None
        root = self._offers.best()
        if self._root is not None:
            return
        if root is None:
            self._ask_again()
            return
        self._root = root
        self._timer = self.runtime.later(MANIFEST_MS, lambda: self._pass_over(root))
        took = partial(self._took_manifest, root)
        self.blobs.want(root, MANIFEST_BYTES_MAXIMUM, self._offers.holders(root), took)

    def _ask_again(self) -> None:
        """Nothing that is offered is of use: others may come, or newer ones."""
        for key, peer in self.runtime.peers().items():
            if not peer.roles & LIGHT:
                self._question(key)
        self._timer = self.runtime.later(AGAIN_MS, self._choose)

    def _pass_over(self, root: bytes) -> None:
        """Its manifest does not come."""
        self._timer = None
        self.blobs.forget(root)
        self._drop(root)

    def _drop(self, root: bytes, reason: str = "") -> None:
        """Take another manifest. With a reason: who offered this one has lied."""
        self._offers.bad.add(root)
        for key in self._offers.holders(root):
            del self._offers.by_peer[key]
            if reason:
                self.runtime.blame(key, MALFORMED, f"bad snapshot: {reason}")
        self._root, self.ledger = None, None
        self._stop_timer()
        self._timer = self.runtime.later(0, self._choose)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # ---- Manifest and epochs

    def _took_manifest(self, root: bytes, data: bytes | Path | None) -> None:
        if self._root != root:
            return
        content = _content(data)
        if content is None:
            self._drop(root)
            return
        try:
            manifest = decode_manifest(content)
        except NeuroError as error:
            self._drop(root, str(error))
            return
        if manifest.epochs_root == ZERO:
            self._check(root, content, NO_EPOCHS)
            return

        def took_epochs(epochs: bytes | Path | None) -> None:
            found = _content(epochs)
            if self._root == root and found is None:
                self._drop(root)
            elif self._root == root and found is not None:
                self._check(root, content, found)

        self.blobs.want(manifest.epochs_root, EPOCHS_BYTES, self._offers.holders(root), took_epochs)

    def _check(self, root: bytes, manifest: bytes, epochs: bytes) -> None:
        self._stop_timer()
        now = self.runtime.wall_ms()
        self.runtime.offload(
            LEDGER, lambda: self._opened(manifest, epochs, now, True), lambda found: self._begin(root, found)
        )

    def _opened(self, manifest: bytes, epochs: bytes, now_ms: int, is_new: bool) -> LedgerRestoration | Fault | None:
        """Check everything but the chunks and remember it. None: true, perhaps, but nothing to build on."""
        try:
            decoded, ends = decode_manifest(manifest), Epochs.decode(epochs).ends
            if file_root(epochs) != decoded.epochs_root:
                raise SnapshotError("the epochs are not those that the manifest lists")
            check_manifest(decoded, self.network, ends)
        except NeuroError as error:
            return Fault(str(error))
        try:
            self._notes = vouch(decoded, ends, self.trust, now_ms)
        except SnapshotError:
            return None
        ledger = LedgerRestoration(self.place.database, self.network, decoded, ends)
        if is_new:
            # Whatever is there belongs to another manifest. It goes first, and then what it belonged to is forgotten.
            ledger.start_again()
            self._keep(EPOCHS, epochs)
            self._keep(MANIFEST, manifest)
        return ledger

    def _keep(self, name: str, content: bytes) -> None:
        try:
            self.place.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self.place.folder / name, content)
        except OSError as error:
            raise NodeError(f"cannot write into {self.place.folder}: {disk_advice(error)}") from error

    def _resume(self) -> None:
        """Go on with what an earlier run has begun."""
        now = self.runtime.wall_ms()
        self.runtime.offload(LEDGER, lambda: self._found(now), self._resumed)

    def _found(self, now_ms: int) -> LedgerRestoration | None:
        try:
            manifest, epochs = ((self.place.folder / name).read_bytes() for name in (MANIFEST, EPOCHS))
        except OSError:
            return None
        found = self._opened(manifest, epochs, now_ms, False)
        return found if isinstance(found, LedgerRestoration) else None

    def _resumed(self, ledger: LedgerRestoration | None) -> None:
        if ledger is not None and self._root is None:
            self._stop_timer()
            self._begin(ZERO, ledger)  # who offered it is not known any more

    # ---- Chunks

    def _begin(self, root: bytes, found: LedgerRestoration | Fault | None) -> None:
        if isinstance(found, LedgerRestoration):
            self._root, self.ledger, self._asked = root, found, found.done
            self._fetched.clear()
            self._is_writing = False
            self._pump()
        else:
            self._drop(root, found.reason if found is not None else "")

    def _pump(self) -> None:
        """Fetch the next chunks, write the next one."""
        ledger = self.ledger
        if ledger is None:
            return
        while self._asked < min(ledger.total, ledger.done + AT_ONCE):
            note = ledger.manifest.chunks[self._asked]
            took = partial(self._took_chunk, ledger, self._asked)
            self.blobs.want(note.root, note.size, self._holders(), took, note.size)
            self._asked += 1
        if self._is_writing:
            return
        data = self._fetched.pop(ledger.done, None)
        if data is not None:
            self._write(ledger, data)
        elif ledger.done == ledger.total:
            self._is_writing = True
            self.runtime.offload(LEDGER, lambda: _tried(ledger.check), partial(self._checked, ledger))

    def _holders(self) -> list[bytes]:
        """Who offered this manifest first; all others that serve snapshots may have the same chunks."""
        return list(dict.fromkeys([*self._offers.holders(self._root or ZERO), *self._offers.by_peer]))

    def _took_chunk(self, ledger: LedgerRestoration, index: int, data: bytes | Path | None) -> None:
        if self.ledger is not ledger:
            return
        content = _content(data)
        if content is None:
            self._drop(self._root or ZERO)
            return
        self._fetched[index] = content
        self._pump()

    def _write(self, ledger: LedgerRestoration, data: bytes) -> None:
        def written(found: Fault | None) -> None:
            self._is_writing = False
            if self.ledger is not ledger:
                return
            if isinstance(found, Fault):
                self._drop(self._root or ZERO, found.reason)
            else:
                self._pump()

        self._is_writing = True
        self.runtime.offload(LEDGER, lambda: _tried(lambda: ledger.add(data)), written)

    # ---- Model and end

    def _checked(self, ledger: LedgerRestoration, found: bytes | Fault | None) -> None:
        if self.ledger is not ledger:
            return
        if not isinstance(found, bytes):
            self._drop(self._root or ZERO, found.reason if found is not None else "")
            return
        outer_root = found
        if outer_root == self.network.start.outer_root:
            self._end(ledger)
            return
        most = MODEL_BYTES_PER_PARAMETER * self.place.models.learning.parameters + (1 << 20)
        took = partial(self._took_model, ledger, outer_root)
        self.blobs.want(ledger.manifest.model_root, most, self._holders(), took)

    def _took_model(self, ledger: LedgerRestoration, outer_root: bytes, data: bytes | Path | None) -> None:
        if self.ledger is not ledger:
            return
        if data is None:
            self._drop(self._root or ZERO)
            return

        def kept(found: Fault | None) -> None:
            if self.ledger is not ledger:
                return
            if isinstance(found, Fault):
                self._drop(self._root or ZERO, found.reason)
            else:
                self._end(ledger)

        model = data
        self.runtime.offload(LEDGER, lambda: _tried(lambda: self._keep_model(ledger, outer_root, model)), kept)

    def _keep_model(self, ledger: LedgerRestoration, outer_root: bytes, data: bytes | Path) -> None:
        if isinstance(data, bytes):
            self._keep(MODEL, data)
        path = data if isinstance(data, Path) else self.place.folder / MODEL
        keep_model(path, ledger.manifest, outer_root, self.place.models)

    def _end(self, ledger: LedgerRestoration) -> None:
        def finish() -> None:
            ledger.finish(self._notes)
            for name in (MANIFEST, EPOCHS, MODEL):
                (self.place.folder / name).unlink(missing_ok=True)

        self.runtime.offload(LEDGER, finish, lambda _: self.done(ledger.manifest))


def _tried(work: Callable[[], T]) -> T | Fault:
    """What is wrong with a snapshot is returned, a fault of ours is raised."""
    try:
        return work()
    except SnapshotError as error:
        return Fault(str(error))


def _content(data: bytes | Path | None) -> bytes | None:
    if not isinstance(data, Path):
        return data
    try:
        return data.read_bytes()
    except OSError as error:
        raise NodeError(f"cannot read {data}: {disk_advice(error)}") from error
