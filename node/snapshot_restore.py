"""A data directory from a snapshot. Start reading at `Restoration.run`.

It grows under the name DIRECTORY.partial. Each chunk and the note that it is there are one synced write, so a run that
was killed is gone on with where it was; the directory gets its name when everything in it has been checked.
"""

from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

from chain.block import validators_root
from chain.crypto.hashing import ZERO
from chain.errors import NeuroError
from chain.genesis import NETWORK_BYTES_MAXIMUM, Network, genesis_state, parse_network
from chain.state import State
from chain.tree import Update
from consensus.certificate import verify_certificate
from consensus.messages import NOTARIZE, Certificate
from node.archive_stored import Progress, silent
from node.data_directory import DataDirectory, sync_folder, write_atomically
from node.errors import NodeError, disk_advice
from node.finished_folder import check_target, draft_of
from node.key_value import KeyValue, open_key_value
from node.model_store import ModelStore, load_base
from node.set_chain import EpochEnd, SetChain, check_final, committee
from node.snapshot import (
    CHUNK_FILE_BYTES_MAXIMUM,
    EPOCHS,
    MANIFEST,
    MODEL,
    NETWORK,
    PREFIX,
    Chunk,
    Epochs,
    Manifest,
    SnapshotError,
    check_chunk,
    chunk_name,
    digest_of,
)
from node.store import CHAIN, GENESIS_ROOT, HEADERS, PRUNED, SCHEMA, SCHEMA_KEY, TIP, kept_key, number
from node.template import Learning
from training.errors import TrainingError

MANIFEST_BYTES_MAXIMUM, EPOCHS_BYTES_MAXIMUM = 1 << 24, 1 << 30
NOTE = "restore"  # SHA-256 of the manifest that a directory is being restored from
RESTORED = b"mrestored"  # number of chunks that are there, and the root of their tree


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
        manifest = Manifest.decode(manifest_bytes[len(PREFIX) :])
        network = parse_network(network_bytes)
    except NeuroError as error:
        raise SnapshotError(f"the manifest or network file in {folder} is damaged: {error}") from error
    if sha256(epochs_bytes).digest() != manifest.epochs_digest:
        raise SnapshotError(f"{folder / EPOCHS} is damaged or forged: its bytes are not those that the manifest lists")
    try:
        ends = Epochs.decode(epochs_bytes).ends
        _check_manifest(manifest, network, ends)
    except NeuroError as error:
        raise SnapshotError(f"the manifest is damaged or forged: {error}; take another snapshot") from error
    _check_trust(manifest, trust)
    return Source(folder, sha256(manifest_bytes).digest(), manifest, network, ends)


