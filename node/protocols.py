"""The protocols of one node, wired together over a runtime: the same in the real node and in the simulator.

Start reading at `Protocols`. Nothing here opens a socket, a file or a clock.
"""

from dataclasses import dataclass, replace

from chain.block import Block
from chain.crypto.votes import Evidence
from chain.transition import Applied
from network.blob_server import BlobSource
from network.peer import Peer
from node.blob_exchange import BlobExchange
from node.block_exchange import BlockExchange
from node.block_sync import BlockSync
from node.checkpoint import Trust
from node.claims import Claims
from node.corpus_exchange import CorpusExchange
from node.corpus_source import CorpusSource
from node.own import Hooks, Own
from node.parts import Part, Parts
from node.relay import Relay
from node.replica import Replica
from node.reporting import Reporting
from node.runtime import Runtime
from node.snapshot_keeper import SnapshotKeeper
from node.standing import Standing
from node.sync_server import SyncServer


@dataclass(frozen=True, slots=True)
class Services:
    """What a node does beyond the chain, if it does: whom it believes after a long absence, and what it serves."""

    trust: Trust | None = None
    source: BlobSource | None = None
    keeper: SnapshotKeeper | None = None
    corpus: CorpusSource | None = None


class Protocols:
    """Made in the order of need; `parts` hears what peers do."""

    def __init__(self, runtime: Runtime, own: Own, hooks: Hooks, services: Services | None = None) -> None:
        network, producer = own.view.network, own.producer
        services = services or Services()
        self.runtime, self.own, self.hooks = runtime, own, hooks
        self.mempool = producer.mempool
        self.standing = Standing(runtime, network.chain_id, self._where)
        self.blocks = BlockExchange(runtime, network, self._find_block, self.mempool.find_transaction)
        heard = replace(hooks, on_final=self._on_final, report=self._report)
        self.replica = Replica(runtime, own, self.blocks, self.standing, heard)
        self.relay = Relay(runtime, self.mempool, own.view.state, self.replica.news)
        self.claims = Claims(runtime, network, producer.pool, own.view.state, producer.driver.claims, self.replica.news)
        self.reporting = Reporting(own.identity, network, self.mempool)
        self.sync = BlockSync(runtime, own.view, self.standing, self.replica.synced, services.trust)
        self.sync.hear_block.append(self.replica.passed)
        self.standing.on_status.append(self.sync.on_status)
        server = SyncServer(runtime, own.view.store, services.keeper)
        parts: list[Part] = [self.standing, self.blocks, self.replica, self.relay, self.claims, self.sync, server]
        self.blobs = None if services.source is None else BlobExchange(runtime, services.source)
        if self.blobs is not None:
            parts.append(self.blobs)
        self.corpus = None if services.corpus is None else CorpusExchange(runtime, network.corpus_root, services.corpus)
        if self.corpus is not None:
            parts.append(self.corpus)
        self.parts = Parts(runtime, parts)

    def start(self) -> None:
        self.standing.start()
        self.replica.start()

    def stop(self) -> None:
        self.replica.stop()

    def speak(self) -> None:
        """This node has got further in its round: say what there is to say, and make a block if that is worth one."""
        self.claims.speak()
        self.replica.news()

    def _on_final(self, applied: Applied) -> None:
        """A block is final. The mempool and the pool of claims follow it before anybody else hears of it."""
        state = self.own.view.state()
        state.changes.update(applied.state.changes)  # What the block wrote need not be read from the disk again.
        self.mempool.follow(state, applied.state.changes)
        self.reporting.follow(state)
        self.hooks.on_final(applied)
        self.claims.follow()

    def _report(self, evidence: Evidence) -> None:
        self.reporting.report(evidence, self.own.view.state())
        self.hooks.report(evidence)

    def joined(self, peer: Peer) -> None:
        self.parts.joined(peer)

    def left(self, key: bytes) -> None:
        self.parts.left(key)

    def received(self, key: bytes, kind: int, payload: bytes) -> None:
        self.parts.received(key, kind, payload)

    def _find_block(self, block_hash: bytes) -> Block | None:
        return self.replica.candidates.find(block_hash)

    def _where(self) -> tuple[int, bytes, int, int]:
        tip, state, epoch = self.replica.view.tip, self.replica.state, self.replica.epoch
        return tip.height, tip.hash, tip.epoch if epoch is None else epoch.number, 0 if state is None else state.view
