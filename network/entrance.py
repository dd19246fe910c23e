"""Accepting TCP connections and bringing them through TLS, so that who stalls there is counted and sent away.

asyncio would count a connection only after its TLS handshake, and hold one that never makes it for a minute.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from aiohttp import web

from network.limits import Door
from network.tls import Certificate

HEAD_BYTES_MAXIMUM, HEADERS_MAXIMUM = 8_190, 64
STOP_SECONDS = 1.0
WORDS_SECONDS = 1.0  # after the deadline, for whoever can still be told why
LOG = logging.getLogger("neuroshard.network")

Admit = Callable[[str], str | None]  # IP address → why it may not come in (before any handshake), None: it may


@dataclass(eq=False, slots=True)
class Visit:
    """An accepted connection."""

    ip: str
    transport: asyncio.Transport  # below TLS
    deadline: float  # until which it must have shown who it is or what it wants
    timer: asyncio.TimerHandle | None = None
    is_half_open: bool = True


class _Stage(asyncio.Protocol):
    """Keeps what comes right behind the TLS handshake until there is somebody to take it."""

    def __init__(self) -> None:
        self.early = b""
        self.is_lost = False

    def data_received(self, data: bytes) -> None:
        self.early += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True


class _Server(web.Server):
    """aiohttp's server, which tells who has left."""

    left: Callable[[web.RequestHandler], None]

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self.left(handler)


class _Runner(web.AppRunner):
    def __init__(self, app: web.Application, left: Callable[[web.RequestHandler], None]) -> None:
        super().__init__(app, access_log=None, shutdown_timeout=STOP_SECONDS)
        self._left = left

    async def _make_server(self) -> web.Server:
        usual = await super()._make_server()
        server = _Server(
            usual.request_handler,
            request_factory=usual.request_factory,
            access_log=None,
            keepalive_timeout=10.0,  # also for the head of a request that comes slowly
            lingering_time=1.0,
            max_line_size=HEAD_BYTES_MAXIMUM,
            max_field_size=HEAD_BYTES_MAXIMUM,
            max_headers=HEADERS_MAXIMUM,
        )
        server.left = self._left
        return server


class Entrance:
    """From a TCP connection to an HTTP request of `app`."""

    def __init__(self, app: web.Application, certificate: Certificate, admit: Admit, door: Door) -> None:
        self._runner = _Runner(app, self._left)
        self._certificate = certificate
        self._admit = admit
        self._door = door
        self._listening: asyncio.Server | None = None
        self._visits: dict[Any, Visit] = {}  # by aiohttp's handler
        self._in_tls: dict[asyncio.Task[None], Visit] = {}

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port. Raises OSError."""
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        try:
            self._listening = await loop.create_server(lambda: _Newcomer(self), host, port, reuse_address=True)
        except OSError:
            await self._runner.cleanup()
            raise
        number: int = self._listening.sockets[0].getsockname()[1]
        return number

    def close(self) -> None:
        """No one comes in any more, and who is half open is sent away."""
        if self._listening is not None:
            self._listening.close()
        for visit in [*self._in_tls.values(), *self._visits.values()]:
            if visit.is_half_open:
                visit.transport.abort()

    async def stop(self) -> None:
        """What is being answered has STOP_SECONDS."""
        self.close()
        if self._in_tls:
            await asyncio.wait(self._in_tls)
        await self._runner.cleanup()
        for visit in list(self._visits.values()):
            visit.transport.abort()
        await asyncio.sleep(0)  # Transports close their sockets on the loop's next turn.

    def visit_of(self, request: web.Request) -> Visit | None:
        """None if the connection is lost already."""
        return self._visits.get(request.protocol)

    def opened(self, visit: Visit) -> None:
        """It has shown who it is or what it wants."""
        if visit.is_half_open:
            visit.is_half_open = False
            self._door.opened(visit.ip)
            if visit.timer is not None:
                visit.timer.cancel()

    def came(self, transport: asyncio.Transport) -> None:
        """A TCP connection was accepted."""
        ip = (transport.get_extra_info("peername") or ("?",))[0]
        refusal = self._admit(ip)
        if refusal is not None or not self._door.enter(ip):
            LOG.debug("a connection from %s is not taken: %s", ip, refusal or "too many at once")
            transport.abort()
            return
        loop = asyncio.get_running_loop()
        visit = Visit(ip, transport, loop.time() + self._door.limits.handshake_seconds)
        visit.timer = loop.call_at(visit.deadline + WORDS_SECONDS, self._expired, visit)
        task = loop.create_task(self._bring_in(visit))
        self._in_tls[task] = visit
        task.add_done_callback(self._in_tls.pop)

    async def _bring_in(self, visit: Visit) -> None:
        """Through TLS. Whatever goes wrong there is the stranger's affair."""
        stage, tls = _Stage(), None
        try:
            tls = await asyncio.get_running_loop().start_tls(
                visit.transport,
                stage,
                self._certificate.context,
                server_side=True,
                ssl_handshake_timeout=self._door.limits.handshake_seconds,
                ssl_shutdown_timeout=STOP_SECONDS,
            )
        except OSError as error:  # ssl.SSLError, ConnectionError and TimeoutError are such
            LOG.debug("no TLS with %s: %r", visit.ip, error)
        if tls is None or stage.is_lost or self._runner.server is None:
            self._gone(visit)
            return
        handler = self._runner.server()
        self._visits[handler] = visit
        tls.set_protocol(handler)
        handler.connection_made(tls)
        if stage.early:
            handler.data_received(stage.early)

    def _expired(self, visit: Visit) -> None:
        if visit.is_half_open:
            LOG.debug("%s did not get on within %s s", visit.ip, self._door.limits.handshake_seconds)
            visit.transport.abort()

    def _left(self, handler: web.RequestHandler) -> None:
        visit = self._visits.pop(handler, None)
        if visit is not None:
            self._gone(visit)

    def _gone(self, visit: Visit) -> None:
        if visit.timer is not None:
            visit.timer.cancel()
        self._door.leave(visit.ip, visit.is_half_open)
        visit.transport.abort()


class _Newcomer(asyncio.Protocol):
    def __init__(self, entrance: Entrance) -> None:
        self._entrance = entrance

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._entrance.came(cast(asyncio.Transport, transport))  # uvloop's transports are no subclass.
