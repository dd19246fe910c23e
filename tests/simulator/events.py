"""One heap of events and a clock that only they move: the whole world happens in their order."""

import heapq
import random
from collections.abc import Callable
from hashlib import blake2b


class Event:
    """Something that will happen; cancelled ones are passed over."""

    __slots__ = ("action",)

    def __init__(self, action: Callable[[], None]) -> None:
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        self.action = None


class Clock:
    """Virtual milliseconds since the world began. Events of one moment happen in the order of asking."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.now_ms = 0
        self.happened = 0
        self._heap: list[tuple[int, int, Event]] = []
        self._asked = 0
        self._trace = blake2b(digest_size=16)
        self.tell: Callable[[str], None] | None = None  # prints the log of events

    def random(self, purpose: str) -> random.Random:
        """Chance for one purpose: what is drawn for another does not shift it."""
        return random.Random(f"{self.seed} {purpose}")

    def at(self, delay_ms: int, action: Callable[[], None]) -> Event:
        event = Event(action)
        self._asked += 1
        heapq.heappush(self._heap, (self.now_ms + max(0, delay_ms), self._asked, event))
        return event

    def run(self, until_ms: int, is_over: Callable[[], bool]) -> None:
        """Let everything happen up to this time, or until it is over."""
        heap = self._heap
        while heap and heap[0][0] <= until_ms:
            self.now_ms, _, event = heapq.heappop(heap)
            if event.action is not None:
                action, event.action = event.action, None
                self.happened += 1
                action()
                if is_over():
                    return
        self.now_ms = until_ms

    def log(self, who: str, what: str, content: bytes = b"") -> None:
        """Every event that reaches a node goes into the trace: equal seeds must give equal traces."""
        self._trace.update(f"{self.now_ms} {who} {what} ".encode())
        self._trace.update(content)
        if self.tell is not None:
            self.tell(f"{self.now_ms:>8} {who:<12} {what}")

    @property
    def trace(self) -> str:
        return self._trace.hexdigest()
