"""Catching up: blocks and a snapshot from peers, against the same work without any; bytes that a light client reads.

.venv/bin/python -m bench sync [--blocks 10000] [--accounts 100000]

Peers are in this process (`tests.node.sim_runtime`), ledgers on the real database. Seconds are of processor time, both
sides of the conversation counted.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.figure import report
from bench.ledger_chain import Ledger, finalization, next_block, the_network
from bench.snapshot import fill
from chain.block import Block, Validator
from chain.transition import apply_block
from consensus.messages import Certificate
from node.blob_exchange import BlobExchange
from node.blob_source import FileSource
from node.block_sync import BlockSync
from node.checkpoint import Trust
from node.key_value import open_key_value
from node.ledger_view import LedgerView
from node.model_store import ModelStore
from node.set_chain import EpochEnd, check_final
from node.snapshot import make_snapshot
from node.snapshot_keeper import SnapshotKeeper
from node.snapshot_restore import Restoration, open_source
from node.snapshot_sync import Place, SnapshotSync
from node.store import Store
from node.sync_messages import EpochRange
from node.sync_server import SyncServer
from node.template import Learning
from tests.node.lone_node import tiny_network
from tests.node.sim_runtime import SimNode, World

HOUR_MS = 3_600_000


@dataclass
class Spent:
    cpu_s: float = 0.0
    wall_s: float = 0.0


@contextmanager
def clocked() -> Iterator[Spent]:
    found, wall, cpu = Spent(), time.perf_counter(), time.process_time()
    yield found
    found.cpu_s, found.wall_s = time.process_time() - cpu, time.perf_counter() - wall


@dataclass(frozen=True, slots=True)
class Said:
    height: int


class Heard:
    def __init__(self) -> None:
        self.statuses: dict[bytes, Said] = {}


# ---- Blocks


class History:
    """Empty blocks, each epoch's last one with its finalization, as bytes and in a ledger that serves them."""

    def __init__(self, folder: Path, blocks: int) -> None:
        self.network = the_network()
        self.blocks: list[bytes] = []
        self.certificates: dict[int, Certificate] = {}
        self.store = Store(open_key_value(folder), self.network)
        ledger, waiting = Ledger(self.network), []
        epoch_blocks = self.network.params.epoch_blocks
        for height in range(1, blocks + 1):
            waiting.append(next_block(ledger))
            self.blocks.append(waiting[-1].block.encode())
            if height % epoch_blocks == 0 or height == blocks:
                certificate = finalization(ledger.state, self.network, ledger.parent)
                self.certificates[height] = certificate
                self.store.append_all(waiting, certificate)
                waiting = []

    def replayed(self, store: Store | None) -> None:
        """Execute all blocks with a certificate checked an epoch; in memory, or into a ledger, block by block."""
        ledger = Ledger(self.network)
        view = None if store is None else LedgerView(store, self.network)
        for height, data in enumerate(self.blocks, 1):
            block = Block.decode(data)
            state = ledger.state if view is None else view.state()
            certificate = self.certificates.get(height)
            if certificate is not None:
                check_final(
                    block.header, certificate.encode(), state.validators(block.header.epoch).members, self.network
                )
            parent, read = (ledger.parent, ledger.nodes.get) if view is None else (view.tip, view.store.node)
            applied = apply_block(state, parent, block, self.network, read, True)
            if view is None:
                ledger.keep(applied)
            else:
                view.store.append(applied, certificate)
                view.tip = applied.parent


def synced(history: History, folder: Path, peers: int, latency_ms: int) -> tuple[Spent, int]:
    """What it costs to sync everything, and the milliseconds of the simulated clock."""
    world = World(latency_ms=latency_ms, started_ms=history.network.created_ms)
    view = LedgerView(Store(open_key_value(folder), history.network), history.network)
    node, heard = SimNode(world, "node"), Heard()
    sync = BlockSync(node, view, heard, lambda certificate, height: None)
    node.run_parts(sync)
    goal = len(history.blocks)
    for i in range(peers):
        peer = SimNode(world, f"peer {i}")
        peer.run_parts(SyncServer(peer, history.store))
        node.connect(peer)
        heard.statuses[peer.key] = Said(goal)
    with clocked() as spent:
        if not world.run(HOUR_MS, lambda: view.tip.height == goal):
            raise SystemExit(f"the sync has stopped at height {view.tip.height}: {node.blamed}")
    view.store.close()
    return spent, world.now_ms


