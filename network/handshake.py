"""The handshake over an open WebSocket: who is at the other end, proven."""

import asyncio
import secrets
import socket as sockets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import aiohttp
from aiohttp import WSMsgType

from network.address import ADDRESS_CHARACTERS_MAXIMUM, format_address
from network.connection import Connection, Shared, Socket, shown
from network.errors import CannotConnect, Malformed, Ourselves, Refused
from network.hello import (
    AGENT_BYTES_MAXIMUM,
    HELLO_BYTES_MAXIMUM,
    NONCE_BYTES,
    VOUCHER_BYTES_MAXIMUM,
    Greeting,
    Hello,
    Side,
    Transcript,
    check_greeting,
    check_hello,
    signed,
)
from network.peer import NodeKey, Peer

UNSENT_BYTES_MAXIMUM = 128 << 10


@dataclass(frozen=True, slots=True)
class Introduction:
    """What we say of ourselves in a handshake; may change from one to the next."""

    roles: int
    listen: str = ""  # HOST:PORT where we can be dialled, empty if nowhere
    voucher: bytes = b""  # at most 256 bytes
    agent: str = ""  # at most 64 printable ASCII characters

    def __post_init__(self) -> None:
        assert len(self.voucher) <= VOUCHER_BYTES_MAXIMUM and len(self.agent) <= AGENT_BYTES_MAXIMUM
        assert len(self.listen) <= ADDRESS_CHARACTERS_MAXIMUM


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Our side of every handshake, shared by `Dialer` and `Gate`."""

    chain_id: bytes  # 32 bytes
    key: NodeKey
    introduce: Callable[[], Introduction]
    shared: Shared = field(default_factory=Shared)


async def shake_hands(
    socket: Socket, transport: asyncio.Transport, endpoint: Endpoint, side: Side, certificate: bytes
) -> Connection:
    """Prove each other's keys; `side` is ours, `certificate` the digest of the listener's as we know it.

    Raises NotANode, OtherVersion, OtherNetwork, Malformed, Ourselves, Impostor, Refused, CannotConnect. Has no time
    limit of its own, and leaves the socket open.
    """
    try:
        hello = await _exchange(socket, endpoint, side, certificate)
    except (aiohttp.ClientError, OSError, RuntimeError) as error:
        raise CannotConnect(f"the connection was lost during the handshake ({error})") from error
    keep_queue_short(transport)
    host, port = (transport.get_extra_info("peername") or ("?", 0))[:2]
    address, outbound = format_address(host, port), side is Side.DIALLER
    peer = Peer(hello.key, address, outbound, hello.roles, hello.listen, hello.voucher, hello.agent)
    return Connection(peer, socket, transport, endpoint.shared)


async def _exchange(socket: Socket, endpoint: Endpoint, side: Side, certificate: bytes) -> Hello:
    greeting = Greeting(endpoint.chain_id, secrets.token_bytes(NONCE_BYTES))
    own = greeting.encode()
    await socket.send_bytes(own)
    theirs = check_greeting(await _receive(socket), greeting)
    ours = endpoint.introduce()
    hello = Hello(endpoint.key.public_key, ours.roles, ours.listen, ours.voucher, ours.agent)
    if side is Side.DIALLER:
        transcript = Transcript(own, theirs, certificate)
        await socket.send_bytes(signed(hello, endpoint.key, side, transcript).encode())
        return check_hello(await _receive(socket), Side.LISTENER, transcript, endpoint.key)
    transcript = Transcript(theirs, own, certificate)
    answer = signed(hello, endpoint.key, side, transcript).encode()
    try:
        other = check_hello(await _receive(socket), Side.DIALLER, transcript, endpoint.key)
    except Ourselves:
        await socket.send_bytes(answer)  # Our other end has to learn it too: it must not dial this address again.
        raise
    await socket.send_bytes(answer)
    return other


async def _receive(socket: Socket) -> bytes:
    """One message of the handshake."""
    message = await socket.receive()
    if message.type is WSMsgType.BINARY:
        if len(message.data) > HELLO_BYTES_MAXIMUM:
            raise Malformed(f"{len(message.data)} bytes in the handshake, {HELLO_BYTES_MAXIMUM} are allowed")
        return bytes(message.data)
    if message.type is WSMsgType.CLOSE and message.extra:
        raise Refused(f"it refuses: {shown(message.extra)}")
    if message.type in (WSMsgType.TEXT, WSMsgType.PING, WSMsgType.PONG):
        raise Malformed("something else than the handshake was sent")
    if isinstance(message.data, aiohttp.WebSocketError):
        raise Malformed(f"broken WebSocket frames: {message.data}")
    raise CannotConnect("it closed the connection during the handshake")


def keep_queue_short(transport: asyncio.Transport) -> None:
    """Let the system keep little that is not sent yet: what lies there leaves before a vote that comes later."""
    socket = transport.get_extra_info("socket")
    if socket is not None and hasattr(sockets, "TCP_NOTSENT_LOWAT"):
        with suppress(OSError):
            socket.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NOTSENT_LOWAT, UNSENT_BYTES_MAXIMUM)
