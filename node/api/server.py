"""The listening server: what a request passes before its handler, and the note that says where the node listens."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from node.api.desk import Desk
from node.api.document import openapi
from node.api.faults import HEADERS, Refusal, answer_of, of_http
from node.api.limits import BODY_BYTES_MAXIMUM, Limits, check_host, check_origin, is_loopback, network_of, read_by
from node.api.operator import Control
from node.api.routes import add_routes
from node.data_directory import DataDirectory, write_atomically
from node.errors import NodeError
from node.logs import log_of
from node.node import Node
from node.settings import API_PORTS_TRIED, DEFAULT_API

HEAD_BYTES_MAXIMUM = 8_190
HEADERS_MAXIMUM = 64
PACKED_FROM = 1_024  # bytes: less goes out in one packet anyway
STOP_SECONDS = 2.0
LOG = log_of("api")
Next = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(desk: Desk) -> web.Application:
    @web.middleware
    async def guarded(request: web.Request, handler: Next) -> web.StreamResponse:
        route = request.match_info.route.name or "unknown"
        status = 500
        try:
            response = await _answered(request, handler, desk)
            status = response.status
            _pack(request, response)
        finally:
            desk.metrics.count(route, status)
            if status >= 400:
                LOG.debug("request refused", route=route, status=status)
        return response

    async def with_headers(request: web.Request, response: web.StreamResponse) -> None:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if desk.limits.origins:
            response.headers["Vary"] = ", ".join(filter(None, (response.headers.get("Vary"), "Origin")))
            if origin := read_by(request, desk.limits.origins):
                response.headers["Access-Control-Allow-Origin"] = origin

    app = web.Application(client_max_size=BODY_BYTES_MAXIMUM, middlewares=[guarded])
    app.on_response_prepare.append(with_headers)
    add_routes(app, desk)
    desk.document = json.dumps(openapi()).encode()
    return app


def _pack(request: web.Request, response: web.StreamResponse) -> None:
    """JSON of some size go out packed to whoever takes that; the explorer's files are packed already."""
    if not isinstance(response, web.Response) or response.content_type != "application/json":
        return
    response.headers["Vary"] = "Accept-Encoding"
    if (response.content_length or 0) >= PACKED_FROM and "gzip" in request.headers.get("Accept-Encoding", "").lower():
        response.enable_compression(web.ContentCoding.gzip)


async def _answered(request: web.Request, answer: Next, desk: Desk) -> web.StreamResponse:
    """The answer, or the refusal in the one shape."""
    try:
        desk.rates.take(request.remote or "")
        check_host(request, desk.host)
        if request.method not in ("GET", "HEAD"):
            check_origin(request)
        if request.match_info.route.name == "events":
            return await answer(request)  # They have a bound of their own.
        with desk.requests.joined(request.remote or ""):
            return await answer(request)
    except Refusal as refusal:
        return answer_of(refusal)
    except web.HTTPException as error:
        return of_http(error)


class Protocol(web.RequestHandler):
    """A connection. What is no HTTP, and what failed in a handler, is answered in the one shape too."""

    connections = 0

    async def start(self) -> None:
        """A head that aiohttp takes and cannot make a request of would leave the connection open for ever."""
        try:
            await super().start()
        except Exception as error:
            LOG.debug("connection dropped", reason=repr(error))
            if self.transport is not None:
                self.transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        super().handle_error(request, status, exc, message)  # logs it
        words = "this is no HTTP request" if status == 400 else "the node failed at this request: see its log"
        response = answer_of(Refusal(status, words))
        response.force_close()
        return response


