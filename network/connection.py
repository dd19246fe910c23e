"""One connection to a peer whose handshake has succeeded: what goes out by priority, what comes in within limits."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import WSMsgType, web

from network.inbox import Inbox, Memory
from network.limits import FLOODING, MALFORMED, PINGS, Fault, Rates
from network.outbox import FRAME_BYTES_MAXIMUM, Outbox, Overflow, Pool
from network.peer import Peer
from network.traffic import Traffic

HEARTBEAT_SECONDS = 30.0  # a silent peer is asked so often; it has half as long to answer
CLOSE_SECONDS = 1.0  # for the other end to answer that we close
STALL_SECONDS = 60.0  # a peer that takes nothing for so long, while something waits, is too slow
SLICE_FRAMES, SLICE_BYTES = 32, 256 << 10  # handled in one go; then other connections have their turn
REASON_BYTES_MAXIMUM = 123  # RFC 6455 5.5: a control frame has 125 bytes, two are the code
WS_BYTES_MAXIMUM = FRAME_BYTES_MAXIMUM + 2  # aiohttp wants one more than what it lets pass
CLOSE_CODE = 4000  # RFC 6455 7.4.2: for private use; the reason is in the text
LOG = logging.getLogger("neuroshard.network")

OnMessage = Callable[[int, bytes], None]  # kind, payload
OnFault = Callable[[Fault], None]
Socket = web.WebSocketResponse[bool] | aiohttp.ClientWebSocketResponse[bool]


@dataclass(frozen=True, slots=True)
class Report:
    """One connection in numbers, for the API. Seconds are by the event loop's clock. Kinds by number."""

    open_seconds: float
    silent_seconds: float  # since anything was heard
    messages_in: dict[int, int]
    bytes_in: dict[int, int]
    messages_out: dict[int, int]
    bytes_out: dict[int, int]
    dropped_in: int  # frames above the peer's rates
    dropped_out: int  # our queue was full
    unknown_in: int  # frames of kinds that we do not know
    queued_messages: int
    queued_bytes: int


@dataclass(slots=True)
class Shared:
    """What all connections of a node share: bounds of memory, and how much they carried."""

    memory: Memory = field(default_factory=Memory)
    pool: Pool = field(default_factory=Pool)
    traffic: Traffic = field(default_factory=Traffic)


class _Slice:
    """How much may still be handled before others have their turn."""

    def __init__(self) -> None:
        self.frames, self.size = SLICE_FRAMES, SLICE_BYTES

    async def spend(self, size: int) -> None:
        self.frames -= 1
        self.size -= size
        if self.frames <= 0 or self.size <= 0:
            self.frames, self.size = SLICE_FRAMES, SLICE_BYTES
            await asyncio.sleep(0)


def shown(text: object) -> str:
    """Words of a stranger, fit for a log and a terminal."""
    return "".join(letter if " " <= letter < "\x7f" else "?" for letter in str(text)[:REASON_BYTES_MAXIMUM])


async def close_socket(socket: Socket, transport: asyncio.Transport, reason: str) -> None:
    """Tell why, wait at most CLOSE_SECONDS for an answer, and free the socket. Raises nothing."""
    words = shown(reason).encode("ascii")
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await socket.close(code=CLOSE_CODE, message=words)
    except (TimeoutError, aiohttp.ClientError, OSError, RuntimeError) as error:
        LOG.debug("closing a connection: %r", error)
    finally:
        transport.abort()  # A peer that takes nothing would keep a polite close waiting.


