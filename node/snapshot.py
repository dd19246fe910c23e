"""Snapshots: the state at the tip as files that prove themselves. Start reading at `make_snapshot`.

manifest            header and certificate of the tip, and a list of the chunks
network             the network file, whose hash is the chain id in the header
epochs              the last header of every epoch with its certificate: who may certify the tip
chunk-00000 …       about 1 MB of the state each, in the order of key hashes, and the proof that nothing is missing
model.safetensors   the outer state that the ledger names, unless the model is still as it was born

A manifest is signed by nobody. Its certificate is checked against the validator sets, and every chunk by itself against
the state root in the certified header. All other files are named by their pages roots, so that they can be fetched as
blobs. Nodes that make a snapshot of the same block make the same chunks.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from chain.block import VALIDATORS_MAXIMUM, Header, Validator, validators_root
from chain.codec import U32, U64, Hash, Var, Wire
from chain.crypto.hashing import ZERO, merkle_root
from chain.errors import NeuroError
from chain.genesis import bootstrap_members
from chain.range_proof import NO_END, RangeProof, is_range_proven, leaf_of, prove_range
from chain.state import ValidatorSet, set_key
from chain.tree import key_hash
from node.archive_stored import Progress, silent
from node.errors import NodeError, StoreError, disk_advice
from node.finished_folder import finish, new_draft
from node.key_value import RESTORE
from node.model_store import ModelStore
from node.set_chain import CERTIFICATE_BYTES_MAXIMUM, EpochEnd, Members
from node.store import Store
from training.pages import pages_root

CHUNK_BYTES = 1 << 20
CHUNK_FILE_BYTES_MAXIMUM = 1 << 22  # of CHUNK_BYTES, one more record at most and the proof
KEY_BYTES_MAXIMUM, VALUE_BYTES_MAXIMUM = 64, 1 << 20
CHUNKS_MAXIMUM, EPOCHS_MAXIMUM = 1 << 16, 1 << 20
PREFIX = b"neuroshard-snapshot-1\n"
MANIFEST, NETWORK, EPOCHS, MODEL = "manifest", "network", "epochs", "model.safetensors"
FILES = (MANIFEST, NETWORK, EPOCHS, MODEL, "chunk-*")


class SnapshotError(NodeError):
    """A snapshot that is damaged, forged or does not fit; the message names the file."""


@dataclass(frozen=True, slots=True)
class Entry(Wire):
    """A record of the state."""

    key: Annotated[bytes, Var(KEY_BYTES_MAXIMUM)]
    value: Annotated[bytes, Var(VALUE_BYTES_MAXIMUM)]


@dataclass(frozen=True, slots=True)
class Chunk(Wire):
    """Records in the order of their key hashes, and the proof that they are all of the chunk's interval."""

    entries: Annotated[tuple[Entry, ...], 1 << 20]
    proof: RangeProof


@dataclass(frozen=True, slots=True)
class ChunkNote(Wire):
    """What a manifest says of a chunk. Its interval of key hashes ends where the next chunk's begins."""

    start: Hash
    entries: U32
    size: U32  # bytes of the file
    root: Hash  # over the pages of the file


@dataclass(frozen=True, slots=True)
class Epochs(Wire):
    """Ends of epochs without a gap, up to the tip's epoch."""

    ends: Annotated[tuple[EpochEnd, ...], EPOCHS_MAXIMUM]


@dataclass(frozen=True, slots=True)
class Manifest(Wire):
    """`first_epoch` is 0, or sets before it are forgotten: then `members` is its set, and the tip has to be trusted."""

    header: Header
    certificate: Annotated[bytes, Var(CERTIFICATE_BYTES_MAXIMUM)]
    first_epoch: U64
    members: Annotated[tuple[Validator, ...], VALIDATORS_MAXIMUM]
    epochs_root: Hash  # over the pages of the file; ZERO: no epoch has ended
    model_root: Hash  # over the pages of the file; ZERO: there is no model file
    chunks: Annotated[tuple[ChunkNote, ...], CHUNKS_MAXIMUM]

    def end_of(self, index: int) -> bytes:
        """The key hash before which a chunk's interval ends."""
        return self.chunks[index + 1].start if index + 1 < len(self.chunks) else NO_END


def chunk_name(index: int) -> str:
    return f"chunk-{index:05d}"


def check_chunk(manifest: Manifest, index: int, data: bytes) -> Chunk:
    """A chunk's records, proven against the state root of the header. Raises SnapshotError that names the chunk."""
    note = manifest.chunks[index]
    bad = f"{chunk_name(index)} is damaged or forged"
    if len(data) != note.size or file_root(data) != note.root:
        raise SnapshotError(f"{bad}: its bytes are not those that the manifest lists; fetch this file again")
    try:
        chunk = Chunk.decode(data)
    except NeuroError as error:
        raise SnapshotError(f"{bad}: {error}; fetch the snapshot from somebody else") from error
    leaves = [leaf_of(entry.key, entry.value) for entry in chunk.entries]
    is_whole = len(leaves) == note.entries
    root = manifest.header.state_root
    if not is_whole or not is_range_proven(root, note.start, manifest.end_of(index), leaves, chunk.proof):
        raise SnapshotError(f"{bad}: its proof does not fit the state root; fetch the snapshot from somebody else")
    return chunk


