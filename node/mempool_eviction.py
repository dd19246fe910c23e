"""Who has to go when the mempool is full: the lowest effective tip, of a sender the highest nonces first.

A sender ranks by the lowest tip in its queue: what stands behind that nonce cannot be taken without it, whatever it
tips itself. Evidence and registrations have no rank and are counted elsewhere.
"""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count

from node.mempool_queue import PAYING, Queue

Entry = tuple[int, int, int, int, int, Queue]  # lowest tip, minus the last's arrival, serial, version, length, queue
SLACK = 64


@dataclass(frozen=True, slots=True)
class Missing:
    """The room that a newcomer lacks, and what it is worth."""

    places: int
    bytes: int
    tip: int


class Eviction:
    """A heap of senders. Entries that a change has made wrong are left in it and passed over."""

    def __init__(self, queues: Iterable[Queue], base_fee: int) -> None:
        self.base_fee = base_fee
        self._serial = count()
        self._heap: list[Entry] = []
        for queue in queues:
            self.push(queue)

    def __len__(self) -> int:
        return len(self._heap)

    def is_bloated(self, senders: int) -> bool:
        return len(self._heap) > 4 * senders + SLACK

    def push(self, queue: Queue, length: int | None = None) -> None:
        """Rank a queue anew after a change, or as if only its first `length` were left."""
        length = len(queue.items) if length is None else length
        lowest = queue.lowest_tip(self.base_fee, length)
        if lowest is not None:
            arrival = queue.items[length - 1].arrival
            heapq.heappush(self._heap, (lowest, -arrival, next(self._serial), queue.version, length, queue))

    def victims(self, missing: Missing, spared: Queue | None) -> dict[Queue, int] | None:
        """How much of which queues may stay so that the newcomer has room; None: it tips too little for that.

        Nothing is changed: the caller cuts the queues.
        """
        places, size = missing.places, missing.bytes
        kept: dict[Queue, int] = {}
        looked: list[Queue] = []
        while places > 0 or size > 0:
            entry = self._pop(kept)
            if entry is None or entry[0] >= missing.tip:
                for queue in dict.fromkeys(looked):
                    self.push(queue)
                if entry is not None:
                    heapq.heappush(self._heap, entry)
                return None
            queue, length = entry[5], entry[4]
            looked.append(queue)
            if queue is spared:
                continue
            length, places, size = _cut(queue, length, places, size)
            kept[queue] = length
            self.push(queue, length)
        if spared is not None and spared in looked:
            self.push(spared)
        return kept

    def _pop(self, kept: dict[Queue, int]) -> Entry | None:
        while self._heap:
            entry = heapq.heappop(self._heap)
            _, _, _, version, length, queue = entry
            if version == queue.version and length == kept.get(queue, len(queue.items)):
                return entry
        return None


def _cut(queue: Queue, length: int, places: int, size: int) -> tuple[int, int, int]:
    """Take one who pays off the end, with what stands behind it; the length, places and bytes that are left to do."""
    while length:
        length -= 1
        item = queue.items[length]
        if item.lane == PAYING:
            return length, places - 1, size - len(item.encoded)
    return length, places, size
