"""The real world for a node's protocols: an event loop, a thread for each lane of work, and the peers of a switch."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from network.peer import Peer
from node.clock import wall_ms
from node.runtime import Timer

T = TypeVar("T")


class Switch(Protocol):
    """What of `network.switch.Switch` is needed here."""

    @property
    def peers(self) -> Mapping[bytes, Peer]: ...
    def send(self, key: bytes, kind: int, payload: bytes) -> object: ...
    def blame(self, key: bytes, points: int, reason: str) -> None: ...
    def praise(self, key: bytes) -> None: ...


class LoopRuntime:
    """A `node.runtime.Runtime`. `failed` ends with the error that ends the node."""

    def __init__(self) -> None:
        self.random = random.Random()
        self.switch: Switch | None = None  # None: nobody to talk to
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._loop = asyncio.get_running_loop()
        self._lanes: dict[str, ThreadPoolExecutor] = {}
        self._work: set[asyncio.Future[Any]] = set()
        self._stopped = False

    def now_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000

    def wall_ms(self) -> int:
        return max(0, wall_ms())  # Before 1970 there is no time that a block could carry.

    def later(self, delay_ms: int, action: Callable[[], None]) -> Timer:
        return self._loop.call_later(max(delay_ms, 0) / 1000, self._guarded, action)

    def offload(self, lane: str, work: Callable[[], T], done: Callable[[T], None]) -> None:
        if self._stopped:
            return
        if lane not in self._lanes:
            self._lanes[lane] = ThreadPoolExecutor(1, f"node-{lane}")
        future = self._loop.run_in_executor(self._lanes[lane], work)
        self._work.add(future)

        def ended(_: asyncio.Future[T]) -> None:
            self._ended(future, done)

        future.add_done_callback(ended)

    def peers(self) -> Mapping[bytes, Peer]:
        return {} if self.switch is None else self.switch.peers

    def send(self, key: bytes, kind: int, payload: bytes) -> None:
        if self.switch is not None:
            self.switch.send(key, kind, payload)

    def blame(self, key: bytes, points: int, reason: str) -> None:
        if self.switch is not None:
            self.switch.blame(key, points, reason)

    def praise(self, key: bytes) -> None:
        if self.switch is not None:
            self.switch.praise(key)

    def fail(self, error: BaseException) -> None:
        if not self.failed.done():
            self.failed.set_exception(error)

    async def stop(self) -> None:
        """End all that was begun. Afterwards nothing touches the files any more."""
        self._stopped = True
        # A thread cannot be ended: what it does is waited for, what has not begun is dropped.
        for executor in self._lanes.values():
            await asyncio.to_thread(executor.shutdown, wait=True, cancel_futures=True)
        await asyncio.gather(*self._work, return_exceptions=True)
        if self.failed.done() and not self.failed.cancelled():
            self.failed.exception()  # It has been told, or the node was ending anyway.

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            if not self._stopped:
                action()
        except Exception as error:
            self.fail(error)

    def _ended(self, future: asyncio.Future[Any], done: Callable[[Any], None]) -> None:
        self._work.discard(future)
        if future.cancelled():
            return
        error = future.exception()
        if error is not None:
            self.fail(error)
        else:
            self._guarded(lambda: done(future.result()))
