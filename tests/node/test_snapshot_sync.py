"""A new node takes the state of a recent block from peers, proves every part of it, and goes on from there."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from chain.block import HANDOVER
from chain.crypto.hashing import ZERO
from network.kinds import SNAPSHOT, SNAPSHOT_REQUEST
from node.blob_exchange import BlobExchange
from node.blob_source import FileSource
from node.checkpoint import CheckpointError, Trust
from node.errors import StoreError
from node.model_store import ModelStore
from node.snapshot import Chunk, Entry, Epochs, Manifest, SnapshotError, file_root
from node.snapshot_choice import vouch
from node.snapshot_keeper import SnapshotKeeper
from node.snapshot_sync import Place, SnapshotSync, is_wanted
from node.store import RESTORED, TIP, TRUSTED, Store, number
from node.sync_messages import SnapshotOffer, SnapshotRequest
from node.sync_server import SyncServer
from tests.node.archive_homes import lived
from tests.node.lone_node import CREATED_MS, LoneNode, MemoryKeyValue
from tests.node.sim_runtime import SimNode, World
from tests.node.sync_chain import Records
from tests.node.test_archive_snapshot import copied, flip, made, manifest_of, rewrite

HEIGHT = 21


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> LoneNode:
    return lived(tmp_path_factory.mktemp("sync") / "node")


@pytest.fixture(scope="module")
def source(node: LoneNode, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a node's snapshots: one, of seven chunks or so."""
    folder = tmp_path_factory.mktemp("sync") / "snapshots"
    folder.mkdir()
    made(node, folder / str(HEIGHT))
    return folder


class Serving(SimNode):
    """A peer with a snapshot, honest or not; `None`: with none."""

    def __init__(self, world: World, name: str, node: LoneNode, folder: Path | None) -> None:
        super().__init__(world, name)
        keeper = SnapshotKeeper(self, node.store, node.outcomes.models, folder or Path("/nonexistent"), 1)
        self.keeper = keeper
        self.read: list[bytes] = []

        def find(root: bytes) -> Path | None:
            self.read.append(root)
            return keeper.find(root)

        self.run_parts(SyncServer(self, node.store, keeper), BlobExchange(self, FileSource(find)))


class New(SimNode):
    """A node with an empty ledger, or with what an earlier run has left."""

    def __init__(
        self,
        world: World,
        node: LoneNode,
        folder: Path,
        records: MemoryKeyValue | None = None,
        trust: Trust | None = None,
    ) -> None:
        super().__init__(world, f"new {id(self)}")
        self.database = records or Records()
        self.folder = folder
        (folder / "model").mkdir(parents=True, exist_ok=True)
        self.models = ModelStore(folder / "model", node.learning)
        blobs = BlobExchange(self, FileSource(lambda root: None))
        place = Place(self.database, folder / "sync", self.models)
        self.got: list[Manifest] = []
        self.sync = SnapshotSync(self, node.network, place, blobs, trust or Trust(node.network.params), self.got.append)
        self.run_parts(self.sync, blobs)

    def ends(self, span_ms: int = 600_000) -> Manifest:
        assert self.world.run(span_ms, lambda: bool(self.got)), (self.sync.progress, self.blamed)
        return self.got[0]


def is_restored(new: New, node: LoneNode) -> bool:
    """State and tree are the same to the byte, the ledger has its tip, the model its root."""
    pairs = [(dict(new.database.items(p)), dict(node.database.items(p))) for p in (b"s", b"t")]
    store = Store(new.database, node.network)
    root = store.state().ledger.model.outer_root
    kept = new.models.find(root)
    return all(one == other for one, other in pairs) and store.tip() == node.view.tip and kept is not None


def manifest_root(folder: Path) -> bytes:
    return file_root((folder / str(HEIGHT) / "manifest").read_bytes())


# ---- What is restored