def measure_blocks(folder: Path, blocks: int) -> None:
    history = History(folder / "served", blocks)
    note = f"{blocks} empty blocks, epochs of {history.network.params.epoch_blocks}"
    with clocked() as memory:
        history.replayed(None)
    with clocked() as disk:
        history.replayed(Store(open_key_value(folder / "replayed"), history.network))
    spent, _ = synced(history, folder / "synced", 3, 20)
    wall = f"{note}; wall clock {spent.wall_s:.1f} s"
    report("sync_blocks_s", round(spent.cpu_s, 2), "s", round(memory.cpu_s, 2), wall + "; reference: replay in memory")
    wall = f"{note}; wall clock {spent.wall_s:.1f} s against {disk.wall_s:.1f} s"
    report("sync_blocks_disk_s", round(spent.cpu_s, 2), "s", round(disk.cpu_s, 2), wall + "; reference: replay to disk")
    alone = synced(history, folder / "one", 1, 50)[1]
    four = synced(history, folder / "four", 4, 50)[1]
    note += ", 100 ms there and back, simulated clock; reference: one peer"
    report("sync_blocks_four_peers_ms", four, "ms", alone, note)
    history.store.close()


# ---- A snapshot


def measure_snapshot(folder: Path, accounts: int) -> None:
    network = tiny_network()
    fill(folder / "home", accounts)
    database = open_key_value(folder / "home" / "ledger")
    store, models = Store(database, network), ModelStore(folder / "home" / "model", Learning.of(network))
    (folder / "snapshots").mkdir()
    make_snapshot(store, models, folder / "snapshots" / str(store.height))
    with clocked() as local:
        Restoration(open_source(folder / "snapshots" / str(store.height)), folder / "restored").run()
    world = World(started_ms=network.created_ms)
    node = SimNode(world, "node")
    for name in ("ledger", "model"):
        (folder / "new" / name).mkdir(parents=True)
    place = Place(
        open_key_value(folder / "new" / "ledger"),
        folder / "new" / "sync",
        ModelStore(folder / "new" / "model", models.learning),
    )
    blobs, got = BlobExchange(node, FileSource(lambda root: None)), []
    node.run_parts(SnapshotSync(node, network, place, blobs, Trust(network.params), got.append), blobs)
    for i in range(3):
        peer = SimNode(world, f"peer {i}")
        keeper = SnapshotKeeper(peer, store, models, folder / "snapshots", 1)
        peer.run_parts(SyncServer(peer, store, keeper), BlobExchange(peer, FileSource(keeper.find)))
        node.connect(peer)
    with clocked() as spent:
        if not world.run(HOUR_MS, lambda: bool(got)):
            raise SystemExit(f"the snapshot does not come: {node.blamed}")
    note = f"{accounts} accounts, {len(got[0].chunks)} chunks, 3 peers; wall clock {spent.wall_s:.1f} s"
    report("sync_snapshot_s", round(spent.cpu_s, 2), "s", round(local.cpu_s, 2), note + "; reference: from a folder")
    place.database.close()
    database.close()


# ---- A light client


def measure_light(validators: int) -> None:
    network = the_network()
    ledger = Ledger(network, validators - 1)
    for _ in range(network.params.epoch_blocks):
        applied = next_block(ledger)
    header = applied.block.header
    certificate = finalization(ledger.state, network, ledger.parent).encode()
    members: tuple[Validator, ...] = ledger.state.validators(0).members
    for following, words in (((), "unchanged"), (members, "changed")):
        ends = tuple(EpochEnd(header, certificate, following) for _ in range(100))
        size = len(EpochRange(1, (), ends).encode()) / 100
        note = f"{validators} validators, the set is {words}; reference: the goal for an unchanged set of 100"
        report(f"light_bytes_per_epoch_{validators}_{words}", size, "B", 1000 if not following else None, note)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench sync")
    parser.add_argument("--blocks", type=int, default=10_000)
    parser.add_argument("--accounts", type=int, default=100_000)
    options = parser.parse_args(arguments)
    parts: list[Callable[[Path], None]] = [
        lambda folder: measure_blocks(folder, options.blocks),
        lambda folder: measure_snapshot(folder, options.accounts),
    ]
    for part in parts:
        folder = Path(tempfile.mkdtemp(prefix="neuroshard-sync-"))
        try:
            part(folder)
        finally:
            shutil.rmtree(folder)
    for validators in (4, 100):
        measure_light(validators)
