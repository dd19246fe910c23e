"""Snapshots that a node makes now and then for others, in the background, and where each of their files lies.

All nodes that serve snapshots make them at the same heights, the ends of every so many epochs: so a newcomer can fetch
chunks of one snapshot from all of them.
"""

import shutil
from pathlib import Path

from chain.crypto.hashing import ZERO
from chain.errors import NeuroError
from chain.transition import Applied
from node.errors import NodeError
from node.finished_folder import draft_of
from node.key_value import KeyValue
from node.ledger_restore import decode_manifest
from node.logs import log_of
from node.model_store import ModelStore
from node.runtime import LEDGER, Runtime
from node.snapshot import EPOCHS, MANIFEST, MODEL, Manifest, chunk_name, file_root, make_snapshot
from node.store import Store

SNAPSHOTS = "snapshots"  # a lane of its own: making one takes seconds to minutes
KEPT = 2  # whoever has begun with one can finish while the next is made


class SnapshotKeeper:
    """`folder` holds a folder for each height. Told of final blocks by `hear_block`; others ask `newest` and `find`."""

    def __init__(self, runtime: Runtime, store: Store, models: ModelStore, folder: Path, every_epochs: int) -> None:
        self.runtime = runtime
        self.store = store
        self.models = models
        self.folder = folder
        self.every_blocks = every_epochs * store.network.params.epoch_blocks
        self._files: dict[int, dict[bytes, Path]] = {}  # by height and pages root
        self._roots: dict[int, bytes] = {}  # of the manifests
        self._is_making = False
        self._look()

    def newest(self) -> tuple[int, bytes] | None:
        """Height and manifest of the snapshot that is offered."""
        height = max(self._roots, default=0)
        return (height, self._roots[height]) if height else None

    def find(self, root: bytes) -> Path | None:
        """The file with this pages root."""
        return next((files[root] for files in self._files.values() if root in files), None)

    def hear_block(self, applied: Applied) -> None:
        """A block is final. Begin with a snapshot if one is due and none is being made."""
        height = applied.block.header.height
        if height % self.every_blocks or self._is_making or height in self._roots:
            return
        self._is_making = True
        self.runtime.offload(LEDGER, lambda: self._freeze(height), lambda frozen: self._begin(height, frozen))

    def _freeze(self, height: int) -> KeyValue | None:
        """In the ledger's lane, where nothing is written meanwhile. None: the next block is final already."""
        return self.store.database.snapshot() if self.store.height == height else None

    def _begin(self, height: int, frozen: KeyValue | None) -> None:
        if frozen is None:
            self._is_making = False
            return
        state = frozen
        self.runtime.offload(SNAPSHOTS, lambda: self._make(height, state), self._made)

    def _make(self, height: int, frozen: KeyValue) -> NodeError | None:
        """A snapshot that cannot be made is no reason for the node to end: the next one may."""
        target = self.folder / str(height)
        try:
            self.folder.mkdir(exist_ok=True)
            make_snapshot(Store(frozen, self.store.network), self.models, target)
        except NodeError as error:
            shutil.rmtree(draft_of(target), ignore_errors=True)
            return error
        except OSError as error:
            return NodeError(f"cannot write a snapshot into {self.folder}: {error}")
        finally:
            frozen.close()
        return None

    def _made(self, error: NodeError | None) -> None:
        self._is_making = False
        if error is not None:
            log_of("snapshots").warning(f"no snapshot was made: {error}")
        self._look()

    def _look(self) -> None:
        """Find what is there; forget and delete all but the newest."""
        self._files, self._roots = {}, {}
        found = list(self.folder.iterdir()) if self.folder.is_dir() else []
        heights = sorted((int(path.name) for path in found if path.name.isdecimal()), reverse=True)
        for path in found:
            if path.name not in map(str, heights[:KEPT]) and not self._is_making:
                shutil.rmtree(path, ignore_errors=True)
        for height in heights[:KEPT]:
            self._add(height, self.folder / str(height))

    def _add(self, height: int, folder: Path) -> None:
        try:
            data = (folder / MANIFEST).read_bytes()
            manifest = decode_manifest(data)
        except (OSError, NeuroError) as error:
            log_of("snapshots").warning(f"the snapshot in {folder} cannot be served: {error}")
            return
        self._roots[height] = file_root(data)
        self._files[height] = {self._roots[height]: folder / MANIFEST, **files_of(manifest, folder)}


def files_of(manifest: Manifest, folder: Path) -> dict[bytes, Path]:
    """Where the files of a snapshot lie, by pages root."""
    files = {note.root: folder / chunk_name(index) for index, note in enumerate(manifest.chunks)}
    files |= {manifest.epochs_root: folder / EPOCHS, manifest.model_root: folder / MODEL}
    files.pop(ZERO, None)
    return files