def _check_manifest(manifest: Manifest, network: Network, ends: tuple[EpochEnd, ...]) -> None:
    """Raise an error of the family unless the tip is final and the chunks cover all key hashes."""
    header = manifest.header
    sets = SetChain(network, manifest.first_epoch, manifest.members)
    for end in ends:
        sets.pass_by(end)
    if sets.epoch != header.epoch:
        raise SnapshotError(f"the validator sets lead to epoch {sets.epoch}, the tip is in epoch {header.epoch}")
    check_final(header, manifest.certificate, sets.members, network)
    notarization = Certificate.decode(manifest.notarization)
    about = (notarization.kind, notarization.epoch, notarization.block_hash)
    if about != (NOTARIZE, header.epoch, header.hash()):
        raise SnapshotError("the notarization is not the tip's")
    verify_certificate(notarization, committee(sets.members), network.chain_id)
    starts = [chunk.start for chunk in manifest.chunks]
    if starts[:1] != [ZERO] or any(one >= other for one, other in pairwise(starts)):
        raise SnapshotError("the chunks do not follow one another from the first key hash on")
    if any(chunk.size > CHUNK_FILE_BYTES_MAXIMUM for chunk in manifest.chunks):
        raise SnapshotError(f"it lists a chunk of more than {CHUNK_FILE_BYTES_MAXIMUM} bytes")


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
                self._chunks(database, progress)
                self._finish_ledger(database, directory)
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

    def _chunks(self, database: KeyValue, progress: Progress) -> None:
        """Write the chunks that are not there yet, each proven by itself."""
        total = len(self.manifest.chunks)
        noted = database.get(RESTORED) or number(0) + ZERO
        self.chunks_before = done = total if database.get(TIP) else int.from_bytes(noted[:8], "big")
        root = noted[8:]
        for index in range(done, total):
            path = self.source.folder / chunk_name(index)
            chunk = check_chunk(self.manifest, index, _read(path, self.manifest.chunks[index].size))
            root = self._write(database, index, chunk, root)
            progress(index + 1, total)
        if database.get(TIP) is None and root != self.manifest.header.state_root:
            raise SnapshotError("the chunks together have another state root than the header: take another snapshot")

    def _write(self, database: KeyValue, index: int, chunk: Chunk, root: bytes) -> bytes:
        """Add a chunk to state and tree; the root so far. In their order, chunks touch the tree's right edge only."""
        values = {entry.key: entry.value for entry in chunk.entries}
        tree = Update(lambda digest: database.get(b"t" + digest))
        root = tree.apply(root, values)
        changes: dict[bytes, bytes | None] = {b"t" + digest: None for digest in tree.stale}
        changes |= {b"t" + digest: record for digest, record in tree.fresh.items()}
        changes |= {b"s" + key: value for key, value in values.items()}
        changes[RESTORED] = number(index + 1) + root
        database.write(changes)
        return root

    def _finish_ledger(self, database: KeyValue, directory: DataDirectory) -> None:
        """Check that state, header and model fit together; then the ledger has its tip."""
        network, header = self.source.network, self.manifest.header
        state = State(lambda key: database.get(b"s" + key))
        supply = state.supply
        if (supply.minted, supply.burned) != (header.minted, header.burned):
            raise SnapshotError("the header names other amounts minted and burned than the state")
        if validators_root(state.validators(header.epoch).members) != header.validators_root:
            raise SnapshotError("the header names another validator set than the state")
        self._restore_model(state.ledger.model.outer_root, directory)
        genesis_root = Update(lambda _: None).apply(ZERO, genesis_state(network).changes)
        tip = number(header.height)
        changes: dict[bytes, bytes | None] = {CHAIN: network.chain_id, SCHEMA_KEY: SCHEMA, GENESIS_ROOT: genesis_root}
        changes |= {TIP: tip, PRUNED: tip, HEADERS: tip + number(self.manifest.first_epoch), RESTORED: None}
        for end in (*self.source.ends, EpochEnd(header, self.manifest.certificate, ())):
            height = number(end.header.height)
            changes |= {b"e" + height: end.header.encode(), b"f" + height: end.certificate}
            changes[b"h" + end.header.hash()] = height
        notarization = Certificate.decode(self.manifest.notarization)
        changes[kept_key(notarization)] = notarization.encode()
        database.write(changes)

    def _restore_model(self, root: bytes, directory: DataDirectory) -> None:
        """Copy the model, if it has the root that the ledger names."""
        network, path = self.source.network, self.source.folder / MODEL
        if root == network.start.outer_root:
            return
        learning = Learning.of(network)
        try:
            _check_file(path)
            if digest_of(path) != self.manifest.model_digest:
                raise SnapshotError(
                    f"{path} is damaged: its bytes are not those that the manifest lists; fetch it again"
                )
            saved = load_base(path, learning)
        except OSError as error:
            raise SnapshotError(f"cannot read {path}: {disk_advice(error)}") from error
        except TrainingError as error:
            raise SnapshotError(f"{path} is damaged or forged: {error}; take another snapshot") from error
        if saved.root != root:
            raise SnapshotError(f"{path} is another model than the ledger's: take another snapshot")
        ModelStore(directory / "model", learning).save(saved.state, saved.round, root)
