"""Names to addresses, in threads that nobody waits for: a name server that does not answer must not hold up a stop."""

import asyncio
import socket
import threading
from contextlib import suppress
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

LOOKUPS_AT_ONCE = 8


class Resolver(AbstractResolver):
    """The system's resolver. A lookup that is cancelled goes on in its thread, and its answer is thrown away."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._places = asyncio.Semaphore(LOOKUPS_AT_ONCE)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises OSError."""
        async with self._places:
            answer: asyncio.Future[list[Any]] = self._loop.create_future()
            threading.Thread(
                target=self._look_up, args=(answer, host, port, family), name="resolver", daemon=True
            ).start()
            found = await answer
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """Nothing to close."""

    def _look_up(self, answer: asyncio.Future[list[Any]], host: str, port: int, family: int) -> None:
        found: list[Any] | OSError
        try:
            found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        except (OSError, UnicodeError) as error:
            found = error if isinstance(error, OSError) else OSError("no name of a machine")
        with suppress(RuntimeError):  # The loop is closed: nobody waits any more.
            self._loop.call_soon_threadsafe(_deliver, answer, found)


def _deliver(answer: asyncio.Future[list[Any]], found: list[Any] | OSError) -> None:
    if answer.done():
        return
    if isinstance(found, OSError):
        answer.set_exception(found)
    else:
        answer.set_result(found)