class Connection:
    """`run` it once; `send` and `end` may be called from any callback on the event loop."""

    def __init__(self, peer: Peer, socket: Socket, transport: asyncio.Transport, shared: Shared) -> None:
        self.peer = peer
        self._socket = socket
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._outbox = Outbox(shared.pool)
        self._inbox = Inbox(shared.memory)
        self._traffic = shared.traffic
        self._pings = Rates()
        self._pong: bytes | None = None
        self._wake = asyncio.Event()
        self._reason: str | None = None
        self._closing: asyncio.Task[None] | None = None
        self._opened_at = self._heard_at = self._taken_at = self._loop.time()
        self._in: tuple[Counter[int], Counter[int]] = Counter(), Counter()
        self._out: tuple[Counter[int], Counter[int]] = Counter(), Counter()

    def send(self, kind: int, payload: bytes) -> bool:
        """Queue a message. False: it was dropped, because the queue is full or the connection is ending. Never blocks.

        If consensus messages or blocks overflow, the connection ends itself: the peer is too slow for us.
        """
        if self._reason is not None:
            return False
        if not len(self._outbox):
            self._taken_at = self._loop.time()
        elif self._loop.time() - self._taken_at > STALL_SECONDS:
            self.end(f"too slow: nothing was taken for {STALL_SECONDS:.0f} s")
            return False
        try:
            is_queued = self._outbox.put(kind, payload)
        except Overflow:
            self.end("too slow: urgent messages do not fit into its queue any more")
            return False
        self._wake.set()
        return is_queued

    async def run(self, on_message: OnMessage, on_fault: OnFault) -> str:
        """Read until the connection ends, by whomever. Returns why, in words for the log.

        Callbacks must not block; they may call `end`, after which no callback comes. A MALFORMED fault is the last one.
        """
        writer = self._loop.create_task(self._write())
        try:
            await self._read(on_message, on_fault)
        finally:
            self.end("this node has done with it")  # Only if nobody gave a reason before.
            writer.cancel()
            await asyncio.wait((writer,))
            await self._closed()
        if not writer.cancelled():
            writer.result()  # Only a fault of our own is raised here.
        return self._reason or ""

    def end(self, reason: str) -> None:
        """Ask for the end; `run` returns soon (at most CLOSE_SECONDS). The first reason counts, the peer is told it."""
        if self._reason is None:
            self._reason = reason
            self._outbox.close()
            self._inbox.close()
            self._closing = self._loop.create_task(close_socket(self._socket, self._transport, reason))

    async def close(self, reason: str) -> None:
        """`end`, and wait until the socket is closed. Works without `run` too."""
        self.end(reason)
        await self._closed()

    def report(self) -> Report:
        now, outbox, inbox = self._loop.time(), self._outbox, self._inbox
        return Report(
            now - self._opened_at,
            now - self._heard_at,
            dict(self._in[0]),
            dict(self._in[1]),
            dict(self._out[0]),
            dict(self._out[1]),
            inbox.dropped,
            outbox.dropped,
            inbox.unknown,
            len(outbox),
            outbox.size,
        )

    async def _closed(self) -> None:
        assert self._closing is not None
        await asyncio.wait((self._closing,))  # Unlike a plain await, it does not hand our cancellation on.

    async def _write(self) -> None:
        turn = _Slice()
        try:
            while self._reason is None:
                if self._pong is not None:
                    pong, self._pong = self._pong, None
                    await self._socket.pong(pong)
                taken = self._outbox.take()
                if taken is None:
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                frame, kind, size = taken
                await self._socket.send_bytes(frame)
                self._taken_at = self._loop.time()
                if kind:
                    self._out[0][kind] += 1
                    self._out[1][kind] += size
                    self._traffic.sent += size
                await turn.spend(len(frame))
        except (aiohttp.ClientError, OSError, RuntimeError) as error:
            LOG.debug("writing to %s: %r", self.peer.address, error)
            await asyncio.sleep(CLOSE_SECONDS)  # The reader may find in what has come why the peer left.
        finally:
            self.end("the connection was lost")

    async def _read(self, on_message: OnMessage, on_fault: OnFault) -> None:
        turn = _Slice()
        while self._reason is None:
            try:
                message = await self._socket.receive()
            except (aiohttp.ClientError, OSError, RuntimeError) as error:
                LOG.debug("reading from %s: %r", self.peer.address, error)
                self.end("the connection was lost")
                return
            if self._reason is not None:
                return
            self._heard_at = self._loop.time()
            result = self._judge(message)
            if isinstance(result, Fault):
                on_fault(result)
                if result.points >= MALFORMED:
                    self.end(result.reason)  # What comes after it makes no sense.
            elif result is not None:
                kind, payload = result
                self._in[0][kind] += 1
                self._in[1][kind] += len(payload)
                self._traffic.received += len(payload)
                on_message(kind, payload)
            data = message.data
            await turn.spend(len(data) if isinstance(data, bytes) else 0)

    def _judge(self, message: Any) -> tuple[int, bytes] | Fault | None:
        """What came over the WebSocket: a message of ours, a fault, or nothing to tell."""
        match message.type:
            case WSMsgType.BINARY:
                return self._inbox.take(message.data, self._heard_at)
            case WSMsgType.PING | WSMsgType.PONG:
                if not self._pings.allows(PINGS, 1, len(message.data), self._heard_at):
                    return Fault(FLOODING, f"more than {PINGS.per_minute} pings a minute")
                if message.type is WSMsgType.PING:
                    self._pong = message.data  # By the writer: a reader that waits to write could wait for ever.
                    self._wake.set()
                return None
            case WSMsgType.TEXT:
                return Fault(MALFORMED, "a text frame")
            case WSMsgType.CLOSE:
                words = f": {shown(message.extra)}" if message.extra else ""
                self.end(f"the peer has closed the connection{words}")
            case WSMsgType.ERROR if isinstance(message.data, aiohttp.WebSocketError):
                self.end(f"broken WebSocket frames: {message.data}")
                return Fault(MALFORMED, f"broken WebSocket frames: {message.data}")
            case _:  # CLOSING and CLOSED without a word, ERROR of a heartbeat without an answer
                silent = isinstance(message.data, TimeoutError)
                self.end("the peer did not answer a heartbeat" if silent else "the connection was lost")
        return None
