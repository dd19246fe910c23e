"""A data directory from the folder of a snapshot. Start reading at `Restoration.run`.

It grows under the name DIRECTORY.partial and gets its own when everything in it has been checked.
"""

from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from chain.errors import NeuroError
from chain.genesis import NETWORK_BYTES_MAXIMUM, Network, parse_network
from node.archive_stored import Progress, silent
from node.data_directory import DataDirectory, write_atomically
from node.errors import NodeError, disk_advice
from node.finished_folder import check_target, draft_of
from node.key_value import KeyValue, open_key_value
from node.ledger_restore import (
    EPOCHS_BYTES_MAXIMUM,
    MANIFEST_BYTES_MAXIMUM,
    LedgerRestoration,
    check_manifest,
    decode_manifest,
)
from node.model_store import ModelStore, load_base
from node.set_chain import EpochEnd
from node.snapshot import (
    EPOCHS,
    MANIFEST,
    MODEL,
    NETWORK,
    PREFIX,
    Epochs,
    Manifest,
    SnapshotError,
    chunk_name,
    file_root,
    root_of_file,
)
from node.template import Learning
from training.errors import TrainingError
from wallet.durable import sync_folder

NOTE = "restore"  # SHA-256 of the manifest that a directory is being restored from


@dataclass(frozen=True, slots=True)
class Source:
    """A snapshot whose manifest has been verified."""

    folder: Path
    digest: bytes  # of the manifest
    manifest: Manifest
    network: Network
    ends: tuple[EpochEnd, ...]


def open_source(folder: Path, trust: bytes | None = None) -> Source:
    """Verify everything but chunks and model. `trust`: the hash that the tip must have. Raises SnapshotError."""
    manifest_bytes = _read(folder / MANIFEST, MANIFEST_BYTES_MAXIMUM)
    network_bytes = _read(folder / NETWORK, NETWORK_BYTES_MAXIMUM)
    epochs_bytes = _read(folder / EPOCHS, EPOCHS_BYTES_MAXIMUM)
    if not manifest_bytes.startswith(PREFIX):
        raise SnapshotError(f"{folder / MANIFEST} is no manifest of a snapshot that this program knows")
    try:
        manifest = decode_manifest(manifest_bytes)
        network = parse_network(network_bytes)
    except NeuroError as error:
        raise SnapshotError(f"the manifest or network file in {folder} is damaged: {error}") from error
    if file_root(epochs_bytes) != manifest.epochs_root:
        raise SnapshotError(f"{folder / EPOCHS} is damaged or forged: its bytes are not those that the manifest lists")
    try:
        ends = Epochs.decode(epochs_bytes).ends
        check_manifest(manifest, network, ends)
    except NeuroError as error:
        raise SnapshotError(f"the manifest is damaged or forged: {error}; take another snapshot") from error
    _check_trust(manifest, trust)
    return Source(folder, sha256(manifest_bytes).digest(), manifest, network, ends)


def _check_trust(manifest: Manifest, trust: bytes | None) -> None:
    header = manifest.header
    if trust is not None and trust != header.hash():
        raise SnapshotError(f"the tip of this snapshot is block {header.hash().hex()}, not the one that you trust")
    if trust is None and manifest.first_epoch:
        raise SnapshotError(
            f"this snapshot knows the validator sets from epoch {manifest.first_epoch} on only, so the genesis cannot "
            f"vouch for it: ask somebody you trust for the hash of block {header.height} and give it with --trust"
        )


def _check_file(path: Path) -> None:
    """Raise SnapshotError if it is there and no file: a pipe or a device may never end. Raises OSError."""
    if path.exists() and not path.is_file():
        raise SnapshotError(f"{path} is not a file: it is no part of a snapshot")


def _read(path: Path, maximum: int) -> bytes:
    try:
        _check_file(path)
        with path.open("rb") as file:
            data = file.read(maximum + 1)
    except FileNotFoundError as error:
        raise SnapshotError(f"cannot read {path}: it is not there; name the folder of a whole snapshot") from error
    except OSError as error:
        raise SnapshotError(f"cannot read {path}: {disk_advice(error)}") from error
    if len(data) > maximum:
        raise SnapshotError(f"{path} is larger than {maximum} bytes: it is no part of a snapshot")
    return data


class Restoration:
    """One run towards a directory; `chunks_before` were there when it began."""

    def __init__(self, source: Source, target: Path) -> None:
        self.source = source
        self.manifest = source.manifest
        self.target = target
        self.chunks_before = 0

    def run(self, progress: Progress = silent) -> None:
        """Restore everything, or go on with it. Raises SnapshotError or NodeError."""
        check_target(self.target)
        try:
            directory = self._opened_draft()
        except OSError as error:
            raise NodeError(f"cannot use {draft_of(self.target)}: {disk_advice(error)}") from error
        try:
            database = open_key_value(directory / "ledger")
            try:
                ledger = self._chunks(database, progress)
                self._restore_model(ledger.check(), directory)
                ledger.finish()
            finally:
                database.close()
            write_atomically(directory / "network", self.source.network.file_bytes())
            directory.root.replace(self.target)
            sync_folder(self.target.parent)
            with suppress(OSError):
                (self.target / NOTE).unlink()
        except OSError as error:
            raise NodeError(f"cannot restore into {directory.root}: {disk_advice(error)}") from error
        finally:
            directory.unlock()

    def _opened_draft(self) -> DataDirectory:
        """The locked draft: a new one, or that of a run over the same snapshot."""
        directory = DataDirectory(draft_of(self.target))
        directory.lock()
        try:
            directory.create()
            note, is_begun = directory / NOTE, any((directory / "ledger").iterdir())
            if is_begun and not (note.exists() and note.read_bytes() == self.source.digest):
                raise NodeError(
                    f"{directory.root} is left of something else than this snapshot: remove it, or choose another "
                    "--data-dir"
                )
            write_atomically(note, self.source.digest)
        except BaseException:
            directory.unlock()
            raise
        return directory

    def _chunks(self, database: KeyValue, progress: Progress) -> LedgerRestoration:
        """Write the chunks that are not there yet, each proven by itself."""
        ledger = LedgerRestoration(database, self.source.network, self.manifest, self.source.ends)
        self.chunks_before = ledger.done
        while ledger.done < ledger.total:
            path = self.source.folder / chunk_name(ledger.done)
            ledger.add(_read(path, self.manifest.chunks[ledger.done].size))
            progress(ledger.done, ledger.total)
        return ledger

    def _restore_model(self, root: bytes, directory: DataDirectory) -> None:
        """Copy the model, if it has the root that the ledger names."""
        network, path = self.source.network, self.source.folder / MODEL
        if root == network.start.outer_root:
            return
        try:
            _check_file(path)
            keep_model(path, self.manifest, root, ModelStore(directory / "model", Learning.of(network)))
        except OSError as error:
            raise SnapshotError(f"cannot read {path}: {disk_advice(error)}") from error


def keep_model(path: Path, manifest: Manifest, root: bytes, models: ModelStore) -> None:
    """Put a snapshot's model into the store, if it has the root that the ledger names.

    Raises SnapshotError, OSError.
    """
    if root_of_file(path) != manifest.model_root:
        raise SnapshotError(f"{path} is damaged: its bytes are not those that the manifest lists; fetch it again")
    try:
        saved = load_base(path, models.learning)
    except TrainingError as error:
        raise SnapshotError(f"{path} is damaged or forged: {error}; take another snapshot") from error
    if saved.root != root:
        raise SnapshotError(f"{path} is another model than the ledger's: take another snapshot")
    models.save(saved.state, saved.round, root)
