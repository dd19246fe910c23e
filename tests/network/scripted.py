"""Peers under a test's control: honest ones, a raw one that sends anything, and one that stands in between."""

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp

from chain.crypto import ecdsa
from network.connection import Connection
from network.hello import Greeting, Hello, Side, Transcript, signed
from network.limits import Fault, GateLimits
from network.peer import NodeKey, Peer
from network.tls import Certificate, client_context, open_certificate
from network.transport import PATH, Dialer, Endpoint, Gate, Introduction

CHAIN = bytes(range(32))


@cache
def node_key(number: int) -> NodeKey:
    secret = hashlib.sha256(b"node %d" % number).digest()
    return NodeKey(ecdsa.public_key(secret), lambda digest: ecdsa.sign(secret, digest), ecdsa.verify)


@cache
def certificate(number: int = 0) -> Certificate:
    with TemporaryDirectory() as folder:
        return open_certificate(Path(folder), datetime.now(UTC))


@dataclass
class Node:
    """A node that keeps whoever comes and remembers what happened."""

    number: int
    chain_id: bytes = CHAIN
    limits: GateLimits = field(default_factory=GateLimits)
    admit: Callable[[str], str | None] = lambda ip: None
    keep: bool = True
    gate: Gate = field(init=False)
    dialer: Dialer = field(init=False)
    endpoint: Endpoint = field(init=False)
    connections: list[Connection] = field(default_factory=list)
    messages: list[tuple[int, bytes]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    end_at_fault: bool = True

    async def start(self) -> None:
        self.endpoint = Endpoint(
            self.chain_id, node_key(self.number), lambda: Introduction(1, "", b"voucher", f"node {self.number}")
        )
        self.gate = Gate(self.endpoint, certificate(self.number), self.welcome, self.admit, self.limits)
        await self.gate.start("127.0.0.1:0")
        self.dialer = Dialer(self.endpoint)

    async def stop(self) -> None:
        await self.dialer.close()
        await self.gate.stop()
        for task in self.tasks:
            await task

    async def welcome(self, connection: Connection) -> None:
        self.connections.append(connection)

        def fault(what: Fault) -> None:
            self.faults.append(what)
            if self.end_at_fault:
                connection.end(what.reason)

        self.ended.append(await connection.run(lambda kind, payload: self.messages.append((kind, payload)), fault))

    async def dial(self, other: "Node | str") -> Connection:
        """Connect and keep reading."""
        connection = await self.dialer.dial(other if isinstance(other, str) else other.gate.address)
        self.tasks.append(asyncio.create_task(self.welcome(connection)))
        return connection


@asynccontextmanager
async def nodes(*made: Node) -> AsyncIterator[tuple[Node, ...]]:
    for node in made:
        await node.start()
    try:
        yield made
    finally:
        for node in made:
            await node.stop()


class Raw:
    """The dialler's side of a WebSocket, without any of our code: what it sends is up to the test."""

    def __init__(self, session: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse, seen: bytes) -> None:
        self.session, self.socket = session, socket
        self.certificate = seen  # digest
        self.greeting = Greeting(CHAIN, hashlib.sha256(b"nonce").digest()).encode()
        self.theirs = b""

    async def greet(self) -> None:
        self.theirs = await self.socket.receive_bytes()
        await self.socket.send_bytes(self.greeting)

    @property
    def transcript(self) -> Transcript:
        return Transcript(self.greeting, self.theirs, self.certificate)

    def hello(self, number: int = 99, side: Side = Side.DIALLER) -> bytes:
        key = node_key(number)
        return signed(Hello(key.public_key, 1, "", b"", "raw"), key, side, self.transcript).encode()

    async def shake_hands(self, number: int = 99) -> bytes:
        """As an honest node does; returns the other's Hello."""
        await self.greet()
        await self.socket.send_bytes(self.hello(number))
        return await self.socket.receive_bytes()

    async def end(self) -> str:
        """Read on until the other side closes; its reason."""
        while True:
            message = await self.socket.receive(5)
            if message.type is aiohttp.WSMsgType.CLOSE:
                return str(message.extra)
            if message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.ERROR):
                return ""


@asynccontextmanager
async def raw(address: str, shake_hands: int | None = None, **options: object) -> AsyncIterator[Raw]:
    """A raw WebSocket to a gate; with a number, the handshake of that node is done already."""
    connector = aiohttp.TCPConnector(ssl=client_context(), force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        socket = await session.ws_connect(f"wss://{address}{PATH}", max_msg_size=0, **options)  # type: ignore[arg-type]
        seen = socket.get_extra_info("ssl_object").getpeercert(binary_form=True)
        peer = Raw(session, socket, hashlib.sha256(seen).digest())
        if shake_hands is not None:
            await peer.shake_hands(shake_hands)
        yield peer


async def tls_socket(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = address.rpartition(":")
    return await asyncio.open_connection(host, int(port), ssl=client_context())


@asynccontextmanager
async def serving(handler: Callable[[bytes], bytes], context: ssl.SSLContext | None) -> AsyncIterator[str]:
    """A server that answers the first bytes of each connection by `handler`, and waits. Yields its address."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            writer.write(handler(await reader.read(65_536)))
            await reader.read()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await asyncio.sleep(0)


@asynccontextmanager
async def relay(target: str, own: Certificate) -> AsyncIterator[str]:
    """Somebody in between: ends TLS with a certificate of his own and hands every byte on. Yields his address."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward_reader, onward_writer = await tls_socket(target)
        await asyncio.gather(pump(reader, onward_writer), pump(onward_reader, writer))

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=own.context)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await asyncio.sleep(0)


async def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait for something that must come true."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)


def peer_of(node: Node) -> Peer:
    return node.connections[-1].peer
