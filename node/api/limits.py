"""What one stranger may ask of the API: how often, how much at once, and under which name."""

import asyncio
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from aiohttp import web

from node.api.faults import Refusal
from node.settings import Settings

BODY_BYTES_MAXIMUM = 66_000  # the largest transaction as hexadecimal digits, in its JSON
BURST_SECONDS = 4  # an address may send at once what it may send in so many seconds
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Limits:
    requests_per_second: float = 50
    burst: int = 200
    addresses: int = 1_024  # whose rate is remembered
    at_once: int = 64
    at_once_of_address: int = 32  # so that bodies that come slowly from one place leave room for others
    streams: int = 16
    streams_of_address: int = 8  # so that one visitor cannot take them all
    connections: int = 256
    connections_of_address: int = 128
    read_seconds: float = 10  # for a request's head, and again for its body
    kept_seconds: float = 0.1  # for which the status and the like are told again as they were
    origins: tuple[str, ...] = ()  # of other sites' pages that may read

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        """What the user has set."""
        return cls(settings.api_rate, BURST_SECONDS * settings.api_rate, origins=settings.api_origins)


class Rates:
    """A token bucket for each client address; the addresses heard of least lately are forgotten."""

    def __init__(self, limits: Limits, now: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._now = now
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, address: str) -> None:
        """Count one request. Raises Refusal 429, saying when the next one is welcome."""
        name, now, rate = network_of(address), self._now(), self.limits.requests_per_second
        left, since = self._buckets.pop(name, (float(self.limits.burst), now))
        left = min(self.limits.burst, left + (now - since) * rate)
        allowed = left >= 1
        self._buckets[name] = (left - allowed, now)
        if len(self._buckets) > self.limits.addresses:
            self._buckets.popitem(last=False)
        if not allowed:
            wait = max(1, round((1 - left) / rate))
            message = f"more than {rate:g} requests a second: try again in {wait} s"
            raise Refusal(429, message, retry_after_seconds=wait)


@lru_cache(maxsize=1_024)
def network_of(address: str) -> str:
    """An IPv6 client owns at least 64 bits of addresses: they share a bucket."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((int(parsed), 64), strict=False))


class Crowd:
    """Requests that are being answered at this moment, and of each address at most so many."""

    def __init__(self, most: int, name: str, most_of_address: int | None = None) -> None:
        self.most = most
        self.name = name
        self.most_of_address = most if most_of_address is None else most_of_address
        self.present = 0
        self._of_address: dict[str, int] = {}

    @contextmanager
    def joined(self, address: str = "") -> Iterator[None]:
        """Raises Refusal 503 if it is full, and 429 if this address fills its part."""
        if self.present >= self.most:
            raise Refusal(503, f"{self.present} {self.name} are open already: try again soon", retry_after_seconds=1)
        name = network_of(address)
        own = self._of_address.get(name, 0)
        if own >= self.most_of_address:
            raise Refusal(429, f"{own} {self.name} of this address are open already: end one", retry_after_seconds=1)
        self.present += 1
        self._of_address[name] = own + 1
        try:
            yield
        finally:
            self.present -= 1
            self._of_address[name] -= 1
            if not self._of_address[name]:
                del self._of_address[name]


@lru_cache(maxsize=1_024)
def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_host(request: web.Request, listening_on: str) -> None:
    """A page of a foreign site can make its own name point here (DNS rebinding): it is known by that name.

    Raises Refusal 403. A node that listens to other machines has names that we do not know.
    """
    if not is_loopback(listening_on):
        return
    host = _host_of(f"//{request.headers.get('Host', '')}")
    if host not in (*LOCAL_NAMES, listening_on):
        raise Refusal(403, "this node answers to localhost, 127.0.0.1 and [::1] only: another Host was asked for")


def check_origin(request: web.Request) -> None:
    """What changes something is not taken from pages of other sites. Raises Refusal 403."""
    origin = request.headers.get("Origin")
    same = origin is None or urlsplit_or_none(origin) == ("http", request.headers.get("Host"))
    if not same or request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        raise Refusal(403, "this request comes from a page of another site")


def urlsplit_or_none(text: str) -> tuple[str, str] | None:
    """Scheme and authority."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    return parts.scheme, parts.netloc


@lru_cache(maxsize=1_024)
def _host_of(text: str) -> str | None:
    """The host in an authority, without its port; None if it is none."""
    try:
        parts = urlsplit(text)
        port_is_good = parts.port is None or parts.port >= 0
    except ValueError:
        return None
    is_bare = parts.username is None and not parts.path and not parts.query and not parts.fragment
    return parts.hostname if is_bare and port_is_good else None


def read_by(request: web.Request, origins: tuple[str, ...]) -> str | None:
    """The other site whose page may read the answer: one that the user named, and reading only."""
    origin = request.headers.get("Origin", "")
    is_reading = request.method in ("GET", "HEAD") and not request.path.startswith("/v1/operator/")
    return origin if is_reading and origin in origins else None


async def read_body(request: web.Request, seconds: float) -> bytes:
    """The body, within its limits. Raises Refusal 408, or aiohttp's 413."""
    try:
        async with asyncio.timeout(seconds):
            return await request.read()
    except TimeoutError:
        raise Refusal(408, f"the body did not come within {seconds:g} s") from None
