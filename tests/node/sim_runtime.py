"""A few nodes' parts in one process, on a clock that moves when nothing else can happen: `node.runtime` made small."""

import heapq
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from network.kinds import KINDS
from network.peer import ARCHIVE, Peer
from node.parts import Part, Parts

STARTED_MS = 1_800_000_000_000  # by the wall
LATENCY_MS, WORK_MS = 20, 2


@dataclass(slots=True)
class Due:
    """Something that will happen, unless cancelled."""

    action: Callable[[], None] | None

    def cancel(self) -> None:
        self.action = None


@dataclass
class World:
    """The clock and the wires. `latency_ms` is one way."""

    latency_ms: int = LATENCY_MS
    now_ms: int = 0
    started_ms: int = STARTED_MS
    _heap: list[tuple[int, int, Due]] = field(default_factory=list)
    _order: Any = field(default_factory=count)

    def after(self, delay_ms: int, action: Callable[[], None]) -> Due:
        due = Due(action)
        heapq.heappush(self._heap, (self.now_ms + delay_ms, next(self._order), due))
        return due

    def run(self, span_ms: int, until: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass, until something is so or the span is over; whether it is so."""
        end = self.now_ms + span_ms
        while self._heap and self._heap[0][0] <= end and not until():
            self.now_ms, _, due = heapq.heappop(self._heap)
            if due.action is not None:
                due.action()
        if not until():
            self.now_ms = end
        return until()


class SimNode:
    """A runtime and the parts on it. A peer that has earned 100 points is cut off for good."""

    def __init__(self, world: World, name: str, roles: int = ARCHIVE) -> None:
        self.world = world
        self.key = name.encode().ljust(33, b"\0")
        self.roles = roles
        self.random = random.Random(name)
        self.parts = Parts(self, ())
        self.linked: dict[bytes, tuple[SimNode, Peer]] = {}
        self.blamed: list[tuple[str, int, str]] = []
        self.praised: list[str] = []
        self.sent: list[tuple[bytes, int, bytes]] = []
        self.lanes: dict[str, deque[tuple[Callable[[], Any], Callable[[Any], None]]]] = {}
        self.longest: dict[str, int] = {}  # pieces of work by lane

    def run_parts(self, *parts: Part) -> None:
        self.parts = Parts(self, parts)

    def connect(self, other: "SimNode") -> None:
        for one, two in ((self, other), (other, self)):
            peer = Peer(two.key, "127.0.0.1:1", one is self, two.roles, "", b"", "test")
            one.linked[two.key] = two, peer
            one.parts.joined(peer)

    def disconnect(self, other: "SimNode") -> None:
        for one, two in ((self, other), (other, self)):
            if one.linked.pop(two.key, None):
                one.parts.left(two.key)

    # ---- Runtime

    def now_ms(self) -> int:
        return self.world.now_ms

    def wall_ms(self) -> int:
        return self.world.started_ms + self.world.now_ms

    def later(self, delay_ms: int, action: Callable[[], None]) -> Due:
        return self.world.after(delay_ms, action)

    def offload(self, lane: str, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        queue = self.lanes.setdefault(lane, deque())
        queue.append((work, done))
        if len(queue) == 1:
            self.world.after(WORK_MS, lambda: self._work(lane))

    def _work(self, lane: str) -> None:
        queue = self.lanes[lane]
        work, done = queue[0]
        found = work()
        queue.popleft()
        if queue:
            self.world.after(WORK_MS, lambda: self._work(lane))
        self.world.after(0, lambda: done(found))

    def peers(self) -> Mapping[bytes, Peer]:
        return {key: peer for key, (_, peer) in self.linked.items()}

    def send(self, key: bytes, kind: int, payload: bytes) -> None:
        assert len(payload) <= KINDS[kind].bytes_maximum
        self.sent.append((key, kind, payload))
        if key in self.linked:
            other = self.linked[key][0]
            self.world.after(self.world.latency_ms, lambda: other.receive(self.key, kind, payload))

    def receive(self, key: bytes, kind: int, payload: bytes) -> None:
        if key in self.linked:
            self.parts.received(key, kind, payload)

    def fail(self, error: BaseException) -> None:
        raise error

    def blame(self, key: bytes, points: int, reason: str) -> None:
        self.blamed.append((name_of(key), points, reason))
        if key in self.linked and sum(p for name, p, _ in self.blamed if name == name_of(key)) >= 100:
            self.world.after(0, lambda: self.disconnect(self.linked[key][0]) if key in self.linked else None)

    def praise(self, key: bytes) -> None:
        self.praised.append(name_of(key))


def name_of(key: bytes) -> str:
    return key.rstrip(b"\0").decode()
