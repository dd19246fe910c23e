"""Four validators on the simulator's machines with nothing wrong, and a stranger who may say whatever a test wants."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256

from chain.crypto import bls
from consensus.committee import later_turn
from consensus.messages import Vote, vote_message
from consensus.state import Epoch, State
from node.identity import Identity
from tests.simulator.adversaries import Adversary
from tests.simulator.crypto import cheap_signatures
from tests.simulator.disk import simulated_files
from tests.simulator.machine import Machine
from tests.simulator.scenario import Scenario
from tests.simulator.world import World

SETTLED_MS = 7_000  # connected, and listened for doubles


class QuietWorld(World):
    """`v` are the validators. Who is corrupted still does what it should; of others the watch demands everything."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario)
        self.v = self.machines[: scenario.validators]
        self.stranger = self.machines[-1]
        self.ended: list[BaseException] = []  # what corrupted nodes ended with
        self.corrupt(self.stranger)

    def corrupt(self, machine: Machine) -> None:
        """Nothing is expected of this one any more."""
        machine.adversary = Adversary()
        machine.adversary.settle(machine)

    def add_double(self, of: Machine) -> Machine:
        """A second machine with the validator key of another. Both may fail."""
        other = Identity(of.identity.wallet_secret, sha256(b"double").digest(), of.identity.validator_secret)
        self._add("double", other, None)
        double = self.machines[-1]
        double.disk.fill(of.disk.records)
        self.by_key[double.key] = double
        for machine in (of, double):
            self.corrupt(machine)
            self.note_end(machine)
        return double

    def note_end(self, machine: Machine) -> None:
        """A node that ends with an error stays down."""

        def failed(error: BaseException) -> None:
            self.ended.append(error)
            machine.crash()

        machine.failed = failed  # type: ignore[method-assign]

    def boot(self) -> None:
        for machine in self.machines:
            machine.boot()
        self.pass_ms(SETTLED_MS)

    def pass_ms(self, span_ms: int) -> int:
        """Let time pass; how many blocks have become final meanwhile."""
        before = self.watch.highest
        self.clock.run(self.clock.now_ms + span_ms, lambda: False)
        return self.watch.highest - before

    def every(self, pause_ms: int, action: Callable[[], None]) -> None:
        """Do something now and again and again."""
        action()
        self.clock.at(pause_ms, lambda: self.every(pause_ms, action))

    def say(self, speaker: Machine, kind: int, payload: bytes, *to: Machine) -> None:
        """The speaker says this to some, or to all that are honest."""
        for machine in to or self.honest:
            if machine is not speaker:
                speaker.carry(machine.key, kind, payload)

    def signed(self, machine: Machine, vote: Vote) -> Vote:
        """The same vote, by this machine."""
        message = vote_message(self.network.chain_id, vote.kind, vote.epoch, vote.view, vote.block_hash)
        return replace(vote, signer=self.place(machine), signature=bls.sign(machine.identity.validator_secret, message))

    def place(self, machine: Machine) -> int:
        """The number of a validator in the first committee."""
        place = self.watch.committees[0].place_of(machine.voter)
        assert place is not None
        return place

    def now(self, machine: Machine) -> tuple[State, Epoch]:
        """Where a node is."""
        assert machine.node is not None
        state, epoch = machine.node.replica.state, machine.node.replica.epoch
        assert state is not None and epoch is not None
        return state, epoch

    def next_led_by(self, machine: Machine, most: int) -> int:
        """The last view of the next so many that this validator leads."""
        state, epoch = self.now(machine)
        led = [
            state.view + ahead
            for ahead in range(1, most + 1)
            if later_turn(epoch.committee, state.turn, ahead).leader == self.place(machine)
        ]
        return led[-1]


@contextmanager
def quiet_world(**settings: int) -> Iterator[QuietWorld]:
    usual = {"founders": 4, "observers": 1, "epoch_blocks": 1_000, "transaction_ms": 10**9, "jitter_ms": 0}
    with simulated_files(), cheap_signatures():
        yield QuietWorld(Scenario(1, **(usual | settings)))


def unsigned(kind: int, epoch: int, view: int, block_hash: bytes, signer: int) -> Vote:
    """A vote in somebody's name with what has only the form of a signature."""
    number = int.from_bytes(sha256(b"%d %d %d" % (kind, view, signer) + block_hash).digest(), "big")
    return Vote(kind, epoch, view, block_hash, signer, b"\x80" + bytes(31) + number.to_bytes(64, "big"))
