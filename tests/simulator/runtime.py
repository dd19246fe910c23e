"""`node.runtime.Runtime` in a simulated world: one for each life of a node, from its start to its crash."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from network.peer import Peer
from tests.simulator.events import Event

if TYPE_CHECKING:
    from tests.simulator.machine import Machine

T = TypeVar("T")
WORK_MS = 12  # the longest that a piece of work takes aside; each draws its own time


class SimRuntime:
    """Surroundings of one life. After `end` nothing of this life happens any more."""

    def __init__(self, machine: "Machine", life: int) -> None:
        self.machine = machine
        self.clock = machine.world.clock
        self.alive = True
        self.random = self.clock.random(f"{machine.name} life {life}")
        self._chance = self.clock.random(f"{machine.name} work {life}")
        self.connected: dict[bytes, Peer] = {}
        self.tied: dict[bytes, object] = {}  # the connection to each of them
        self.lanes: dict[str, deque[tuple[Callable[[], Any], Callable[[Any], None]]]] = {}
        self.timers = 0  # that are set and have not fired

    def end(self) -> None:
        self.alive = False

    # ---- time

    def now_ms(self) -> int:
        return self.clock.now_ms

    def wall_ms(self) -> int:
        return self.machine.wall_ms()

    def later(self, delay_ms: int, action: Callable[[], None]) -> Event:
        return self.clock.at(delay_ms, lambda: self.machine.turn(self, "timer", action))

    # ---- work aside

    def offload(self, lane: str, work: Callable[[], T], done: Callable[[T], None]) -> None:
        queue = self.lanes.setdefault(lane, deque())
        queue.append((work, done))
        if len(queue) == 1:
            self._begin(lane)

    def _begin(self, lane: str) -> None:
        """The work happens at some moment of its time, and is heard of at the end of it: a crash may fall between."""
        before, after = self._chance.randrange(WORK_MS), self._chance.randrange(WORK_MS)
        self.clock.at(before, lambda: self.machine.turn(self, f"work {lane}", lambda: self._work(lane, after)))

    def _work(self, lane: str, after: int) -> None:
        found = self.lanes[lane][0][0]()
        self.clock.at(after, lambda: self.machine.turn(self, f"done {lane}", lambda: self._done(lane, found)))

    def _done(self, lane: str, found: Any) -> None:
        queue = self.lanes[lane]
        _, done = queue.popleft()
        if queue:
            self._begin(lane)
        done(found)

    # ---- peers

    def peers(self) -> Mapping[bytes, Peer]:
        return self.connected

    def send(self, key: bytes, kind: int, payload: bytes) -> None:
        self.machine.send(key, kind, payload)

    def fail(self, error: BaseException) -> None:
        # Never inside the call that asked for it: the node is in the middle of something.
        self.clock.at(0, lambda: self.machine.failed(error) if self.alive else None)

    def blame(self, key: bytes, points: int, reason: str) -> None:
        self.machine.blame(key, points, reason)

    def praise(self, key: bytes) -> None:
        """Good words change nothing here."""