def make_snapshot(store: Store, models: ModelStore, target: Path, progress: Progress = silent) -> Manifest:
    """Write a snapshot of the tip into a new folder. Raises NodeError."""
    header = store.header(store.height)
    if header is None:
        raise NodeError("the ledger has no block yet: there is nothing to make a snapshot of")
    folder = new_draft(target, *FILES)
    try:
        first_epoch, members, ends = _epochs(store, header)
        epochs = Epochs(tuple(ends)).encode()
        (folder / NETWORK).write_bytes(store.network.file_bytes())
        (folder / EPOCHS).write_bytes(epochs)
        manifest = Manifest(
            header=header,
            certificate=store.certificate(header.height),
            first_epoch=first_epoch,
            members=members if first_epoch else (),
            epochs_root=file_root(epochs),
            model_root=_copy_model(store, models, folder / MODEL),
            chunks=tuple(_write_chunks(store, header, folder, progress)),
        )
        (folder / MANIFEST).write_bytes(PREFIX + manifest.encode())
    except OSError as error:
        raise NodeError(f"cannot write the snapshot in {folder}: {disk_advice(error)}") from error
    finish(target)
    return manifest


def _epochs(store: Store, tip: Header) -> tuple[int, Members, list[EpochEnd]]:
    """The first epoch whose set and all later ones are known, that set, and the ends of the epochs from it on."""
    state, blocks = store.state(), store.network.params.epoch_blocks
    first = 0
    members = start = bootstrap_members(store.network, 0)
    ends: list[EpochEnd] = []
    for epoch in range(tip.epoch):
        header = store.header((epoch + 1) * blocks)
        kept = state.find(ValidatorSet, set_key(epoch + 1))
        following = _named_by(header, [members, kept.members if kept else ()])
        if header is None or not members or not following:
            first, ends = epoch + 1, []
            members = start = kept.members if kept else ()
            continue
        ends.append(EpochEnd(header, store.certificate(header.height), () if following == members else following))
        members = following
    return first, start, ends


def _named_by(header: Header | None, sets: list[Members]) -> Members:
    return next((s for s in sets if header is not None and validators_root(s) == header.next_validators_root), ())


def _copy_model(store: Store, models: ModelStore, path: Path) -> bytes:
    """Copy the file of the ledger's model; its root, ZERO if the model is still the born one."""
    root = store.state().ledger.model.outer_root
    if root == store.network.start.outer_root:
        return ZERO
    saved = models.find(root)
    if saved is None:
        raise NodeError(
            f"the model with the outer root {root.hex()[:16]} is not in {models.folder}: run `neuroshard archive "
            "verify`, which makes it again from the payloads"
        )
    shutil.copyfile(models.path(saved.round), path)
    return root_of_file(path)


def file_root(data: bytes) -> bytes:
    """The root over the pages of a file with this content."""
    return pages_root(data, merkle_root)


def root_of_file(path: Path) -> bytes:
    """The same, without reading it into memory at once. Raises OSError."""
    if not path.stat().st_size:
        return ZERO
    return pages_root(np.memmap(path, np.uint8, "r"), merkle_root)


def _write_chunks(store: Store, header: Header, folder: Path, progress: Progress) -> Iterator[ChunkNote]:
    """Keys are sorted in memory, values are read chunk by chunk."""
    keys = sorted((key_hash(key[1:]), key[1:]) for key, _ in store.database.items(b"s"))
    start, index, done = ZERO, 0, 0
    while done < len(keys):
        entries, size = [], 0
        while done < len(keys) and size < CHUNK_BYTES:
            key = keys[done][1]
            value = store.database.get(b"s" + key) or b""
            entries.append(Entry(key, value))
            size += len(key) + len(value) + 8
            done += 1
        end = keys[done][0] if done < len(keys) else NO_END
        proof = prove_range(header.state_root, start, end, lambda digest: _node(store, digest))
        data = Chunk(tuple(entries), proof).encode()
        if not is_range_proven(header.state_root, start, end, [leaf_of(e.key, e.value) for e in entries], proof):
            raise StoreError(f"the stored state differs from its tree: run `neuroshard archive fsck`; {RESTORE}")
        (folder / chunk_name(index)).write_bytes(data)
        yield ChunkNote(start, len(entries), len(data), file_root(data))
        start, index = end, index + 1
        progress(done, len(keys))


def _node(store: Store, digest: bytes) -> bytes:
    record = store.node(digest)
    if record is None:
        raise StoreError(f"the state's tree lacks node {digest.hex()[:16]}: run `neuroshard archive fsck`")
    return record
