"""The order in which a block takes what waits: evidence, registrations, then who tips most; each sender's by nonce."""

import heapq
from collections.abc import Iterable

from node.mempool_queue import EVIDENCE, REGISTRATION, Queue, Waiting

Entry = tuple[int, int, int, int, Queue]  # lane, minus the tip, arrival, index, queue


class BlockOrder:
    """Gives one transaction at a time. A sender's following one comes up only after `advance`.

    Equal tips go by arrival. What cannot pay the base fee is left out, and with it what its sender has behind it.
    """

    def __init__(self, queues: Iterable[Queue], base_fee: int) -> None:
        self._base_fee = base_fee
        self._heap = [entry for queue in queues if (entry := self._entry(queue, 0)) is not None]
        heapq.heapify(self._heap)
        self._last: Entry | None = None

    def next(self) -> Waiting | None:
        """The best that is left, None at the end."""
        if not self._heap:
            return None
        self._last = heapq.heappop(self._heap)
        return self._last[4].items[self._last[3]]

    def advance(self) -> None:
        """The one given last is taken: its sender's following one has its turn now."""
        assert self._last is not None
        _, _, _, index, queue = self._last
        entry = self._entry(queue, index + 1) if index + 1 < len(queue.items) else None
        if entry is not None:
            heapq.heappush(self._heap, entry)

    def _entry(self, queue: Queue, index: int) -> Entry | None:
        item = queue.items[index]
        if item.lane == EVIDENCE and index:
            return None  # It has to stand before all others in a block: it waits for the next one.
        tip = 0 if item.lane == REGISTRATION else item.effective_tip(self._base_fee)
        return None if tip < 0 else (item.lane, -tip, item.arrival, index, queue)
