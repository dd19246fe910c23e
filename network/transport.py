"""How two nodes find each other at the ends of a TLS connection: `Dialer.dial` on one side, `Gate` on the other.

Both hand over a `Connection` whose `peer` is proven. Whom to dial, whom to keep and whom to ban is decided in
`network.switch`.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from aiohttp import web

from network.connection import Connection
from network.peer import NodeKey
from network.tls import Certificate


@dataclass(frozen=True, slots=True)
class Introduction:
    """What we say of ourselves in a handshake; may change from one to the next."""

    roles: int
    listen: str = ""  # HOST:PORT where we can be dialled, empty if nowhere
    voucher: bytes = b""  # at most 256 bytes
    agent: str = ""  # at most 64 printable ASCII characters


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Our side of every handshake, shared by `Dialer` and `Gate`."""

    chain_id: bytes  # 32 bytes
    key: NodeKey
    introduce: Callable[[], Introduction]


@dataclass(frozen=True, slots=True)
class GateLimits:
    """How many strangers may stand in the door. Half open: accepted, but neither a Hello nor an HTTP request yet."""

    connections: int = 512
    half_open: int = 64
    half_open_per_network: int = 8  # of one IPv4 address or one IPv6 /64; the loopback has no such bound
    handshake_seconds: float = 10.0  # from accept to a verified Hello


class Dialer:
    """Connects to other nodes. Make it on the event loop; `close` it at the end."""

    def __init__(self, endpoint: Endpoint, timeout_seconds: float = 10.0) -> None: ...

    async def dial(self, address: str) -> Connection:
        """Connect to HOST:PORT and prove each other's keys. Raises an error of network.errors, whatever happens."""
        raise NotImplementedError

    async def close(self) -> None:
        """Frees the sockets. Connections that are still open end."""


Welcome = Callable[[Connection], Awaitable[None]]  # runs the connection; when it returns, the connection is closed
Admit = Callable[[str], str | None]  # IP address → why it may not come in (before any handshake), None: it may


class Gate:
    """The listening server: WebSockets of peers at PATH, and whatever routes are added, on one TLS port."""

    address: str  # HOST:PORT where it listens, after `start`

    def __init__(
        self, endpoint: Endpoint, certificate: Certificate, welcome: Welcome, admit: Admit, limits: GateLimits
    ) -> None: ...

    def add_routes(self, routes: Iterable[web.AbstractRouteDef]) -> None:
        """More HTTP routes on the same port; before `start`. Their handlers bound what they serve by themselves."""

    async def start(self, listen: str) -> str:
        """Listen at HOST:PORT (port 0: any free one) and return where. Raises CannotListen, BadAddress."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Within about a second: no listening, every connection told and closed, no task left."""
