"""Ledger reads away from the event loop: in threads of their own, never before the node's own work."""

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from chain.genesis import Network
from node.key_value import KeyValue
from node.store import Store

T = TypeVar("T")
THREADS = 2


class Reads:
    """Runs functions over the ledger as it is at one moment."""

    def __init__(self, database: KeyValue, network: Network) -> None:
        self._database = database
        self._network = network
        self._threads = ThreadPoolExecutor(THREADS, "api-read")

    async def run(self, read: Callable[[Store], T]) -> T:
        """What `read` makes of a snapshot; it may raise Refusal or StoreError."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._on_snapshot, read)

    async def encoded(self, read: Callable[[Store], object]) -> bytes:
        """The same as JSON, which for a full block takes time too."""
        return await self.run(lambda store: json.dumps(read(store)).encode())

    def _on_snapshot(self, read: Callable[[Store], T]) -> T:
        snapshot = self._database.snapshot()
        try:
            return read(Store(snapshot, self._network))
        finally:
            snapshot.close()

    def close(self) -> None:
        """Wait for the reads in progress: the database is closed next."""
        self._threads.shutdown(wait=True, cancel_futures=True)
