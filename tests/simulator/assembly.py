"""The parts of a real node, wired as `node.node.Node` wires them, on a simulated machine."""

from typing import TYPE_CHECKING

from chain.block import Outcome
from chain.crypto.hashing import tagged_hash
from chain.transactions import Transaction
from chain.transition import Applied
from node.block_exchange import BlockExchange
from node.consistency import open_sign_state
from node.ledger_view import LedgerView
from node.mempool import Mempool
from node.parts import Parts
from node.producer import Producer
from node.relay_messages import name_of
from node.replica import Hooks, Own, Replica
from node.round_driver import RoundDriver
from node.standing import Standing, make_voucher
from node.store import Store
from tests.simulator.disk import SimKeyValue, SimPath
from tests.simulator.runtime import SimRuntime

if TYPE_CHECKING:
    from tests.simulator.machine import Machine


class MadeUpOutcomes:
    """In place of `node.outcomes.Outcomes`: training is no part of this world, so every payload is sound."""

    model_path = "none"

    def holds(self, claimed: object) -> bool | None:
        return True

    def prepared(self, counted_root: bytes, outer_root: bytes) -> Outcome | None:
        roots = (tagged_hash("simulated", name, counted_root, outer_root) for name in (b"o", b"m", b"s", b"a"))
        return Outcome(counted_root, *roots)


class Assembly:
    """One life of a node. `submit` is what its API does with a transaction."""

    def __init__(self, machine: "Machine", runtime: SimRuntime) -> None:
        self.machine, self.runtime, self.network = machine, runtime, machine.world.network
        identity = machine.identity
        self.store = Store(SimKeyValue(machine.disk), self.network)
        self.view = LedgerView(self.store, self.network)
        self.mempool = Mempool(self.network, runtime.wall_ms)
        self.driver = RoundDriver(self.network, identity, MadeUpOutcomes())  # type: ignore[arg-type]
        self.producer = Producer(self.network, self.driver, self.mempool)
        self.names: dict[bytes, bytes] = {}
        path = SimPath(machine.disk, "sign-state")
        self.sign_state = open_sign_state(path, self.view, machine.voter)  # type: ignore[arg-type]
        self.blocks = BlockExchange(runtime, self.network, lambda name: self.replica.candidates.find(name), self.names.get)
        self.standing = Standing(runtime, self.network.chain_id, self._where)
        own = Own(identity, self.view, self.producer, self.sign_state, len(machine.world.machines) > 1)
        self.replica = Replica(runtime, own, self.blocks, self.standing, Hooks(self._on_final))
        self.parts = Parts(runtime, [self.standing, self.blocks, self.replica])
        machine.voucher = make_voucher(self.network.chain_id, machine.key, identity.validator_secret)

    def start(self) -> None:
        self.standing.start()
        self.replica.start()

    def _where(self) -> tuple[int, bytes, int, int]:
        tip, epoch, state = self.view.tip, self.replica.epoch, self.replica.state
        return tip.height, tip.hash, epoch.number if epoch else 0, state.view if state else 0

    def _on_final(self, applied: Applied) -> None:
        header = applied.block.header
        self.mempool.follow(self.store.state(), applied.state.changes)
        if header.height % self.network.params.epoch_blocks == 0:
            self.sign_state.prune(header.epoch, header.view)

    def submit(self, transaction: Transaction) -> None:
        """Raises an error of the family if it is refused."""
        self.mempool.add(transaction, self.store.state())
        encoded = transaction.encode()
        self.names[name_of(encoded)] = encoded
        self.replica.news()
