"""The protocols of a real node on a simulated machine: what is made up is training, and nothing else."""

from typing import TYPE_CHECKING

from chain.block import Outcome
from chain.crypto.hashing import tagged_hash
from chain.transactions import Transaction
from chain.transition import Applied
from node.consistency import open_sign_state
from node.ledger_view import LedgerView
from node.mempool import Mempool
from node.own import Hooks, Own
from node.producer import Producer
from node.protocols import Protocols
from node.round_driver import RoundDriver
from node.standing import make_voucher
from node.store import Store
from tests.simulator.disk import SimKeyValue, SimPath
from tests.simulator.runtime import SimRuntime

if TYPE_CHECKING:
    from tests.simulator.machine import Machine


class MadeUpOutcomes:
    """In place of `node.outcomes.Outcomes`: every payload is here and sound, every outer step has some result."""

    model_path = "none"

    def holds(self, claimed: object) -> bool | None:
        return True

    def prepared(self, counted_root: bytes, outer_root: bytes) -> Outcome | None:
        roots = (tagged_hash("simulated", name, counted_root, outer_root) for name in (b"o", b"m", b"s", b"a"))
        return Outcome(counted_root, *roots)


class Assembly:
    """One life of a node. `submit` is what its API does with a transaction."""

    def __init__(self, machine: "Machine", runtime: SimRuntime) -> None:
        self.machine, self.network = machine, machine.world.network
        identity = machine.identity
        self.store = Store(SimKeyValue(machine.disk), self.network)
        self.view = LedgerView(self.store, self.network)
        self.mempool = Mempool(self.network, runtime.wall_ms)
        self.driver = RoundDriver(self.network, identity, MadeUpOutcomes())  # type: ignore[arg-type]
        self.producer = Producer(self.network, self.driver, self.mempool)
        path = SimPath(machine.disk, "sign-state")
        self.sign_state = open_sign_state(path, self.view, machine.voter)  # type: ignore[arg-type]
        own = Own(identity, self.view, self.producer, self.sign_state, len(machine.world.machines) > 1)
        self.protocols = Protocols(runtime, own, self.mempool, Hooks(self._on_final))
        self.parts, self.replica = self.protocols.parts, self.protocols.replica
        machine.voucher = make_voucher(self.network.chain_id, machine.key, identity.validator_secret)

    def start(self) -> None:
        self.protocols.start()

    def _on_final(self, applied: Applied) -> None:
        self.mempool.follow(self.store.state(), applied.state.changes)

    def submit(self, transaction: Transaction) -> None:
        """Raises an error of the family if it is refused."""
        self.mempool.add(transaction, self.store.state())
        self.replica.news()