def test_chunks_come_from_all_who_serve_the_snapshot_and_the_ledger_is_the_same(
    node: LoneNode, source: Path, tmp_path: Path
) -> None:
    world = World()
    new = New(world, node, tmp_path)
    peers = [Serving(world, f"peer {i}", node, source) for i in range(3)]
    for peer in peers:
        new.connect(peer)
    new.connect(Serving(world, "without", node, None))
    assert is_wanted(new.database)
    manifest = new.ends()
    assert manifest.header.height == HEIGHT and is_restored(new, node) and not new.blamed
    assert len(manifest.chunks) >= 4 and new.sync.progress == (len(manifest.chunks), len(manifest.chunks))
    assert sum(len(peer.read) > 1 for peer in peers) > 1
    assert not is_wanted(new.database) and not any((tmp_path / "sync").iterdir())


def test_it_waits_for_somebody_who_has_a_snapshot(node: LoneNode, source: Path, tmp_path: Path) -> None:
    world = World()
    new = New(world, node, tmp_path)
    new.connect(Serving(world, "without", node, None))
    world.run(60_000)
    assert not new.got
    new.connect(Serving(world, "peer", node, source))
    new.ends()
    assert is_restored(new, node)


@pytest.mark.parametrize("events", [3, 36, 37, 60, 86, 92, 97, 101, 110, 118, 119, 120])
def test_killed_at_any_step_it_goes_on_or_begins_again(
    node: LoneNode, source: Path, tmp_path: Path, events: int
) -> None:
    world = World()
    first = New(world, node, tmp_path)
    first.connect(Serving(world, "peer", node, source))
    passed = iter(range(events))
    world.run(600_000, lambda: next(passed, None) is None or bool(first.got))
    if is_wanted(first.database):
        chunks = int.from_bytes((first.database.get(RESTORED) or b"")[:8], "big")
        if chunks:
            with pytest.raises(StoreError, match="--sync snapshot"):
                Store(first.database, node.network)
        again = New(World(), node, tmp_path, first.database)
        again.connect(Serving(again.world, "peer", node, source))
        assert again.world.run(600_000, lambda: again.sync.ledger is not None)
        assert again.sync.progress[0] == chunks
        again.ends()
        assert is_restored(again, node)
    else:
        assert is_restored(first, node)


def test_what_an_earlier_run_began_of_another_snapshot_goes(node: LoneNode, source: Path, tmp_path: Path) -> None:
    """The snapshot is not served any more; its chunks do not stay between those of the next."""
    world = World()
    first = New(world, node, tmp_path / "home")
    first.connect(Serving(world, "peer", node, source))
    world.run(600_000, lambda: first.sync.progress[0] >= 2)
    other = tmp_path / "other"
    other.mkdir()
    made(node, other / str(HEIGHT), chunk_bytes=900)
    again = New(World(), node, tmp_path / "home", first.database)
    again.connect(Serving(again.world, "peer", node, other))
    again.ends()
    assert is_restored(again, node) and not again.blamed


# ---- Liars


def bad_chunk(folder: Path) -> None:
    """One byte of the last chunk, and the manifest lists it as it is."""
    folder = folder / str(HEIGHT)
    manifest = manifest_of(folder)
    path = folder / f"chunk-{len(manifest.chunks) - 1:05d}"
    flip(path, 5)
    note = replace(manifest.chunks[-1], root=file_root(path.read_bytes()))
    rewrite(folder, replace(manifest, chunks=(*manifest.chunks[:-1], note)))


def richer(folder: Path) -> None:
    """A record of its own making in a chunk that is well formed."""
    folder = folder / str(HEIGHT)
    manifest = manifest_of(folder)
    path = folder / "chunk-00001"
    chunk = Chunk.decode(path.read_bytes())
    entries = (Entry(chunk.entries[0].key, bytes(24)), *chunk.entries[1:])
    path.write_bytes(Chunk(entries, chunk.proof).encode())
    note = replace(manifest.chunks[1], root=file_root(path.read_bytes()), size=path.stat().st_size)
    rewrite(folder, replace(manifest, chunks=(manifest.chunks[0], note, *manifest.chunks[2:])))


def dropped(folder: Path) -> None:
    """A chunk is left out."""
    folder = folder / str(HEIGHT)
    manifest = manifest_of(folder)
    rewrite(folder, replace(manifest, chunks=manifest.chunks[:1] + manifest.chunks[2:]))


