"""Those who do what they like, each a wrapper around a real node: it sees what leaves and says what leaves instead.

Together they always hold less than a third of the power. One file for each; `ADVERSARIES` names them.
"""

from collections.abc import Iterable
from importlib import import_module
from random import Random
from typing import TYPE_CHECKING

from network.peer import Peer

if TYPE_CHECKING:
    from tests.simulator.machine import Machine
    from tests.simulator.runtime import SimRuntime

Outgoing = Iterable[tuple[bytes, int, bytes]]  # key of the peer, kind, payload

ADVERSARIES = (
    "equivocator",
    "twin",
    "silent_leader",
    "withholder",
    "liar",
    "mutator",
    "flooder",
    "clock_skew",
    "forger",
)


class Adversary:
    """Behaves well; those in the files beside replace what they do otherwise."""

    machine: "Machine"
    random: Random  # chance of its own
    twins = 0  # further machines with the same validator key

    def settle(self, machine: "Machine") -> None:
        """It lives on this machine from now on."""
        self.machine = machine
        self.random = machine.world.clock.random(f"{machine.name} wicked")

    def say(self, key: bytes, kind: int, payload: bytes) -> None:
        """Send something of its own making."""
        self.machine.carry(key, kind, payload)

    def peers(self) -> list[bytes]:
        """Keys of those it is connected to."""
        runtime = self.machine.runtime
        return sorted(runtime.connected) if runtime is not None else []

    def half(self) -> frozenset[bytes]:
        """One half of all others, always the same."""
        keys = [machine.key for machine in self.machine.world.machines if machine is not self.machine]
        return frozenset(keys[::2])

    def outgoing(self, key: bytes, kind: int, payload: bytes) -> Outgoing:
        """What leaves instead of this message."""
        yield key, kind, payload

    def wall_ms(self, true_ms: int) -> int:
        """What its wall clock shows."""
        return true_ms

    def started(self, runtime: "SimRuntime") -> None:
        """A life of its node has begun."""

    def joined(self, peer: Peer) -> None:
        """A peer is there."""


def make_adversary(name: str) -> Adversary:
    """A new one of this name."""
    assert name in ADVERSARIES, f"{name} is none of {', '.join(ADVERSARIES)}"
    made: Adversary = import_module(f"tests.simulator.adversaries.{name}").Behaviour()
    return made
