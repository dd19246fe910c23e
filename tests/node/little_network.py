"""A few nodes in one thread: protocol parts on a simulated clock, with every message delivered in order after 5 ms.

What a node sends can be seen in `log`, lost (`drop`), or said by a peer that keeps to no protocol (`say`).
"""

import heapq
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import TypeVar

from network.peer import Peer
from node.parts import Part, Parts

T = TypeVar("T")
LATENCY_MS = 5
START_MS = 1_700_000_000_000


@dataclass(eq=False)
class Alarm:
    action: Callable[[], None] | None

    def cancel(self) -> None:
        self.action = None


@dataclass
class Message:
    sender: bytes
    receiver: bytes
    kind: int
    payload: bytes


def a_peer(key: bytes) -> Peer:
    return Peer(key, "127.0.0.1:1", True, 0, "", b"", "test")


class LittleNetwork:
    """Time, and the links between the nodes."""

    def __init__(self) -> None:
        self.time_ms = 0
        self.nodes: dict[bytes, LittleRuntime] = {}
        self.log: list[Message] = []
        self.drop: Callable[[Message], bool] = lambda message: False
        self._heap: list[tuple[int, int, Alarm]] = []
        self._serial = count()

    def node(self, name: str) -> "LittleRuntime":
        """A new node, connected to nobody."""
        key = name.encode().ljust(33, b".")
        self.nodes[key] = LittleRuntime(self, key)
        return self.nodes[key]

    def connect(self, *nodes: "LittleRuntime") -> None:
        """Everybody with everybody."""
        for one in nodes:
            for other in nodes:
                if one is not other and other.key not in one.connected:
                    one.connected[other.key] = a_peer(other.key)
                    one.parts.joined(one.connected[other.key])

    def disconnect(self, one: "LittleRuntime", other: "LittleRuntime") -> None:
        for here, there in ((one, other), (other, one)):
            del here.connected[there.key]
            here.parts.left(there.key)

    def at(self, delay_ms: int, action: Callable[[], None]) -> Alarm:
        alarm = Alarm(action)
        heapq.heappush(self._heap, (self.time_ms + delay_ms, next(self._serial), alarm))
        return alarm

    def run(self, for_ms: int = 1_000) -> None:
        """Let everything happen that happens within this time."""
        end_ms = self.time_ms + for_ms
        while self._heap and self._heap[0][0] <= end_ms:
            self.time_ms, _, alarm = heapq.heappop(self._heap)
            if alarm.action is not None:
                alarm.action()
        self.time_ms = end_ms

    def carry(self, message: Message) -> None:
        self.log.append(message)
        if not self.drop(message):
            self.at(LATENCY_MS, lambda: self._deliver(message))

    def _deliver(self, message: Message) -> None:
        receiver = self.nodes[message.receiver]
        if message.sender in receiver.connected:
            receiver.parts.received(message.sender, message.kind, message.payload)

    def sent(self, kind: int, sender: "LittleRuntime | None" = None) -> list[Message]:
        """Messages of a kind so far."""
        return [each for each in self.log if each.kind == kind and sender in (None, self.nodes[each.sender])]


@dataclass(eq=False)
class LittleRuntime:
    """One node's surroundings."""

    network: LittleNetwork
    key: bytes
    connected: dict[bytes, Peer] = field(default_factory=dict)
    blamed: list[tuple[bytes, int, str]] = field(default_factory=list)
    praised: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.key)
        self.parts = Parts(self, [])

    def runs(self, *parts: Part) -> None:
        self.parts = Parts(self, parts)

    def points(self, peer: "LittleRuntime") -> int:
        """What a peer has been blamed for in sum."""
        return sum(points for key, points, _ in self.blamed if key == peer.key)

    def say(self, receiver: "LittleRuntime", kind: int, payload: bytes) -> None:
        self.network.carry(Message(self.key, receiver.key, kind, payload))

    # ---- Runtime

    def now_ms(self) -> int:
        return self.network.time_ms

    def wall_ms(self) -> int:
        return START_MS + self.network.time_ms

    def later(self, delay_ms: int, action: Callable[[], None]) -> Alarm:
        return self.network.at(delay_ms, action)

    def offload(self, lane: str, work: Callable[[], T], done: Callable[[T], None]) -> None:
        self.network.at(1, lambda: done(work()))

    def peers(self) -> Mapping[bytes, Peer]:
        return self.connected

    def send(self, key: bytes, kind: int, payload: bytes) -> None:
        if key in self.connected:
            self.network.carry(Message(self.key, key, kind, payload))

    def blame(self, key: bytes, points: int, reason: str) -> None:
        self.blamed.append((key, points, reason))

    def praise(self, key: bytes) -> None:
        self.praised.append(key)
