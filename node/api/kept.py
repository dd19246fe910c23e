"""Answers that are still true: asked again they are not made again. Nothing is kept for longer than it is right.

What follows from the ledger alone is kept until the next block, what names waiting transactions until one comes or
goes, and what the trainer changes all the time for a moment.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

ENTRIES_MAXIMUM = 256
BYTES_MAXIMUM = 4_000_000  # together; one answer may have a quarter of it
LEDGER, WAITING, MOMENT = "ledger", "waiting", "moment"


@dataclass(frozen=True, slots=True)
class Entry:
    body: bytes
    made_in: Hashable
    until: float  # of the clock


class Kept:
    """The answers of one node, by what was asked, as it was written; the least lately made are forgotten."""

    def __init__(self, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds  # how long a moment is
        self.now = now
        self.bytes = 0
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, asked: str, state: Hashable) -> bytes | None:
        """The answer, if it was made of this state and its time is not over."""
        entry = self._entries.get(asked)
        if entry is None or entry.made_in != state or self.now() >= entry.until:
            return None
        return entry.body

    def keep(self, asked: str, state: Hashable, body: bytes, is_brief: bool) -> None:
        """Remember an answer. `state` is what it was made of, or something older."""
        size = len(asked) + len(body)
        if size > BYTES_MAXIMUM // 4:
            return
        self._forget(asked)
        self._entries[asked] = Entry(body, state, self.now() + self.seconds if is_brief else float("inf"))
        self.bytes += size
        while len(self._entries) > ENTRIES_MAXIMUM or self.bytes > BYTES_MAXIMUM:
            self._forget(next(iter(self._entries)))

    def _forget(self, asked: str) -> None:
        entry = self._entries.pop(asked, None)
        if entry is not None:
            self.bytes -= len(asked) + len(entry.body)
