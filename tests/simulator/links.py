"""The network between the machines: connections that open, lag, stall and break, and partitions.

A connection carries messages as TCP does, in order and whole; what a packet loss costs is time. A `wild` network goes
beyond what TCP allows: it also loses, doubles and reorders single messages, since the protocols must survive it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from network.kinds import KINDS
from network.peer import Peer
from tests.simulator.runtime import SimRuntime

if TYPE_CHECKING:
    from tests.simulator.machine import Machine
    from tests.simulator.world import World

RESEND_MS = 200  # what a lost packet costs at least
DIAL_MS = 1_000  # between two tries to connect
NOTICE_MS = 4_000  # until a peer that fell silent is taken for gone
BAN_SCORE, BAN_MS = 100, 5_000  # short, so that who does wrong comes back and does more of it


@dataclass(frozen=True, slots=True)
class Quality:
    """How good the network is. Chances in thousandths, times in milliseconds."""

    latency_ms: int = 20
    jitter_ms: int = 20
    resend: int = 0  # of messages that a lost packet holds up
    lose: int = 0  # of messages that vanish; wild
    double: int = 0  # of messages that come twice; wild
    reorder: bool = False  # wild
    bytes_per_ms: int = 0  # of one direction of a connection; 0: no bound


@dataclass(slots=True, eq=False)
class Connection:
    """Two lives of two machines, tied together. `free_ms`: when each direction has carried what was given to it."""

    ends: tuple[SimRuntime, SimRuntime]
    broken: bool = False
    free_ms: dict[int, int] = field(default_factory=dict)
    last_ms: dict[int, int] = field(default_factory=dict)


class Links:
    """All connections. `groups` says who can reach whom: machines of different groups cannot."""

    def __init__(self, world: "World", quality: Quality) -> None:
        self.world, self.clock, self.quality = world, world.clock, quality
        self.random = self.clock.random("links")
        self.connections: dict[tuple[int, int], Connection] = {}
        self.groups: dict[int, int] = {}
        self.banned: dict[tuple[int, int], int] = {}  # (who, whom) → until
        self.scores: dict[tuple[int, int], int] = {}
        self.messages = self.bytes = 0
        self._dialling: set[tuple[int, int]] = set()

    # ---- connecting

    def up(self, machine: "Machine") -> None:
        """A machine has started: it dials all others, and they it."""
        for other in self.world.machines:
            if other is not machine:
                self._dial(machine.place, other.place)

    def _dial(self, one: int, two: int) -> None:
        pair = (min(one, two), max(one, two))
        if pair not in self._dialling:
            self._dialling.add(pair)
            self.clock.at(self.random.randrange(1, DIAL_MS), lambda: self._try(pair))

    def _try(self, pair: tuple[int, int]) -> None:
        self._dialling.discard(pair)
        one, two = (self.world.machines[place] for place in pair)
        if pair in self.connections or one.runtime is None or two.runtime is None:
            return  # The one that is down dials when it is up again.
        if not self.reaches(*pair) or self._is_banned(*pair) or not one.may_connect(two):
            self._dial(*pair)
            return
        ends = (one.runtime, two.runtime) if self.random.random() < 0.5 else (two.runtime, one.runtime)
        connection = self.connections[pair] = Connection(ends)
        for place, end in enumerate(ends):
            delay = self.random.randrange(1, self.quality.latency_ms + 2)
            connection.last_ms[end.machine.place] = self.clock.now_ms + delay
            self.clock.at(
                delay, lambda place=place, end=end: self._joined(connection, end, ends[1 - place], place == 0)
            )  # type: ignore[misc]

    def _joined(self, connection: Connection, end: SimRuntime, other: SimRuntime, outbound: bool) -> None:
        if not connection.broken and end.alive:
            self._left(end, other)  # An older connection that is dead and was not noticed.
            end.tied[other.machine.key] = connection
            end.machine.joined(end, peer_of(other.machine, outbound))

    def reaches(self, one: int, two: int) -> bool:
        return self.groups.get(one, 0) == self.groups.get(two, 0)

    def _is_banned(self, one: int, two: int) -> bool:
        now = self.clock.now_ms
        return self.banned.get((one, two), 0) > now or self.banned.get((two, one), 0) > now

    # ---- breaking

    def break_up(self, pair: tuple[int, int], noticed_ms: int = 1) -> None:
        """End a connection: what is under way is lost. Each end that still lives hears of it after so long."""
        connection = self.connections.pop(pair, None)
        if connection is None:
            return
        connection.broken = True
        for place, end in enumerate(connection.ends):
            other = connection.ends[1 - place]
            delay = self.random.randrange(1, noticed_ms + 1)
            self.clock.at(delay, lambda end=end, other=other: self._gone(connection, end, other))  # type: ignore[misc]

    def _gone(self, connection: Connection, end: SimRuntime, other: SimRuntime) -> None:
        if end.tied.get(other.machine.key) is connection:
            self._left(end, other)
        self._dial(end.machine.place, other.machine.place)

    def _left(self, end: SimRuntime, other: SimRuntime) -> None:
        if end.alive and end.tied.pop(other.machine.key, None) is not None:
            end.machine.left(end, other.machine.key)

    def down(self, machine: "Machine") -> None:
        """A machine has crashed: the others notice, some at once, some late."""
        for pair in [pair for pair in self.connections if machine.place in pair]:
            self.break_up(pair, NOTICE_MS if self.random.random() < 0.2 else 50)

    def divide(self, groups: Iterable[Iterable[int]]) -> None:
        """From now on only machines of one group reach each other."""
        self.groups = {place: number for number, group in enumerate(groups) for place in group}
        for pair in list(self.connections):
            if not self.reaches(*pair):
                self.break_up(pair, NOTICE_MS if self.random.random() < 0.5 else 100)

    def heal(self) -> None:
        self.groups = {}

    # ---- carrying

    def send(self, sender: SimRuntime, receiver: "Machine", kind: int, payload: bytes) -> None:
        one, two = sender.machine.place, receiver.place
        connection = self.connections.get((one, two) if one < two else (two, one))
        if connection is None or sender not in connection.ends:
            return
        self.messages += 1
        self.bytes += len(payload)
        quality, chance = self.quality, self.random
        now = self.clock.now_ms
        free = now
        if quality.bytes_per_ms:
            free = max(now, connection.free_ms.get(two, 0)) + len(payload) // quality.bytes_per_ms
            connection.free_ms[two] = free
        arrival = free + quality.latency_ms + chance.randrange(quality.jitter_ms + 1)
        if quality.resend and chance.randrange(1000) < quality.resend:
            arrival += RESEND_MS + chance.randrange(RESEND_MS)
        if quality.lose and chance.randrange(1000) < quality.lose:
            return
        arrival = max(arrival, connection.last_ms[two])
        if not quality.reorder:
            connection.last_ms[two] = arrival
        self._carry(connection, receiver, arrival - now, (kind, payload))
        if quality.double and chance.randrange(1000) < quality.double:
            self._carry(connection, receiver, arrival - now + chance.randrange(500), (kind, payload))

    def _carry(self, connection: Connection, receiver: "Machine", delay_ms: int, message: tuple[int, bytes]) -> None:
        ends = connection.ends
        end, other = ends if ends[0].machine is receiver else (ends[1], ends[0])
        sender, (kind, payload) = other.machine, message

        def arrive() -> None:
            if not connection.broken and end.alive:
                receiver.received(end, sender, kind, payload)

        self.clock.at(delay_ms, arrive)

    # ---- judging

    def blame(self, one: int, two: int, points: int) -> None:
        """`one` blames `two`; at the limit it breaks the connection and keeps it broken for a while."""
        score = self.scores[one, two] = self.scores.get((one, two), 0) + points
        if score >= BAN_SCORE:
            self.scores[one, two] = 0
            self.banned[one, two] = self.clock.now_ms + BAN_MS
            self.break_up((min(one, two), max(one, two)))


def kind_name(kind: int) -> str:
    return KINDS[kind].name if kind in KINDS else f"kind {kind}"


def peer_of(machine: "Machine", outbound: bool) -> Peer:
    """What others see of a machine."""
    return Peer(machine.key, f"{machine.name}:1", outbound, machine.roles, f"{machine.name}:1", machine.voucher, "sim")
