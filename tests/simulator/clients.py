"""People with wallets: they hand in registrations, ask until they are told that one is final, and then rely on it."""

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chain.errors import NeuroError
from chain.transactions import Transaction
from node.identity import Identity

if TYPE_CHECKING:
    from tests.simulator.machine import Machine
    from tests.simulator.world import World

ASK_MS = 500  # between two questions for what waits
AGAIN_MS = 3_000  # after so long somebody else is asked


@dataclass(slots=True)
class Waiting:
    """A transaction that was handed in."""

    transaction: Transaction
    machine: "Machine"
    since_ms: int


class Clients:
    """`final`: id of each transaction that a node told to be final, with its height."""

    def __init__(self, world: "World") -> None:
        self.world, self.clock, self.random = world, world.clock, world.clock.random("clients")
        self.waiting: dict[bytes, Waiting] = {}
        self.final: dict[bytes, int] = {}
        self.made = 0

    def start(self) -> None:
        if self.world.scenario.transaction_ms:
            self.clock.at(self.world.scenario.transaction_ms, self._make)
            self.clock.at(ASK_MS, self._ask)

    def _make(self) -> None:
        self.made += 1
        secret = b"%032d" % self.made
        identity = Identity(secret, secret[::-1], bytes(31) + b"\x01")
        transaction = identity.registration(0, 0, False, self.world.network.chain_id)
        self._hand_in(transaction)
        if not self.world.faults.over:
            self.clock.at(self.world.scenario.transaction_ms, self._make)

    def _hand_in(self, transaction: Transaction) -> None:
        up = [machine for machine in self.world.honest if machine.node is not None]
        identity = transaction.id(self.world.network.chain_id)
        if not up:
            return
        machine = self.random.choice(up)
        self.waiting[identity] = Waiting(transaction, machine, self.clock.now_ms)
        assert machine.runtime is not None and machine.node is not None
        submit = machine.node.submit

        def hand_in() -> None:
            with suppress(NeuroError):  # Refused for now, or it is in a block already.
                submit(transaction)

        machine.turn(machine.runtime, "client", hand_in)

    def _ask(self) -> None:
        for identity, waiting in list(self.waiting.items()):
            node = waiting.machine.node
            height = node.store.height_of_transaction(identity) if node is not None else None
            if height is not None:
                self.final[identity] = height
                del self.waiting[identity]
            elif self.clock.now_ms - waiting.since_ms > AGAIN_MS:
                self._hand_in(waiting.transaction)
        self.clock.at(ASK_MS, self._ask)

    def end(self) -> None:
        """Whoever has the height of a transaction that was told to be final has it there."""
        for machine in self.world.honest:
            node = machine.node
            if node is None:
                continue
            for identity, height in self.final.items():
                if node.view.tip.height >= height and node.store.height_of_transaction(identity) != height:
                    self.world.fail(f"{machine.name} lacks a transaction that was told to be final at {height}")
