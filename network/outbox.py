"""What waits to leave on one connection: strict priorities, bounded, split into frames. Pure.

A frame is one byte, the kind, and at most FRAME_BYTES_MAXIMUM bytes of payload; a set top bit of that byte says that
the message goes on in a later frame of the same kind. Messages of one priority leave one after another. Between two
frames of a block a vote can leave, so that a vote never waits for 8 MiB.
"""

from collections import deque
from dataclasses import dataclass, field

from network.kinds import BLOCKS, CONSENSUS, EVIDENCE, EXCHANGE, KINDS, MIB

FRAME_BYTES_MAXIMUM = 64 << 10  # of payload
MORE = 0x80  # in the byte of the kind: the message goes on
CONSENSUS_BYTES_MAXIMUM = 1 * MIB
BYTES_MAXIMUM = 16 * MIB  # of all other messages together
MESSAGES_MAXIMUM = 8_192  # of one priority
MESSAGE_OVERHEAD = 128  # bytes that a queued message costs besides its payload, so that empty ones count too
POOL_BYTES_MAXIMUM = 128 * MIB
FAIR_BYTES = 1 * MIB


class Overflow(Exception):
    """Messages that must not be dropped do not fit: the peer is too slow."""


@dataclass(slots=True)
class Pool:
    """What all connections together have queued below the priority of blocks: many slow readers must not fill memory.

    When it is full, each connection may still queue FAIR_BYTES. Blocks are the same bytes for all and do not count.
    """

    bytes_maximum: int = POOL_BYTES_MAXIMUM
    used: int = 0


@dataclass(slots=True)
class _Queue:
    """The messages of one priority. `sent` bytes of the first have left: its rest must follow."""

    messages: deque[tuple[int, bytes]] = field(default_factory=deque)
    size: int = 0
    sent: int = 0

    def droppable(self) -> int:
        return self.size - (_size_of(self.messages[0][1]) if self.sent else 0)


def _size_of(payload: bytes) -> int:
    return len(payload) + MESSAGE_OVERHEAD


class Outbox:
    """The queues of one connection. `dropped` counts what was thrown away."""

    def __init__(self, pool: Pool, bytes_maximum: int = BYTES_MAXIMUM) -> None:
        self._queues = [_Queue() for _ in range(EXCHANGE + 1)]
        self._pool = pool
        self._bytes_maximum = bytes_maximum
        self._messages = 0
        self.size = 0  # bytes of all, each message with its overhead
        self.dropped = 0

    def __len__(self) -> int:
        return self._messages

    def put(self, kind: int, payload: bytes) -> bool:
        """Queue a message. False: it was dropped. Raises Overflow if it must not be dropped and does not fit."""
        priority, size = KINDS[kind].priority, _size_of(payload)
        queue = self._queues[priority]
        if not (len(queue.messages) < MESSAGES_MAXIMUM and self._make_room(priority, size)):
            self.dropped += 1
            if priority <= BLOCKS:
                raise Overflow
            return False
        queue.messages.append((kind, payload))
        self._count(priority, 1, size)
        return True

    def take(self) -> tuple[bytes, int, int] | None:
        """The next frame to send; and if a message is complete with it, its kind and bytes, else 0 and 0."""
        for priority, queue in enumerate(self._queues):
            if not queue.messages:
                continue
            kind, payload = queue.messages[0]
            begin, end = queue.sent, queue.sent + FRAME_BYTES_MAXIMUM
            if end < len(payload):
                queue.sent = end
                return bytes((kind | MORE,)) + payload[begin:end], 0, 0
            queue.messages.popleft()
            queue.sent = 0
            self._count(priority, -1, -_size_of(payload))
            return bytes((kind,)) + (payload[begin:] if begin else payload), kind, len(payload)
        return None

    def close(self) -> None:
        """Throw everything away."""
        for priority, queue in enumerate(self._queues):
            self._count(priority, -len(queue.messages), -queue.size)
            queue.messages.clear()
            queue.sent = 0

    def _count(self, priority: int, messages: int, size: int) -> None:
        self._messages += messages
        self.size += size
        self._queues[priority].size += size
        if priority >= EVIDENCE:
            self._pool.used += size

    def _make_room(self, priority: int, size: int) -> bool:
        """Drop what is less urgent until `size` bytes fit; the latest of it first. False: they do not fit even so."""
        urgent = self._queues[CONSENSUS].size
        if priority == CONSENSUS:
            return urgent + size <= CONSENSUS_BYTES_MAXIMUM
        others = self.size - urgent
        is_crowded = self._pool.used + size > self._pool.bytes_maximum
        if priority >= EVIDENCE and is_crowded and others + size > FAIR_BYTES:
            return False
        over = others + size - self._bytes_maximum
        if over <= 0:
            return True
        if over > sum(queue.droppable() for queue in self._queues[priority + 1 :]):
            return False  # Nothing is thrown away in vain.
        for lower in range(EXCHANGE, priority, -1):
            queue = self._queues[lower]
            while over > 0 and len(queue.messages) > (queue.sent > 0):
                dropped = _size_of(queue.messages.pop()[1])
                self._count(lower, -1, -dropped)
                self.dropped += 1
                over -= dropped
        return True
