"""The protocols of a real node on a simulated machine: what is made up is training, and nothing else."""

from typing import TYPE_CHECKING

from chain.crypto.votes import Certificate, Evidence
from chain.transactions import Transaction
from chain.transition import Applied
from node.audit_driver import AuditDriver
from node.consistency import open_sign_state
from node.declarations import Candidacy, Declarations, Registration
from node.ledger_view import LedgerView
from node.mempool import Mempool
from node.own import Hooks, Own
from node.producer import Producer
from node.protocols import Protocols
from node.round_driver import RoundDriver
from node.standing import make_voucher
from node.store import Store
from tests.simulator.audits import MadeUpExaminer, SimSegments, SimWords, unjust
from tests.simulator.disk import SimKeyValue, SimPath
from tests.simulator.runtime import SimRuntime
from tests.simulator.training import MadeUpOutcomes, MadeUpTrainer

if TYPE_CHECKING:
    from tests.simulator.machine import Machine


class Assembly:
    """One life of a node, wired as `node.node.Node` does it. `submit` is what its API does with a transaction."""

    def __init__(self, machine: "Machine", runtime: SimRuntime) -> None:
        self.machine, self.network = machine, machine.world.network
        identity = machine.identity
        self.store = Store(SimKeyValue(machine.disk), self.network)
        self.view = LedgerView(self.store, self.network)
        self.mempool = Mempool(self.network, runtime.wall_ms)
        outcomes = MadeUpOutcomes(self.store.state)
        self.driver = RoundDriver(self.network, identity, outcomes)  # type: ignore[arg-type]
        self.producer = Producer(self.network, self.driver, self.mempool)
        self.declarations = Declarations(identity, self.network, self.mempool)
        path = SimPath(machine.disk, "sign-state")
        self.sign_state = open_sign_state(path, self.view, machine.voter)  # type: ignore[arg-type]
        own = Own(identity, self.view, self.producer, self.sign_state, len(machine.world.machines) > 1)
        self.protocols = Protocols(runtime, own, Hooks(self._on_final, self._report, self._accuse))
        self.parts, self.replica = self.protocols.parts, self.protocols.replica
        machine.voucher = make_voucher(self.network.chain_id, machine.key, identity.validator_secret)
        self.words = SimWords(machine.disk)
        segments = SimSegments(machine, self.store.state) if machine.trains else None
        self.audits = AuditDriver(self.network, identity, self.words, segments)
        self.audits.examiner = examiner = MadeUpExaminer(machine, runtime, self.words, self.store.state)
        examiner.news = self.protocols.speak
        self.driver.also.append(self.audits.inputs)
        if machine.trains:
            MadeUpTrainer(machine, runtime, self.driver, self.protocols.speak)
            self.declarations.registration = Registration(identity, 0, True)
            self.declarations.candidacy = Candidacy(identity, self.network)

    def start(self) -> None:
        self._react()
        self.protocols.start()

    def _on_final(self, applied: Applied) -> None:
        if fault := unjust(applied.receipts):
            self.machine.world.fail(fault)
        self._react()

    def _report(self, evidence: Evidence) -> None:
        vote = evidence.first
        self.machine.world.watch.accused(self.machine, vote.epoch, [vote.signer])

    def _accuse(self, first: Certificate, second: Certificate) -> None:
        both = int.from_bytes(first.bitmap, "little") & int.from_bytes(second.bitmap, "little")
        places = [place for place in range(both.bit_length()) if both >> place & 1]
        self.machine.world.watch.accused(self.machine, first.epoch, places)

    def _react(self) -> None:
        state = self.store.state()
        self.driver.follow(state, self.view.tip.height)
        self.audits.follow(state, self.view.tip.height)
        self.words.prune(state.open_audits)
        self.declarations.follow(state)

    def submit(self, transaction: Transaction) -> None:
        """Raises an error of the family if it is refused."""
        self.mempool.add(transaction, self.store.state())
        self.replica.news()
