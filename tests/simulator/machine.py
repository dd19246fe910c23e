"""One machine of the simulated world: a disk that stays, and lives of a node that come and go on it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from network.kinds import CERTIFICATE, PROPOSAL, VOTE
from network.peer import TRAINER, VALIDATOR, Peer
from node.identity import Identity
from tests.simulator.adversaries import Adversary
from tests.simulator.disk import Disk, PowerCut
from tests.simulator.links import kind_name
from tests.simulator.runtime import SimRuntime

if TYPE_CHECKING:
    from tests.simulator.assembly import Assembly
    from tests.simulator.world import World


class Machine:
    """`adversary`: None for the honest. `turn` is the only way in which anything happens to its node."""

    def __init__(self, world: "World", place: int, name: str, identity: Identity, adversary: Adversary | None) -> None:
        self.world, self.place, self.name, self.identity = world, place, name, identity
        self.adversary = adversary
        self.key, self.voter = identity.node_public_key, identity.validator_public_key
        self.roles = TRAINER | VALIDATOR
        self.voucher = b""
        self.disk = Disk(world.clock.random(f"{name} disk"))
        self.skew_ms = 0  # of its wall clock
        self.trains = False
        self.lives = 0
        self.runtime: SimRuntime | None = None
        self.node: Assembly | None = None
        self.blamed: dict[str, int] = {}  # reasons for which it was blamed, and how often
        if adversary is not None:
            adversary.settle(self)

    @property
    def honest(self) -> bool:
        return self.adversary is None

    def wall_ms(self) -> int:
        true_ms = self.world.started_ms + self.world.clock.now_ms
        return true_ms + self.skew_ms if self.adversary is None else self.adversary.wall_ms(true_ms)

    # ---- lives

    def boot(self) -> None:
        """Start a node on what the disk has."""
        if self.runtime is not None:
            return
        self.lives += 1
        runtime = self.runtime = SimRuntime(self, self.lives)
        self.turn(runtime, "boot", lambda: self._assemble(runtime))
        if self.runtime is runtime:
            self.world.links.up(self)

    def _assemble(self, runtime: SimRuntime) -> None:
        self.node = self.world.assemble(self, runtime)
        self.world.watch.booted(self)
        self.node.start()
        if self.adversary is not None:
            self.adversary.started(runtime)

    def crash(self, back_ms: int | None = None) -> None:
        """The node is gone at once, and with it what was not synced. It starts again after so long; None: never."""
        if self.runtime is not None:
            self.world.clock.log(self.name, "crash")
            self.runtime.end()
            self.runtime = self.node = None
            self.disk.crash()
            self.world.links.down(self)
            if back_ms is not None:
                self.world.clock.at(back_ms, self.boot)

    def turn(self, runtime: SimRuntime, what: str, action: Callable[[], None], content: bytes = b"") -> None:
        """Something happens to a life of the node; afterwards everything that must hold is looked at."""
        if not runtime.alive:
            return
        self.world.clock.log(self.name, what, content)
        try:
            action()
        except PowerCut:
            self.crash(self.world.faults.away_ms())
            return
        except Exception as error:
            self.failed(error)
            return
        self.world.watch.look_at(self)

    def failed(self, error: BaseException) -> None:
        """The node ends with an error. An honest one never does."""
        if self.honest:
            self.world.fail(f"{self.name} ended: {type(error).__name__}: {error}", error)
        self.crash(self.world.faults.away_ms())

    # ---- peers

    def joined(self, runtime: SimRuntime, peer: Peer) -> None:
        runtime.connected[peer.key] = peer

        def tell() -> None:
            assert self.node is not None
            self.node.parts.joined(peer)
            if self.adversary is not None:
                self.adversary.joined(peer)

        self.turn(runtime, f"joined {peer.address}", tell)

    def left(self, runtime: SimRuntime, key: bytes) -> None:
        if runtime.connected.pop(key, None) is not None:
            assert self.node is not None
            parts = self.node.parts
            self.turn(runtime, f"left {self.world.by_key[key].name}", lambda: parts.left(key))

    def received(self, runtime: SimRuntime, sender: "Machine", kind: int, payload: bytes) -> None:
        assert self.node is not None
        parts = self.node.parts
        what = f"{kind_name(kind)} from {sender.name}"
        self.turn(runtime, what, lambda: parts.received(sender.key, kind, payload), payload)

    def may_connect(self, other: "Machine") -> bool:
        return self.key != other.key

    def send(self, key: bytes, kind: int, payload: bytes) -> None:
        runtime = self.runtime
        if runtime is None or key not in runtime.connected:
            return
        if self.adversary is None:
            if kind in (VOTE, PROPOSAL, CERTIFICATE):
                self.world.watch.leaving(self, kind, payload)
            self.carry(key, kind, payload)
            return
        for to, other_kind, other_payload in self.adversary.outgoing(key, kind, payload):
            self.carry(to, other_kind, other_payload)

    def carry(self, key: bytes, kind: int, payload: bytes) -> None:
        """Give a message to the network, whatever it says."""
        runtime = self.runtime
        if runtime is not None and key in runtime.connected:
            self.world.links.send(runtime, self.world.by_key[key], kind, payload)

    def blame(self, key: bytes, points: int, reason: str) -> None:
        other = self.world.by_key.get(key)
        if other is not None:
            self.world.clock.log(self.name, f"blames {other.name} {points}: {reason}")
            other.blamed[reason] = other.blamed.get(reason, 0) + 1
            self.world.watch.blamed(self, other, points, reason)
            # What comes twice or late in a wild network looks like malice, and cannot happen on a real connection.
            if not (self.world.scenario.wild and self.honest and other.honest):
                self.world.links.blame(self.place, other.place, points)