class Server(web.Server):
    """Makes our protocol for each connection, of which there is a bound."""

    most = 0
    most_of_address = 0
    options: dict[str, Any]

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._addresses: dict[web.RequestHandler, str] = {}
        self._of_address: Counter[str] = Counter()

    def __call__(self) -> web.RequestHandler:
        return Protocol(self, loop=asyncio.get_running_loop(), **self.options)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        peer = transport.get_extra_info("peername")
        address = self._addresses[handler] = network_of(str(peer[0]) if peer else "")
        self._of_address[address] += 1
        if len(self.connections) > self.most or self._of_address[address] > self.most_of_address:
            transport.abort()

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        if (address := self._addresses.pop(handler, None)) is not None:
            self._of_address.subtract((address,))
            self._of_address = +self._of_address  # without those that have none


class Runner(web.AppRunner):
    """Serves an application through `Server`."""

    def __init__(self, app: web.Application, limits: Limits) -> None:
        super().__init__(app, access_log=None, shutdown_timeout=STOP_SECONDS)
        self.limits = limits

    async def _make_server(self) -> web.Server:
        usual = await super()._make_server()
        server = Server(usual.request_handler, request_factory=usual.request_factory)
        server.most, server.most_of_address = self.limits.connections, self.limits.connections_of_address
        server.options = {
            "access_log": None,
            # aiohttp closes a connection whose next request is not whole by then: a slow one as well as an idle one.
            "keepalive_timeout": self.limits.read_seconds,
            "lingering_time": 1.0,
            "max_line_size": HEAD_BYTES_MAXIMUM,
            "max_field_size": HEAD_BYTES_MAXIMUM,
            "max_headers": HEADERS_MAXIMUM,
            "auto_decompress": False,  # No body is taken packed: what is said to be and is not would fail in aiohttp.
        }
        return server


class Api:
    """The listening server. `start` returns where it listens, and notes it in api.json for `neuroshard status`."""

    def __init__(self, node: Node, directory: DataDirectory, control: Control, limits: Limits | None = None) -> None:
        limits = limits or Limits()
        self.desk = Desk(node, limits, control)
        self._runner = Runner(make_app(self.desk), limits)
        self._note = directory / "api.json"
        self._chain_id = node.network.chain_id.hex()

    async def start(self, wanted: str | None) -> str:
        """Raises NodeError if an address that was asked for is taken."""
        host, port = parse_address(wanted or DEFAULT_API)
        self.desk.host = host = host.lower()
        self.desk.events.start()
        await self._runner.setup()
        tries = 1 if wanted else API_PORTS_TRIED
        for candidate in range(port, port + tries):
            try:
                await web.TCPSite(self._runner, host, candidate, reuse_address=True).start()
            except OSError as error:
                reason = error.strerror
                continue
            self._check_name(host, port)
            shown = f"[{host}]" if ":" in host else host
            address = f"{shown}:{candidate or self._runner.addresses[0][1]}"
            self._write_note(address)
            return address
        raise NodeError(f"cannot listen on {host}:{port}: {reason}; choose another with --api HOST:PORT")

    def _check_name(self, host: str, port: int) -> None:
        """A name that only this machine has would be taken for one that others ask for, and any Host be answered.

        Raises NodeError.
        """
        if not is_loopback(host) and all(is_loopback(str(bound[0])) for bound in self._runner.addresses):
            raise NodeError(
                f"{host} is a name for this machine alone: say --api 127.0.0.1:{port}, or an address that others reach"
            )

    def _write_note(self, address: str) -> None:
        content = {"address": address, "pid": os.getpid(), "chain_id": self._chain_id}
        try:
            write_atomically(self._note, json.dumps(content).encode() + b"\n", "api-note")
        except OSError as error:
            raise NodeError(f"cannot write {self._note}: {error.strerror}; free some disk space") from error

    async def stop(self) -> None:
        """Ends every stream, finishes what is being answered. Afterwards nothing reads the ledger any more."""
        self._note.unlink(missing_ok=True)
        await self.desk.events.stop()
        await self._runner.cleanup()
        self.desk.reads.close()


def parse_address(text: str) -> tuple[str, int]:
    """HOST:PORT. Raises NodeError."""
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise NodeError(f"{text!r} is no address: HOST:PORT is wanted, for example {DEFAULT_API}")
    return host.strip("[]"), int(port)
