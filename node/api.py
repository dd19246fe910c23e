"""The node's HTTP face on this machine: its status as JSON and one page that shows it."""

import json
import os
from pathlib import Path

from aiohttp import web

from node.data_directory import DataDirectory, write_atomically
from node.errors import NodeError
from node.node import Node
from node.settings import API_PORTS_TRIED, DEFAULT_API
from node.status import as_json, status_of

PAGE = Path(__file__).parent / "explorer" / "index.html"
SCRIPT = Path(__file__).parent / "explorer" / "explorer.js"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
BODY_BYTES_MAXIMUM = 65_536


def make_app(node: Node) -> web.Application:
    """The routes. Every answer is JSON or one of our own files."""

    async def status(_: web.Request) -> web.Response:
        return web.json_response(as_json(status_of(node)), headers=HEADERS)

    async def rounds(_: web.Request) -> web.Response:
        entries = [
            {"round": entry.round, "validation_loss": entry.validation_loss, "tokens": entry.tokens}
            for entry in node.history.entries[-500:]
        ]
        return web.json_response({"rounds": entries}, headers=HEADERS)

    async def page(_: web.Request) -> web.StreamResponse:
        return web.FileResponse(PAGE, headers=HEADERS)

    async def script(_: web.Request) -> web.StreamResponse:
        return web.FileResponse(SCRIPT, headers=HEADERS)

    app = web.Application(client_max_size=BODY_BYTES_MAXIMUM)
    app.router.add_get("/v1/status", status)
    app.router.add_get("/v1/rounds", rounds)
    app.router.add_get("/", page)
    app.router.add_get("/explorer.js", script)
    return app


class Api:
    """The listening server. `start` returns where it listens, and notes it in api.json for `neuroshard status`."""

    def __init__(self, node: Node, directory: DataDirectory) -> None:
        self._runner = web.AppRunner(make_app(node), access_log=None)
        self._note = directory / "api.json"
        self._chain_id = node.network.chain_id.hex()

    async def start(self, wanted: str | None) -> str:
        """Raises NodeError if an address that was asked for is taken."""
        await self._runner.setup()
        host, port = parse_address(wanted or DEFAULT_API)
        tries = 1 if wanted else API_PORTS_TRIED
        for candidate in range(port, port + tries):
            try:
                await web.TCPSite(self._runner, host, candidate, reuse_address=True).start()
            except OSError as error:
                reason = error.strerror
                continue
            address = f"{host}:{candidate or self._runner.addresses[0][1]}"
            self._write_note(address)
            return address
        raise NodeError(f"cannot listen on {host}:{port}: {reason}; choose another with --api HOST:PORT")

    def _write_note(self, address: str) -> None:
        content = {"address": address, "pid": os.getpid(), "chain_id": self._chain_id}
        try:
            write_atomically(self._note, json.dumps(content).encode() + b"\n")
        except OSError as error:
            raise NodeError(f"cannot write {self._note}: {error.strerror}; free some disk space") from error

    async def stop(self) -> None:
        self._note.unlink(missing_ok=True)
        await self._runner.cleanup()


def parse_address(text: str) -> tuple[str, int]:
    """HOST:PORT. Raises NodeError."""
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise NodeError(f"{text!r} is no address: HOST:PORT is wanted, for example {DEFAULT_API}")
    return host.strip("[]"), int(port)
