"""A few nodes that exchange blobs, on one heap of events: every run is the same."""

import heapq
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from network.kinds import KINDS
from network.peer import VALIDATOR, Peer
from node.blob_exchange import BlobExchange
from node.parts import Parts
from tests.network.blob_servers import Memory

LATENCY_MS = 10


@dataclass(slots=True)
class Event:
    action: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class World:
    """Simulated time, and who is connected to whom."""

    seed: int = 1
    now: int = 0
    nodes: dict[bytes, "SimNode"] = field(default_factory=dict)
    links: dict[bytes, dict[bytes, Peer]] = field(default_factory=dict)
    _heap: list[tuple[int, int, Event]] = field(default_factory=list)
    _count: int = 0

    def later(self, delay_ms: int, action: Callable[[], None]) -> Event:
        self._count += 1
        event = Event(action)
        heapq.heappush(self._heap, (self.now + delay_ms, self._count, event))
        return event

    def run(self, until_ms: int | None = None) -> None:
        """Until nothing is left to happen, or that time."""
        while self._heap and (until_ms is None or self._heap[0][0] <= until_ms):
            self.now, _, event = heapq.heappop(self._heap)
            if not event.cancelled:
                event.action()
        self.now = max(self.now, until_ms or 0)

    def node(self, *blobs: bytes) -> "SimNode":
        return SimNode(self, bytes([len(self.nodes) + 1]) * 33, Memory.of(*blobs))

    def connect(self, one: "SimNode", *others: "SimNode") -> None:
        for other in others:
            for here, there in ((one, other), (other, one)):
                peer = Peer(there.key, "192.0.2.1:1", here is one, VALIDATOR, "", b"", "")
                self.links[here.key][there.key] = peer
                here.parts.joined(peer)

    def disconnect(self, one: "SimNode", other: "SimNode") -> None:
        for here, there in ((one, other), (other, one)):
            del self.links[here.key][there.key]
            here.parts.left(there.key)


class SimNode:
    """A node with the one part, and its `node.runtime.Runtime`."""

    def __init__(self, world: World, key: bytes, source: Memory) -> None:
        self.world, self.key, self.source = world, key, source
        self.random = random.Random(f"{world.seed} {key.hex()}")
        self.blamed: dict[bytes, list[str]] = {}
        self.sent: list[tuple[bytes, int]] = []  # to whom, which kind
        world.nodes[key], world.links[key] = self, {}
        self.blobs = BlobExchange(self, source)
        self.parts = Parts(self, [self.blobs])

    def now_ms(self) -> int:
        return self.world.now

    def wall_ms(self) -> int:
        return self.world.now

    def later(self, delay_ms: int, action: Callable[[], None]) -> Event:
        return self.world.later(delay_ms, action)

    def offload(self, lane: str, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        self.world.later(1, lambda: done(work()))

    def peers(self) -> Mapping[bytes, Peer]:
        return self.world.links[self.key]

    def send(self, key: bytes, kind: int, payload: bytes) -> None:
        assert len(payload) <= KINDS[kind].bytes_maximum
        self.sent.append((key, kind))
        link = self.peers().get(key)

        def arrive() -> None:
            if self.peers().get(key) is link:
                self.world.nodes[key].received(self.key, kind, payload)

        if link is not None:
            self.world.later(LATENCY_MS, arrive)

    def received(self, key: bytes, kind: int, payload: bytes) -> None:
        self.parts.received(key, kind, payload)

    def fail(self, error: BaseException) -> None:
        raise error

    def blame(self, key: bytes, points: int, reason: str) -> None:
        self.blamed.setdefault(key, []).append(reason)

    def praise(self, key: bytes) -> None:
        pass
