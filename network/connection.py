"""One connection to a peer whose handshake has succeeded: what goes out by priority, what comes in within limits."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from network.peer import Peer

MALFORMED, FLOODING = 100, 20  # points of a Fault; a peer is banned at -100


@dataclass(frozen=True, slots=True)
class Fault:
    """What the peer did that no honest peer does."""

    points: int
    reason: str


OnMessage = Callable[[int, bytes], None]  # kind, payload
OnFault = Callable[[Fault], None]


@dataclass(frozen=True, slots=True)
class Report:
    """One connection in numbers, for the API. Seconds are by the event loop's clock. Kinds by number."""

    open_seconds: float
    silent_seconds: float  # since anything was heard
    messages_in: dict[int, int]
    bytes_in: dict[int, int]
    messages_out: dict[int, int]
    bytes_out: dict[int, int]
    dropped_in: int  # above the peer's rates
    dropped_out: int  # our queue was full
    unknown_in: int  # kinds that we do not know
    queued_messages: int
    queued_bytes: int


class Connection:
    """`run` it once; `send` and `end` may be called from any callback on the event loop."""

    peer: Peer

    def send(self, kind: int, payload: bytes) -> bool:
        """Queue a message. False: it was dropped, because the queue is full or the connection is ending. Never blocks.

        If consensus messages or blocks overflow, the connection ends itself: the peer is too slow for us.
        """
        raise NotImplementedError

    async def run(self, on_message: OnMessage, on_fault: OnFault) -> str:
        """Read until the connection ends, by whomever. Returns why, in words for the log.

        Callbacks must not block; they may call `end`, after which no callback comes.
        """
        raise NotImplementedError

    def end(self, reason: str) -> None:
        """Ask for the end; `run` returns soon (at most CLOSE_SECONDS). The first reason counts and is told to the peer."""
        raise NotImplementedError

    async def close(self, reason: str) -> None:
        """`end`, and wait until the socket is closed. Works without `run` too."""
        raise NotImplementedError

    def report(self) -> Report:
        raise NotImplementedError
