"""Accepting TCP connections and bringing them through TLS, so that who stalls there is counted and sent away.

asyncio would count a connection only after its TLS handshake, and hold one that never makes it for a minute.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from network.limits import Door
from network.tls import Certificate

HEAD_BYTES_MAXIMUM, HEADERS_MAXIMUM = 8_190, 64
STOP_SECONDS = 1.0
BACKLOG = 100
WORDS_SECONDS = 1.0  # after the deadline, for whoever can still be told why
LOG = logging.getLogger("neuroshard.network")

Admit = Callable[[str], str | None]  # IP address → why it may not come in (before any handshake), None: it may


@dataclass(eq=False, slots=True)
class Visit:
    """An accepted connection."""

    ip: str
    deadline: float  # until which it must have shown who it is or what it wants
    task: asyncio.Task[None] | None = None  # brings it through TLS
    transport: Any = None  # once it is through: a transport, which with uvloop is no asyncio.Transport
    timer: asyncio.TimerHandle | None = None
    is_half_open: bool = True

    def abort(self) -> None:
        """End the connection at once."""
        if self.transport is not None:
            self.transport.abort()
        elif self.task is not None:
            self.task.cancel()


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
        self._listeners: list[socket.socket] = []
        self._accepting: list[asyncio.Task[None]] = []
        self._visits: dict[Any, Visit] = {}  # by aiohttp's handler
        self._in_tls: dict[asyncio.Task[None], Visit] = {}

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port. Raises OSError."""
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            for family, address in dict.fromkeys((each[0], each[4]) for each in found):
                where = (address[0], port, *address[2:])
                self._listeners.append(_listener(family, where))
                port = self._listeners[0].getsockname()[1]
        except OSError:
            self._stop_listening()
            await self._runner.cleanup()
            raise
        self._accepting = [loop.create_task(self._accept(listener)) for listener in self._listeners]
        return port

    def _stop_listening(self) -> None:
        for task in self._accepting:
            task.cancel()
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()

    async def _accept(self, listener: socket.socket) -> None:
        """Take what comes, for ever. asyncio's own server would hand us the connection while it reads from it."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(listener)
            except OSError as error:
                LOG.warning("cannot accept connections, trying again: %s", error.strerror or error)
                await asyncio.sleep(1)
                continue
            self._came(accepted, address[0])

    def close(self) -> None:
        """No one comes in any more, and who is half open is sent away."""
        self._stop_listening()
        for visit in [*self._in_tls.values(), *self._visits.values()]:
            if visit.is_half_open:
                visit.abort()

    async def stop(self) -> None:
        """What is being answered has STOP_SECONDS."""
        self.close()
        await asyncio.gather(*self._accepting, *self._in_tls, return_exceptions=True)
        await self._runner.cleanup()
        for visit in list(self._visits.values()):
            visit.abort()
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

    def _came(self, accepted: socket.socket, ip: str) -> None:
        """A TCP connection was accepted."""
        loop = asyncio.get_running_loop()
        refusal = self._admit(ip)
        if refusal is not None or not self._door.enter(ip, loop.time()):
            LOG.debug("a connection from %s is not taken: %s", ip, refusal or "too many")
            accepted.close()
            return
        visit = Visit(ip, loop.time() + self._door.limits.handshake_seconds)
        visit.timer = loop.call_at(visit.deadline + WORDS_SECONDS, self._expired, visit)
        visit.task = loop.create_task(self._bring_in(visit, accepted))
        self._in_tls[visit.task] = visit
        visit.task.add_done_callback(self._in_tls.pop)

    async def _bring_in(self, visit: Visit, accepted: socket.socket) -> None:
        """Through TLS. Whatever goes wrong there is the stranger's affair."""
        server = self._runner.server
        handlers: list[web.RequestHandler] = []
        assert server is not None

        def handler() -> web.RequestHandler:
            handlers.append(server())
            self._visits[handlers[0]] = visit
            return handlers[0]

        try:
            with suppress(OSError):
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            visit.transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
                handler,
                accepted,
                ssl=self._certificate.context,
                ssl_handshake_timeout=self._door.limits.handshake_seconds,
                ssl_shutdown_timeout=STOP_SECONDS,
            )
        # ssl.SSLError and TimeoutError are OSErrors; RuntimeError: uvloop, on a transport that is closed.
        except (OSError, RuntimeError, asyncio.CancelledError) as error:
            LOG.debug("no TLS with %s: %r", visit.ip, error)
            accepted.close()
            for each in handlers:
                self._visits.pop(each, None)
            self._gone(visit)

    def _expired(self, visit: Visit) -> None:
        if visit.is_half_open:
            LOG.debug("%s did not get on within %s s", visit.ip, self._door.limits.handshake_seconds)
            visit.abort()

    def _left(self, handler: web.RequestHandler) -> None:
        visit = self._visits.pop(handler, None)
        if visit is not None:
            self._gone(visit)

    def _gone(self, visit: Visit) -> None:
        if visit.timer is not None:
            visit.timer.cancel()
        self._door.leave(visit.ip, visit.is_half_open)


def _listener(family: int, where: tuple[Any, ...]) -> socket.socket:
    """A listening socket. Raises OSError."""
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(where)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
