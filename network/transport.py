"""How two nodes find each other at the ends of a TLS connection: `Dialer.dial` on one side, `Gate` on the other.

Both hand over a `Connection` whose `peer` is proven. Whom to dial, whom to keep and whom to ban is decided in
`network.switch`.
"""

import asyncio
import errno
import hashlib
import logging
import ssl
import weakref
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from network.address import format_address, parse_address
from network.connection import CLOSE_SECONDS, HEARTBEAT_SECONDS, WS_BYTES_MAXIMUM, Connection, close_socket
from network.entrance import Admit, Entrance
from network.errors import BadAddress, CannotConnect, CannotListen, NetworkError, NotANode, TimedOut
from network.handshake import Endpoint, Introduction, shake_hands
from network.hello import Side
from network.limits import Door, GateLimits
from network.resolver import Resolver
from network.tls import Certificate, client_context

__all__ = ["PATH", "Admit", "Dialer", "Endpoint", "Gate", "GateLimits", "Introduction", "Welcome"]

PATH = "/peer"
HEAD_BYTES_MAXIMUM = 8_190
LOG = logging.getLogger("neuroshard.network")


class _Outgoing(aiohttp.ClientWebSocketResponse):
    """A WebSocket that we have opened, and what it lies on."""

    def __init__(self, reader: Any, writer: Any, *rest: Any, **named: Any) -> None:
        super().__init__(reader, writer, *rest, **named)
        self.transport: asyncio.Transport = writer.transport


async def _stay(_: object, __: object, parameters: aiohttp.TraceRequestRedirectParams) -> None:
    """A stranger must not send us to addresses that only we can reach."""
    parameters.response.close()
    raise NotANode("it answers with a redirection")


class Dialer:
    """Connects to other nodes. Make it on the event loop; `close` it at the end."""

    def __init__(self, endpoint: Endpoint, timeout_seconds: float = 10.0) -> None:
        self._endpoint = endpoint
        self._seconds = timeout_seconds
        self._is_closed = False
        self._connections: weakref.WeakSet[Connection] = weakref.WeakSet()
        trace = aiohttp.TraceConfig()
        trace.on_request_redirect.append(_stay)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=client_context(), limit=0, force_close=True, resolver=Resolver()),
            cookie_jar=aiohttp.DummyCookieJar(),
            ws_response_class=_Outgoing,
            trace_configs=[trace],
            max_line_size=HEAD_BYTES_MAXIMUM,
            max_field_size=HEAD_BYTES_MAXIMUM,
        )

    async def dial(self, address: str) -> Connection:
        """Connect to HOST:PORT and prove each other's keys. Raises an error of network.errors, whatever happens."""
        host, port = parse_address(address)
        try:
            async with asyncio.timeout(self._seconds):
                socket = await self._open(host, port)
                connection = await self._prove(socket)
        except TimeoutError:
            raise TimedOut(f"{address} did not answer within {self._seconds:g} s: is it reachable?") from None
        except NetworkError as error:
            raise type(error)(f"{address}: {error}") from error.__cause__
        if self._is_closed:
            await connection.close("this node stops")
            raise CannotConnect(f"{address}: this node stops")
        self._connections.add(connection)
        return connection

    async def close(self) -> None:
        """Frees the sockets. Connections that are still open end."""
        self._is_closed = True  # for whoever is dialling now
        await asyncio.gather(*[connection.close("this node stops") for connection in list(self._connections)])
        await self._session.close()
        await asyncio.sleep(0)  # Transports close their sockets on the loop's next turn.

    async def _open(self, host: str, port: int) -> _Outgoing:
        """The WebSocket. Raises CannotConnect, NotANode, BadAddress."""
        try:
            socket = await self._session.ws_connect(
                URL.build(scheme="wss", host=host, port=port, path=PATH),
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_SECONDS),
                heartbeat=HEARTBEAT_SECONDS,
                autoping=False,
                compress=0,
                max_msg_size=WS_BYTES_MAXIMUM,
                decode_text=False,
            )
        except RuntimeError as error:
            raise CannotConnect("this node stops") from error  # The session is closed.
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _named(error) from error
        assert isinstance(socket, _Outgoing)
        return socket

    async def _prove(self, socket: _Outgoing) -> Connection:
        seen = socket.get_extra_info("ssl_object")
        certificate = seen.getpeercert(binary_form=True) if seen is not None else b""
        digest = hashlib.sha256(certificate or b"").digest()
        try:
            return await shake_hands(socket, socket.transport, self._endpoint, Side.DIALLER, digest)
        except BaseException as error:
            told = error.told if isinstance(error, NetworkError) else TimedOut.told
            await close_socket(socket, socket.transport, told)
            raise


