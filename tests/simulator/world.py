"""All of one run: machines, network, faults, clients, and the watch over what must always hold. Start at `simulate`."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from time import process_time
from typing import Any

from chain.genesis import Network
from node.identity import Identity
from tests.simulator.adversaries import Adversary, make_adversary
from tests.simulator.assembly import Assembly
from tests.simulator.clients import Clients
from tests.simulator.crypto import cheap_signatures
from tests.simulator.disk import simulated_files
from tests.simulator.events import Clock
from tests.simulator.faults import Faults
from tests.simulator.genesis import CREATED_MS, first_records, made_network, stakes_at_the_start
from tests.simulator.invariants import Watch
from tests.simulator.links import Links
from tests.simulator.machine import Machine
from tests.simulator.runtime import SimRuntime
from tests.simulator.scenario import Scenario

AFTER_MS = 2_000  # what is still watched once everything has come back to life


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a run. `failure`: what did not hold; empty if everything did."""

    scenario: Scenario
    failure: str
    place: str  # where in the code a node's error was raised
    trace: str
    events: int
    messages: int
    blocks: int  # final
    views: int  # of the validator that has seen most
    epochs: int
    transactions: int  # known to be final
    crashes: int
    recovered_ms: int  # from the end of the chaos to the next final block; -1: not seen
    over: bool  # ended early: the adversary came to a third of the power
    virtual_ms: int
    seconds: float  # of this process

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "command": self.scenario.command()}


class Failed(BaseException):
    """Something did not hold; no node may catch it."""


def an_identity(name: str) -> Identity:
    """Keys that depend on the name only."""
    wallet, node = (sha256(f"{name} {what}".encode()).digest() for what in ("wallet", "node"))
    validator = (int.from_bytes(sha256(f"{name} validator".encode()).digest(), "big") >> 8).to_bytes(32, "big")
    return Identity(wallet, node, validator)


class World:
    """`run` lets the scenario happen; `Failed` is raised where something does not hold."""

    def __init__(self, scenario: Scenario, tell: Callable[[str], None] | None = None) -> None:
        self.scenario = scenario
        self.clock = Clock(scenario.seed)
        self.clock.tell = tell
        self.started_ms = CREATED_MS + 1_000
        self.ended_at_ms = 0
        self.over = False
        names = [f"v{number}" for number in range(scenario.validators)]
        identities = [an_identity(name) for name in names]
        founders, stakers = identities[: scenario.founders], identities[scenario.founders :]
        self.network: Network = made_network(scenario, founders)
        self.stakes = stakes_at_the_start(scenario, founders, stakers)
        self.machines: list[Machine] = []
        self.watch = Watch(self)
        self.links = Links(self, scenario.quality)
        self.faults = Faults(self)
        self.clients = Clients(self)
        self._settle(identities)
        for machine in self.machines:
            machine.disk.fill(first_records(self.network, self.stakes))
        self.by_key = {machine.key: machine for machine in self.machines}
        self.assemble: Callable[[Machine, SimRuntime], Assembly] = Assembly

    def _settle(self, identities: list[Identity]) -> None:
        """Put every node on a machine of its own. The adversaries are the first founders: less than a third."""
        scenario, chance = self.scenario, self.clock.random("machines")
        wicked = (scenario.founders - 1) // 3 if scenario.adversary else 0
        for place, identity in enumerate(identities):
            adversary = make_adversary(scenario.adversary) if place < wicked else None
            self._add(f"v{place}", identity, adversary)
            for number in range(adversary.twins if adversary else 0):
                twin = Identity(identity.wallet_secret, sha256(b"%d" % number).digest(), identity.validator_secret)
                self._add(f"v{place}twin{number}", twin, make_adversary(scenario.adversary))
        for number in range(scenario.observers):
            self._add(f"o{number}", an_identity(f"observer {number}"), None)
        for machine in self.machines[max(0, len(self.machines) - scenario.trainers) :]:
            machine.trains = True
        for machine in self.machines:
            if machine.honest and scenario.skew_ms:
                machine.skew_ms = chance.randrange(-scenario.skew_ms, scenario.skew_ms + 1)

    def _add(self, name: str, identity: Identity, adversary: Adversary | None) -> None:
        self.machines.append(Machine(self, len(self.machines), name, identity, adversary))

    @property
    def honest(self) -> list[Machine]:
        return [machine for machine in self.machines if machine.honest]

    def fail(self, reason: str, error: BaseException | None = None) -> None:
        raise Failed(reason) from error

    def run(self) -> None:
        """Chaos, then calm until everybody has come back to life, and a while more."""
        chance = self.clock.random("boot")
        for machine in self.machines:
            self.clock.at(chance.randrange(200), machine.boot)
        self.faults.start()
        self.clients.start()
        chaos_ms = self.scenario.chaos_ms
        self.clock.run(chaos_ms, lambda: self.over)
        limit = chaos_ms + self.watch.patience_ms()
        while not self.over and not self.watch.recovered() and self.clock.now_ms < limit:
            self.clock.run(min(limit, self.clock.now_ms + 200), lambda: self.over)
        if not self.over and not self.watch.recovered():
            self.fail(self.watch.lateness())
        if not self.over:
            self.clock.run(self.clock.now_ms + AFTER_MS, lambda: self.over)
        self.watch.end()


@contextmanager
def surroundings(scenario: Scenario) -> Iterator[None]:
    """Within, files are simulated, and signatures are cheap unless real ones are asked for."""
    with ExitStack() as stack:
        stack.enter_context(simulated_files())
        if not scenario.real_crypto:
            stack.enter_context(cheap_signatures())
        yield


def simulate(scenario: Scenario, tell: Callable[[str], None] | None = None) -> Result:
    """Let a scenario happen and say what came of it. The same scenario always gives the same trace."""
    began = process_time()
    with surroundings(scenario):
        world = World(scenario, tell)
        failure = place = ""
        try:
            world.run()
        except Failed as error:
            failure, cause = str(error), error.__cause__
            place = "".join(traceback.format_exception(cause)[-12:]) if cause is not None else ""
    watch, clock = world.watch, world.clock
    return Result(
        scenario=scenario,
        failure=failure,
        place=place,
        trace=clock.trace,
        events=clock.happened,
        messages=world.links.messages,
        blocks=len(watch.chain),
        views=watch.views(),
        epochs=watch.epochs(),
        transactions=len(world.clients.final),
        crashes=sum(machine.lives - 1 for machine in world.machines),
        recovered_ms=watch.recovered_ms,
        over=world.over,
        virtual_ms=clock.now_ms,
        seconds=round(process_time() - began, 3),
    )