def own_header(folder: Path) -> None:
    """A state of its own, certified by nobody."""
    folder = folder / str(HEIGHT)
    manifest = manifest_of(folder)
    rewrite(folder, replace(manifest, header=replace(manifest.header, state_root=bytes(32))))


def gap_in_epochs(folder: Path) -> None:
    folder = folder / str(HEIGHT)
    ends = Epochs.decode((folder / "epochs").read_bytes()).ends
    data = Epochs(ends[:2] + ends[3:]).encode()
    (folder / "epochs").write_bytes(data)
    rewrite(folder, replace(manifest_of(folder), epochs_root=file_root(data)))


def no_manifest(folder: Path) -> None:
    """Something else under a root that is right."""
    (folder / str(HEIGHT) / "manifest").write_bytes(b"hello")


def other_model(folder: Path) -> None:
    folder = folder / str(HEIGHT)
    path = folder / "model.safetensors"
    flip(path, 3)
    rewrite(folder, replace(manifest_of(folder), model_root=file_root(path.read_bytes())))


@pytest.mark.parametrize("lie", [bad_chunk, richer, dropped, own_header, gap_in_epochs, no_manifest, other_model])
def test_who_offers_a_snapshot_that_does_not_prove_itself_is_cut_off_and_another_is_taken(
    node: LoneNode, source: Path, tmp_path: Path, lie: Callable[[Path], None]
) -> None:
    world = World()
    folder = copied(source, tmp_path / "bad")
    new = New(world, node, tmp_path / "home")
    liar = Serving(world, "liar", node, folder)
    lie(folder)
    root, manifest = manifest_root(folder), folder / str(HEIGHT) / "manifest"
    liar.keeper._roots[HEIGHT] = root
    files = {file_root(path.read_bytes()): path for path in manifest.parent.iterdir()}
    liar.keeper._files[HEIGHT] = files
    new.connect(liar)
    world.run(60_000)
    assert [(name, points) for name, points, _ in new.blamed] == [("liar", 100)] and not new.got
    new.connect(Serving(world, "peer", node, source))
    new.ends()
    assert is_restored(new, node) and len(new.blamed) == 1


def test_an_offer_that_cannot_be_fetched_is_passed_over(node: LoneNode, source: Path, tmp_path: Path) -> None:
    world = World()
    new = New(world, node, tmp_path)
    boaster = Serving(world, "boaster", node, source)
    boaster.keeper._roots, boaster.keeper._files = {10**9: bytes(range(32))}, {}
    new.connect(boaster)
    new.connect(Serving(world, "peer", node, source))
    new.ends(120_000)
    assert is_restored(new, node)


def test_offers_that_nobody_asked_for_are_blamed(node: LoneNode, tmp_path: Path) -> None:
    world = World()
    new, peer = New(world, node, tmp_path), SimNode(world, "peer")
    new.connect(peer)
    world.run(100)
    [asked] = [SnapshotRequest.decode(p) for _, kind, p in new.sent if kind == SNAPSHOT_REQUEST]
    for number_of in (asked.number + 1, asked.number):
        peer.send(new.key, SNAPSHOT, SnapshotOffer(number_of, 5, bytes(range(32))).encode())
    world.run(100)
    assert [(name, points) for name, points, _ in new.blamed] == [("peer", 20)] * 2


# ---- Trust


def test_the_founders_or_the_checkpoint_must_vouch_for_a_snapshot(node: LoneNode, source: Path) -> None:
    manifest = manifest_of(source / str(HEIGHT))
    ends = Epochs.decode((source / str(HEIGHT) / "epochs").read_bytes()).ends
    params, tip = node.network.params, manifest.header
    end = ends[2].header
    assert vouch(manifest, ends, Trust(params), 1 << 60) == {}
    forgotten = replace(manifest, first_epoch=1)
    for checkpoint in (None, (tip.height + 1, bytes(32)), (tip.height, bytes(32)), (end.height + 1, end.hash())):
        with pytest.raises(SnapshotError):
            vouch(forgotten, ends[1:], Trust(params, checkpoint), CREATED_MS)
    for right in ((tip.height, tip.hash()), (end.height, end.hash())):
        assert vouch(forgotten, ends[1:], Trust(params, right), CREATED_MS) == {}
        assert vouch(manifest, ends, Trust(params, right), CREATED_MS) == {}
    assert vouch(manifest, ends, Trust(params, (tip.height + 1, bytes(32))), CREATED_MS) == {}
    for wrong in ((tip.height, bytes(32)), (end.height, bytes(32))):
        with pytest.raises(CheckpointError, match="one of the two chains is forged"):
            vouch(manifest, ends, Trust(params, wrong), CREATED_MS)


