"""What the mempool holds, and the sums over it: every change goes through `put`, `cut` or `behead`."""

from collections import OrderedDict

from node.mempool_eviction import Eviction, Missing
from node.mempool_queue import EVIDENCE, PAYING, Accused, Queue, Waiting


class Contents:
    """Queues by sender, transactions by id, and how much of everything there is."""

    def __init__(self) -> None:
        self.queues: dict[bytes, Queue] = {}
        self.by_id: OrderedDict[bytes, Waiting] = OrderedDict()  # by arrival, so the first one's time ends first
        self.by_name: dict[bytes, Waiting] = {}
        self.accused: dict[Accused, Waiting] = {}
        self.counts = [0, 0, 0]  # by lane
        self.bytes = 0  # of those who pay; the others are few
        self._eviction: Eviction | None = None  # made when somebody has to go for the first time

    def put(self, waiting: Waiting) -> None:
        """Behind its sender's others, or in the place of one with its nonce."""
        queue = self.queues.setdefault(waiting.sender, Queue(waiting.sender))
        other = queue.at(waiting.nonce)
        if other is None:
            queue.items.append(waiting)
        else:
            self._count(other, -1)
            queue.items[waiting.nonce - queue.items[0].nonce] = waiting
        self._count(waiting, +1)
        self._changed(queue)

    def cut(self, queue: Queue, length: int) -> None:
        """Keep the first `length` of a queue: none stays without those before it."""
        for item in queue.items[length:]:
            self._count(item, -1)
        del queue.items[length:]
        self._changed(queue)

    def behead(self, queue: Queue, nonce: int) -> None:
        """Forget what has a nonce below this."""
        gone = sum(item.nonce < nonce for item in queue.items)
        for item in queue.items[:gone]:
            self._count(item, -1)
        del queue.items[:gone]
        self._changed(queue)

    def drop(self, waiting: Waiting) -> None:
        """Forget this transaction, and what its sender has behind it; nothing happens if it is gone."""
        queue = self.queues.get(waiting.sender)
        if queue is not None and queue.at(waiting.nonce) is waiting:
            self.cut(queue, waiting.nonce - queue.items[0].nonce)

    def victims(self, missing: Missing, spared: Queue | None, base_fee: int) -> dict[Queue, int] | None:
        """See `Eviction.victims`."""
        ranked = self._eviction
        # Another base fee is another order.
        if ranked is None or ranked.base_fee != base_fee:
            ranked = self._eviction = Eviction(self.queues.values(), base_fee)
        return ranked.victims(missing, spared)

    def _changed(self, queue: Queue) -> None:
        queue.version += 1
        if not queue.items:
            del self.queues[queue.sender]
        if self._eviction is not None and self._eviction.is_bloated(len(self.queues)):
            self._eviction = None
        if self._eviction is not None and queue.items:
            self._eviction.push(queue)

    def _count(self, waiting: Waiting, number: int) -> None:
        self.counts[waiting.lane] += number
        if waiting.lane == PAYING:
            self.bytes += number * len(waiting.encoded)
        if number > 0:
            self.by_id[waiting.id] = waiting
            self.by_name[waiting.name] = waiting
        else:
            del self.by_id[waiting.id]
            # Two may share a name, if somebody has searched for such a pair: the last one has it.
            if self.by_name.get(waiting.name) is waiting:
                del self.by_name[waiting.name]
        if waiting.lane == EVIDENCE and waiting.accused is not None:
            if number > 0:
                self.accused[waiting.accused] = waiting
            else:
                del self.accused[waiting.accused]
