"""The state of a snapshot on its way into an empty ledger, chunk by chunk, whoever brings the chunks.

Each chunk and the note that it is there are one synced write; so a run that was killed is gone on with where it was.
The ledger has its tip when everything in it has been checked.
"""

from collections.abc import Mapping
from itertools import pairwise

from chain.block import validators_root
from chain.crypto.hashing import ZERO
from chain.genesis import Network, genesis_state
from chain.state import State
from chain.tree import Update
from node.key_value import KeyValue
from node.receipt_index import nodes_of_state
from node.set_chain import EpochEnd, SetChain, check_final
from node.snapshot import CHUNK_FILE_BYTES_MAXIMUM, PREFIX, Chunk, Epochs, Manifest, SnapshotError, check_chunk
from node.store import CHAIN, GENESIS_ROOT, HEADERS, PRUNED, RECEIPTS, RESTORED, SCHEMA, SCHEMA_KEY, TIP, number

MANIFEST_BYTES_MAXIMUM, EPOCHS_BYTES_MAXIMUM = 1 << 24, 1 << 30
NO_EPOCHS = Epochs(()).encode()  # a file of zeros, which has no pages root


def decode_manifest(data: bytes) -> Manifest:
    """The manifest in a file's bytes. Raises SnapshotError or DecodeError."""
    if not data.startswith(PREFIX):
        raise SnapshotError("this is no manifest of a snapshot that this program knows")
    return Manifest.decode(data[len(PREFIX) :])


def check_manifest(manifest: Manifest, network: Network, ends: tuple[EpochEnd, ...]) -> None:
    """Raise an error of the family unless the tip is final and the chunks cover all key hashes."""
    header = manifest.header
    sets = SetChain(network, manifest.first_epoch, manifest.members)
    for end in ends:
        sets.pass_by(end)
    if sets.epoch != header.epoch:
        raise SnapshotError(f"the validator sets lead to epoch {sets.epoch}, the tip is in epoch {header.epoch}")
    check_final(header, manifest.certificate, sets.members, network)
    starts = [chunk.start for chunk in manifest.chunks]
    if starts[:1] != [ZERO] or any(one >= other for one, other in pairwise(starts)):
        raise SnapshotError("the chunks do not follow one another from the first key hash on")
    if any(chunk.size > CHUNK_FILE_BYTES_MAXIMUM for chunk in manifest.chunks):
        raise SnapshotError(f"it lists a chunk of more than {CHUNK_FILE_BYTES_MAXIMUM} bytes")


class LedgerRestoration:
    """`manifest` and `ends` have been checked; `done` chunks are in the database."""

    def __init__(self, database: KeyValue, network: Network, manifest: Manifest, ends: tuple[EpochEnd, ...]) -> None:
        self.database = database
        self.network = network
        self.manifest = manifest
        self.ends = ends
        noted = database.get(RESTORED) or number(0) + ZERO
        self.total = len(manifest.chunks)
        self.is_finished = database.get(TIP) is not None
        self.done = self.total if self.is_finished else int.from_bytes(noted[:8], "big")
        self._root = noted[8:]  # of the tree of the chunks that are there

    def add(self, data: bytes) -> None:
        """Write the next chunk. Raises SnapshotError if it is bad. In their order, chunks touch the right edge only."""
        chunk = check_chunk(self.manifest, self.done, data)
        self._root = self._write(chunk)
        self.done += 1

    def _write(self, chunk: Chunk) -> bytes:
        values = {entry.key: entry.value for entry in chunk.entries}
        tree = Update(lambda digest: self.database.get(b"t" + digest))
        root = tree.apply(self._root, values)
        changes: dict[bytes, bytes | None] = {b"t" + digest: None for digest in tree.stale}
        changes |= {b"t" + digest: record for digest, record in tree.fresh.items()}
        changes |= {b"s" + key: value for key, value in values.items()}
        changes[RESTORED] = number(self.done + 1) + root
        self.database.write(changes)
        return root

    def check(self) -> bytes:
        """The outer root of the model that belongs to it. Raises SnapshotError if the whole is not as it should be."""
        header, state = self.manifest.header, State(lambda key: self.database.get(b"s" + key))
        if not self.is_finished and self._root != header.state_root:
            raise SnapshotError("the chunks together have another state root than the header: take another snapshot")
        supply = state.supply
        if (supply.minted, supply.burned) != (header.minted, header.burned):
            raise SnapshotError("the header names other amounts minted and burned than the state")
        if validators_root(state.validators(header.epoch).members) != header.validators_root:
            raise SnapshotError("the header names another validator set than the state")
        return state.ledger.model.outer_root

    def finish(self, notes: Mapping[bytes, bytes] | None = None) -> None:
        """Give the ledger its tip, and write `notes` with it."""
        network, header = self.network, self.manifest.header
        genesis_root = Update(lambda _: None).apply(ZERO, genesis_state(network).changes)
        tip = number(header.height)
        changes: dict[bytes, bytes | None] = {CHAIN: network.chain_id, SCHEMA_KEY: SCHEMA, GENESIS_ROOT: genesis_root}
        changes |= {TIP: tip, PRUNED: tip, HEADERS: tip + number(self.manifest.first_epoch), RESTORED: None}
        changes |= {RECEIPTS: tip, **nodes_of_state(self.database.items(b"sn"))}
        for end in (*self.ends, EpochEnd(header, self.manifest.certificate, ())):
            height = number(end.header.height)
            changes |= {b"e" + height: end.header.encode(), b"f" + height: end.certificate}
            changes[b"h" + end.header.hash()] = height
        self.database.write({**changes, **(notes or {})})
        self.is_finished = True

    def start_again(self) -> None:
        """Forget all chunks: another snapshot comes in their place. Nothing else is in the database yet."""
        while records := _some(self.database):
            self.database.write(dict.fromkeys(records))
        self.done, self._root = 0, ZERO


def _some(database: KeyValue) -> list[bytes]:
    """Up to so many keys of the database that one batch can take."""
    keys: list[bytes] = []
    for key, _ in database.items(b""):
        keys.append(key)
        if len(keys) >= 50_000:
            break
    return keys
