"""Messages per second between two nodes on one machine, beside bare aiohttp WebSockets over the same TLS.

.venv/bin/python -m bench network

Both ends run in one event loop, so that a figure is what one core does for sending and receiving together.
"""

import argparse
import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
from aiohttp import web

from bench.figure import report
from chain.crypto import ecdsa
from network.connection import Connection
from network.kinds import BLOCK, CLAIM, KINDS, MIB
from network.limits import Fault, GateLimits
from network.peer import NodeKey
from network.tls import Certificate, client_context, open_certificate
from network.transport import Dialer, Endpoint, Gate, Introduction

MESSAGES, TURNS = 20_000, 5
HANDSHAKES = 200
BLOCK_BYTES, BLOCKS = 4 * MIB, 20


class Counted:
    """Waits for so many messages."""

    def __init__(self) -> None:
        self.left = 0
        self.done = asyncio.Event()

    def expect(self, count: int) -> None:
        self.left = count
        self.done.clear()

    def count(self) -> None:
        self.left -= 1
        if not self.left:
            self.done.set()


def endpoint(number: int) -> Endpoint:
    secret = hashlib.sha256(bytes([number])).digest()
    key = NodeKey(ecdsa.public_key(secret), lambda digest: ecdsa.sign(secret, digest), ecdsa.verify)
    return Endpoint(bytes(32), key, lambda: Introduction(0))


def fault(what: Fault) -> None:
    raise AssertionError(what)


async def seconds_of(counted: Counted, count: int, send: Callable[[], Awaitable[None]]) -> float:
    counted.expect(count)
    begun = time.perf_counter()
    await send()
    await counted.done.wait()
    return time.perf_counter() - begun


def sender(connection: Connection, kind: int, payload: bytes, count: int) -> Callable[[], Awaitable[None]]:
    async def send() -> None:
        for _ in range(count):
            while not connection.send(kind, payload):
                await asyncio.sleep(0)
            while kind == BLOCK and connection.report().queued_messages > 1:
                await asyncio.sleep(0)

    return send


async def compare(ours: Connection, ours_counted: Counted, certificate: Certificate) -> None:
    counted = Counted()

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        async for _ in socket:
            counted.count()
        return socket

    app = web.Application()
    app.router.add_get("/", serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=certificate.context)
    await site.start()
    connector = aiohttp.TCPConnector(ssl=client_context())
    async with aiohttp.ClientSession(connector=connector) as session:
        bare = await session.ws_connect(f"wss://127.0.0.1:{site.port}/", compress=0)
        for size in (200, 2_048):
            payload = bytes(size)

            async def send(payload: bytes = payload) -> None:
                for _ in range(MESSAGES):
                    await bare.send_bytes(payload)

            rival, mine = [], []
            for _ in range(TURNS):  # in turns, so that a neighbour's load falls on both alike
                rival.append(await seconds_of(counted, MESSAGES, send))
                mine.append(await seconds_of(ours_counted, MESSAGES, sender(ours, CLAIM, payload, MESSAGES)))
            name = f"messages_{size}_bytes_per_s"
            report(
                name, MESSAGES / min(mine), "1/s", MESSAGES / min(rival), "reference: bare aiohttp WebSocket over TLS"
            )
        await bare.close()
    await runner.cleanup()


async def measure(folder: Path) -> None:
    # The rates of a kind are for strangers; what they cost is part of the figure.
    for kind in (CLAIM, BLOCK):
        KINDS[kind] = replace(KINDS[kind], per_minute=10**9, bytes_per_minute=10**15)
    certificate, counted = open_certificate(folder, datetime.now(UTC)), Counted()

    async def welcome(connection: Connection) -> None:
        await connection.run(lambda *_: counted.count(), fault)

    gate = Gate(endpoint(1), certificate, welcome, lambda _: None, GateLimits())
    address = await gate.start("127.0.0.1:0")
    dialer = Dialer(endpoint(2))
    connection = await dialer.dial(address)
    running = asyncio.create_task(connection.run(lambda *_: None, fault))
    await compare(connection, counted, certificate)
    took = await seconds_of(counted, BLOCKS, sender(connection, BLOCK, bytes(BLOCK_BYTES), BLOCKS))
    report("block_mebibytes_per_s", BLOCKS * BLOCK_BYTES / MIB / took, "MiB/s", note="blocks of 4 MiB in frames")
    begun = time.perf_counter()
    for _ in range(HANDSHAKES):
        await (await dialer.dial(address)).close("measured")
    took = (time.perf_counter() - begun) * 1_000 / HANDSHAKES
    report("handshake_ms", took, "ms", note="TCP, TLS 1.3, both Hellos, and the close; both ends on one core")
    await gate.stop()
    await running
    await dialer.close()


def main(arguments: list[str]) -> None:
    argparse.ArgumentParser(prog="bench network").parse_args(arguments)
    with TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder)))