def test_a_state_that_is_old_by_now_is_noted_as_trusted_and_an_old_checkpoint_is_refused(
    node: LoneNode, source: Path
) -> None:
    manifest = manifest_of(source / str(HEIGHT))
    ends = Epochs.decode((source / str(HEIGHT) / "epochs").read_bytes()).ends
    tip = replace(manifest.header, phase=HANDOVER)
    manifest, params = replace(manifest, header=tip), node.network.params
    late = tip.time_ms + Trust(params).period_ms + 1
    assert vouch(manifest, ends, Trust(params), late - 1) == {}
    assert vouch(manifest, ends, Trust(params), late) == {TRUSTED: number(late)}
    trust = Trust(params, (tip.height, tip.hash()))
    assert vouch(manifest, ends, trust, late - 1) == {}
    with pytest.raises(CheckpointError, match="the block of the checkpoint"):
        vouch(manifest, ends, trust, late)


# ---- Making them


def test_a_snapshot_is_made_at_the_end_of_every_so_many_epochs_and_the_last_two_stay(tmp_path: Path) -> None:
    world = World()
    maker = SimNode(world, "maker")
    node = LoneNode(tmp_path / "node", database=Records())
    folder = tmp_path / "snapshots"
    keeper = SnapshotKeeper(maker, node.store, node.outcomes.models, folder, 2)
    assert keeper.newest() is None and keeper.find(ZERO) is None
    seen = []
    while node.store.height < 33:
        keeper.hear_block(node.block())
        world.run(1_000)
        seen.append(keeper.newest())
    assert [found and found[0] for found in seen] == [None] * 7 + [8] * 8 + [16] * 8 + [24] * 8 + [32, 32]
    assert sorted(path.name for path in folder.iterdir()) == ["24", "32"]
    newest = keeper.newest()
    assert newest is not None
    path = keeper.find(newest[1])
    assert path is not None and file_root(path.read_bytes()) == newest[1]
    manifest = manifest_of(folder / "32")
    for root in (manifest.epochs_root, *(note.root for note in manifest.chunks)):
        found = keeper.find(root)
        assert found is not None and file_root(found.read_bytes()) == root
    assert keeper.find(ZERO) is None
    # After a restart they are found again; a draft that was cut short goes, and what is damaged is not offered.
    (folder / "40.partial").mkdir()
    (folder / "32" / "manifest").write_bytes(b"x")
    again = SnapshotKeeper(maker, node.store, node.outcomes.models, folder, 2)
    assert again.newest() == (24, file_root((folder / "24" / "manifest").read_bytes()))
    assert sorted(path.name for path in folder.iterdir()) == ["24", "32"]


def test_no_snapshot_is_made_of_a_moving_ledger_and_a_failed_one_ends_nothing(tmp_path: Path) -> None:
    world = World()
    maker = SimNode(world, "maker")
    node = LoneNode(tmp_path / "node", database=Records())
    keeper = SnapshotKeeper(maker, node.store, node.outcomes.models, tmp_path / "snapshots", 1)
    for _ in range(4):
        applied = node.block()
    keeper.hear_block(applied)
    node.block()  # before the ledger's lane gets to it
    world.run(1_000)
    assert keeper.newest() is None
    for _ in range(3):
        applied = node.block()
    (tmp_path / "snapshots").write_text("in the way")
    keeper.hear_block(applied)
    world.run(1_000)
    assert keeper.newest() is None
    (tmp_path / "snapshots").unlink()
    for _ in range(4):
        applied = node.block()
    keeper.hear_block(applied)
    world.run(1_000)
    assert keeper.newest() is not None and node.database.get(TIP) == number(12)
