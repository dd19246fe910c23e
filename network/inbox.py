"""Frames of one peer become whole messages, within its rates and within what all peers together may hold. Pure."""

from collections import OrderedDict
from dataclasses import dataclass, field

from network.kinds import KINDS, MIB, Kind
from network.limits import DROPPED_PER_FAULT, FLOODING, MALFORMED, UNKNOWN, Fault, Rates
from network.outbox import FRAME_BYTES_MAXIMUM, MORE

MEMORY_BYTES_MAXIMUM = 64 * MIB


@dataclass(eq=False, slots=True)
class _Partial:
    """A message of which frames are still to come."""

    kind: Kind
    pieces: list[bytes] = field(default_factory=list)
    size: int = 0  # bytes that have come, also of a message that is not kept
    is_kept: bool = True


class Memory:
    """What all connections together hold of unfinished messages. Beyond the bound the oldest is let go.

    Whoever stalls in the middle of a message holds an older one than he whose message is on its way.
    """

    def __init__(self, bytes_maximum: int = MEMORY_BYTES_MAXIMUM) -> None:
        self.bytes_maximum = bytes_maximum
        self.used = 0
        self._held: OrderedDict[_Partial, int] = OrderedDict()

    def hold(self, partial: _Partial, size: int) -> None:
        self._held[partial] = self._held.get(partial, 0) + size
        self.used += size
        while self.used > self.bytes_maximum:
            self.free(next(iter(self._held)))

    def free(self, partial: _Partial) -> None:
        """Nothing of it is kept any more."""
        self.used -= self._held.pop(partial, 0)
        partial.pieces = []
        partial.is_kept = False


class Inbox:
    """What one peer sends. `dropped` and `unknown` count frames that were ignored."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._rates = Rates()
        self._partials: dict[int, _Partial] = {}  # by priority
        self.dropped = 0
        self.unknown = 0

    def take(self, frame: bytes, now: float) -> tuple[int, bytes] | Fault | None:
        """A frame has come. Returns the message that is whole with it, or what is wrong with it, or neither.

        After a MALFORMED fault nothing that comes makes sense any more: the connection has to end.
        """
        size = len(frame) - 1
        if size < 0:
            return Fault(MALFORMED, "an empty frame")
        kind, more = KINDS.get(frame[0] & ~MORE), frame[0] & MORE
        if kind is None:
            self.unknown += 1
            return None if self._rates.allows(UNKNOWN, 1, size, now) else self._above(UNKNOWN)
        partial = self._partials.get(kind.priority)
        wrong = self._what_is_wrong(kind, partial, size, bool(more))
        if wrong:
            return Fault(MALFORMED, wrong)
        is_new = partial is None
        allowed = self._rates.allows(kind, int(is_new), size, now)
        if is_new and not more:
            return (kind.number, frame[1:]) if allowed else self._above(kind)
        partial = partial or self._partials.setdefault(kind.priority, _Partial(kind))
        return self._go_on(partial, frame, allowed)

    def close(self) -> None:
        for partial in self._partials.values():
            self._memory.free(partial)
        self._partials.clear()

    def _what_is_wrong(self, kind: Kind, partial: _Partial | None, size: int, more: bool) -> str:
        """Exactly one way to cut a message into frames is allowed: small pieces would slip through the count."""
        if size > FRAME_BYTES_MAXIMUM or (more and size != FRAME_BYTES_MAXIMUM):
            return f"a frame of {size} bytes"
        if partial is not None and partial.kind is not kind:
            return f"a frame of {kind.name} in the middle of {partial.kind.name}"
        if partial is not None and not size:
            return f"{kind.name} that goes on with nothing"
        begun = partial.size if partial is not None else 0
        if begun + size + bool(more) > kind.bytes_maximum:
            return f"{kind.name} of more than {kind.bytes_maximum} bytes"
        return ""

    def _go_on(self, partial: _Partial, frame: bytes, allowed: bool) -> tuple[int, bytes] | Fault | None:
        kind, more = partial.kind, frame[0] & MORE
        fault = None
        if not allowed:
            self._memory.free(partial)
            fault = self._above(kind)
        partial.size += len(frame) - 1
        if partial.is_kept:
            partial.pieces.append(frame[1:])
        if more:
            if partial.is_kept:
                self._memory.hold(partial, len(frame) - 1)
            return fault
        del self._partials[kind.priority]
        payload, is_kept = b"".join(partial.pieces), partial.is_kept
        self._memory.free(partial)
        return (kind.number, payload) if is_kept else fault

    def _above(self, kind: Kind) -> Fault | None:
        """One more frame above the limit is dropped; a fault for the first, and for each hundred."""
        self.dropped += 1
        if self.dropped % DROPPED_PER_FAULT != 1:
            return None
        return Fault(FLOODING, f"more {kind.name} than the limit of its kind ({self.dropped} frames dropped so far)")
