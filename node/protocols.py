"""The protocols of one node, wired together over a runtime: the same in the real node and in the simulator.

Start reading at `Protocols`. Nothing here opens a socket, a file or a clock.
"""

from chain.block import Block
from network.peer import Peer
from node.block_exchange import BlockExchange
from node.mempool import Mempool
from node.own import Hooks, Own
from node.parts import Parts
from node.replica import Replica
from node.runtime import Runtime
from node.standing import Standing


class Protocols:
    """Made in the order of need; `parts` hears what peers do."""

    def __init__(self, runtime: Runtime, own: Own, mempool: Mempool, hooks: Hooks) -> None:
        network = own.view.network
        self.runtime = runtime
        self.standing = Standing(runtime, network.chain_id, self._where)
        self.blocks = BlockExchange(runtime, network, self._find_block, mempool.find_transaction)
        self.replica = Replica(runtime, own, self.blocks, self.standing, hooks)
        self.parts = Parts(runtime, (self.standing, self.blocks, self.replica))

    def start(self) -> None:
        self.standing.start()
        self.replica.start()

    def stop(self) -> None:
        self.replica.stop()

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
