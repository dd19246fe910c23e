"""How much one peer may send and how many strangers may stand in the door. Pure: the time is passed in."""

from collections import Counter, OrderedDict
from dataclasses import dataclass

from network.address import is_loopback, machine_of
from network.kinds import EXCHANGE, MIB, Kind

MALFORMED, FLOODING = 100, 20  # points of a Fault; a peer is banned at -100
MACHINES_REMEMBERED = 4_096
DROPPED_PER_FAULT = 100  # so many messages above a limit make one more fault

UNKNOWN = Kind(0, "unknown", EXCHANGE, 8 * MIB, 600, 8 * MIB)  # all kinds together that this version does not know
PINGS = Kind(0, "ping", EXCHANGE, 125, 60, 8 << 10)


class Bucket:
    """A token bucket: `per_minute` tokens flow in evenly, and as many lie in it at most."""

    __slots__ = ("_at", "_left", "_most", "_per_second")

    def __init__(self, per_minute: int, now: float) -> None:
        self._most = float(per_minute)
        self._per_second = per_minute / 60
        self._left = self._most
        self._at = now

    def holds(self, tokens: int, now: float) -> bool:
        self._left = min(self._most, self._left + (now - self._at) * self._per_second)
        self._at = now
        return self._left >= tokens

    def take(self, tokens: int) -> None:
        self._left -= tokens


class Rates:
    """Messages and bytes of one peer by kind. What does not fit is not counted: a flood does not lock the peer out."""

    def __init__(self) -> None:
        self._buckets: dict[Kind, tuple[Bucket, Bucket]] = {}

    def allows(self, kind: Kind, messages: int, size: int, now: float) -> bool:
        """Count so many messages and bytes of a kind, if both still fit."""
        pair = self._buckets.get(kind)
        if pair is None:
            pair = Bucket(kind.per_minute, now), Bucket(kind.bytes_per_minute, now)
            self._buckets[kind] = pair
        count, volume = pair
        if not (count.holds(messages, now) and volume.holds(size, now)):
            return False
        count.take(messages)
        volume.take(size)
        return True


@dataclass(frozen=True, slots=True)
class Fault:
    """What the peer did that no honest peer does."""

    points: int
    reason: str


@dataclass(frozen=True, slots=True)
class GateLimits:
    """How many strangers may stand in the door. Half open: accepted, but neither a Hello nor an HTTP request yet.

    A machine is an IPv4 address or an IPv6 /64. The loopback has no bounds of its own: many nodes may share it.
    """

    connections: int = 256  # each costs about 256 KiB, the buffer that Python's TLS keeps
    connections_per_machine: int = 64
    arrivals_per_minute: int = 120  # of one machine; a TLS handshake costs milliseconds
    half_open: int = 64
    half_open_per_machine: int = 8
    handshake_seconds: float = 10.0  # from accept to a verified Hello or a whole HTTP request


class Door:
    """Counts who is in and who is half open."""

    def __init__(self, limits: GateLimits) -> None:
        self.limits = limits
        self.inside = 0
        self.half_open = 0
        self._inside: Counter[str] = Counter()  # by machine, as long as there is any
        self._half_open: Counter[str] = Counter()
        self._arrivals: OrderedDict[str, Bucket] = OrderedDict()  # the machine that came last is the last

    def enter(self, ip: str, now: float) -> bool:
        """One more connection, half open. False: there is no room for it."""
        machine, limits = machine_of(ip), self.limits
        is_crowded = not is_loopback(ip) and (
            self._inside[machine] >= limits.connections_per_machine
            or self._half_open[machine] >= limits.half_open_per_machine
            or not self._may_arrive(machine, now)
        )
        if is_crowded or self.inside >= limits.connections or self.half_open >= limits.half_open:
            self._count(machine, 0, 0)
            return False
        self._count(machine, 1, 1)
        return True

    def opened(self, ip: str) -> None:
        """A half-open connection is open now."""
        self._count(machine_of(ip), 0, -1)

    def leave(self, ip: str, half_open: bool) -> None:
        self._count(machine_of(ip), -1, -int(half_open))

    def _may_arrive(self, machine: str, now: float) -> bool:
        bucket = self._arrivals.pop(machine, None) or Bucket(self.limits.arrivals_per_minute, now)
        self._arrivals[machine] = bucket
        if len(self._arrivals) > MACHINES_REMEMBERED:
            self._arrivals.popitem(last=False)
        if not bucket.holds(1, now):
            return False
        bucket.take(1)
        return True

    def _count(self, machine: str, inside: int, half_open: int) -> None:
        self.inside += inside
        self.half_open += half_open
        for counter, change in ((self._inside, inside), (self._half_open, half_open)):
            counter[machine] += change
            if not counter[machine]:
                del counter[machine]  # Strangers' addresses must not pile up.