def _named(error: Exception) -> NetworkError:
    """What the client library says, as an error of ours that tells what to do."""
    match error:
        case aiohttp.WSServerHandshakeError():
            return NotANode(f"it answers, but is no NeuroShard node (HTTP status {error.status})")
        case aiohttp.ClientConnectorDNSError():
            return CannotConnect("no machine of this name is known: check the spelling")
        case aiohttp.ClientConnectorError(os_error=ssl.SSLError()):
            return NotANode("it does not speak TLS 1.3: is this the address of a node, and the port of its peers?")
        case aiohttp.ClientConnectorError(os_error=ConnectionRefusedError()):
            return CannotConnect("nobody listens there: is the node running, and is this its port?")
        case aiohttp.ClientConnectorError() if error.os_error.strerror and error.errno != errno.ECONNRESET:
            return CannotConnect(f"it cannot be reached ({error.os_error.strerror})")
        case aiohttp.InvalidURL() | ValueError():
            return BadAddress("this is no address")
        case aiohttp.ClientConnectionError() | OSError():
            return CannotConnect("it closed the connection at once: it may be full, or has banned this address")
    return NotANode(f"it does not answer as a NeuroShard node does ({type(error).__name__})")


Welcome = Callable[[Connection], Awaitable[None]]  # runs the connection; when it returns, the connection is closed


class Gate:
    """The listening server: WebSockets of peers at PATH, and whatever routes are added, on one TLS port."""

    def __init__(
        self, endpoint: Endpoint, certificate: Certificate, welcome: Welcome, admit: Admit, limits: GateLimits
    ) -> None:
        self.address = ""
        self.door = Door(limits)
        self.failures: Counter[str] = Counter()  # handshakes that came to nothing, by the name of the error
        self._endpoint = endpoint
        self._certificate = certificate
        self._welcome = welcome
        self._connections: set[Connection] = set()
        self._app = web.Application(middlewares=[self._noticed])
        self._app.router.add_get(PATH, self._enter)
        self._entrance = Entrance(self._app, certificate, admit, self.door)

    def add_routes(self, routes: Iterable[web.AbstractRouteDef]) -> None:
        """More HTTP routes on the same port; before `start`. Their handlers bound what they serve by themselves."""
        self._app.add_routes(routes)

    async def start(self, listen: str) -> str:
        """Listen at HOST:PORT (port 0: any free one) and return where. Raises CannotListen, BadAddress."""
        host, port = parse_address(listen, port_zero=True)
        try:
            port = await self._entrance.start(host, port)
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            reason = f"port {port} is in use" if taken else error.strerror or str(error)
            raise CannotListen(
                f"cannot listen at {listen}: {reason}; choose another with --listen HOST:PORT"
            ) from error
        self.address = format_address(host, port)
        return self.address

    async def stop(self) -> None:
        """Within about two seconds: no listening, every connection told and closed, no task left."""
        self._entrance.close()
        closing = [connection.close("this node stops") for connection in self._connections]
        await asyncio.gather(*closing)
        await self._entrance.stop()

    @web.middleware
    async def _noticed(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        visit = self._entrance.visit_of(request)
        if visit is not None and request.path != PATH:
            self._entrance.opened(visit)  # Its keep-alive time bounds it from now on.
        try:
            return await handler(request)
        except web.HTTPException as error:
            error.force_close()
            raise

    async def _enter(self, request: web.Request) -> web.StreamResponse:
        """A peer has come."""
        visit, transport = self._entrance.visit_of(request), request.transport
        if visit is None or transport is None or "Sec-WebSocket-Protocol" in request.headers:
            raise web.HTTPBadRequest(text="peers of NeuroShard name no subprotocol\n")
        socket: web.WebSocketResponse[bool] = web.WebSocketResponse(
            timeout=CLOSE_SECONDS,
            heartbeat=HEARTBEAT_SECONDS,
            autoping=False,
            compress=False,
            max_msg_size=WS_BYTES_MAXIMUM,
            decode_text=False,
        )
        try:
            await socket.prepare(request)
        except OSError:
            return socket
        try:
            async with asyncio.timeout_at(visit.deadline):
                digest = self._certificate.digest
                connection = await shake_hands(socket, transport, self._endpoint, Side.LISTENER, digest)
        except (NetworkError, TimeoutError) as error:
            failure = error if isinstance(error, NetworkError) else TimedOut("it did not introduce itself in time")
            self.failures[type(failure).__name__] += 1
            level = logging.DEBUG if isinstance(failure, CannotConnect) else logging.INFO  # scanners, and nodes
            LOG.log(level, "a connection from %s came to nothing: %s", visit.ip, failure)
            await close_socket(socket, transport, failure.told)
            return socket
        self._entrance.opened(visit)
        self._connections.add(connection)
        try:
            await self._welcome(connection)
        finally:
            await connection.close("this node has done with it")
            self._connections.discard(connection)
        return socket
