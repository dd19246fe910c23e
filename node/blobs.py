"""Blobs for a running node, into files: from peers over HTTPS where they can be reached so, over their connection
otherwise. Start reading at `Blobs.want`."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from pathlib import Path

import aiohttp

from network.blob_client import BlobFetcher, FetchLimits, Source
from network.blob_errors import Absent, BlobError, DiskFailed, NoSourceLeft
from network.errors import NetworkError
from network.https_source import HttpsSource, new_session
from network.pages import Wanted
from network.peer import Peer
from node.blob_exchange import PATIENCE_MS, RETRY_MAXIMUM_MS, RETRY_MS, BlobExchange, Done, order_of
from node.blob_source import HASHING
from node.logs import log_of
from node.recent import Recent
from node.runtime import INVALID, Runtime

AT_ONCE = 8  # blobs
# A blob gives up its turn after so long if others wait, and the next time after twice as long: whoever gives a few
# blobs slowly or not at all must not keep us from those of others, as a round has to be judged in little time.
TURN_SECONDS = 2.0
SOURCES_MAXIMUM = 16  # peers asked in one attempt
LOG = log_of("blobs")


def https_address(peer: Peer) -> str | None:
    """Where a peer serves HTTPS, if that can be believed: an address that we dialled, or one on the host it comes from.

    Anything else would let a peer send us to any machine that it likes to name.
    """
    if peer.outbound:
        return peer.address
    host = peer.address.rpartition(":")[0]
    return peer.listen if peer.listen and peer.listen.rpartition(":")[0] == host else None


class PeerSource:
    """A peer as a source: over HTTPS until that fails, then over its connection."""

    def __init__(self, blobs: "Blobs", key: bytes, https: HttpsSource | None) -> None:
        self.blobs = blobs
        self.key = key
        self.https = https
        self.limits = blobs.limits
        # Over its connection it is the peer that speaks, over HTTPS it could be anybody.
        self.is_proven = https is None
        self.name = key.hex() if https is None else f"{key.hex()} at {https.address}"

    async def page_list(self, wanted: Wanted) -> bytes:
        if (https := self.https) is not None:
            found = self._noted(await self._tried(https.page_list(wanted), self.limits.reply_seconds / 2))
            if found is not None:
                return found
        return await self._asked(wanted.root, None)

    async def page(self, root: bytes, index: int) -> bytes:
        if (https := self.https) is not None:
            found = self._noted(await self._tried(https.page(root, index), self.limits.page_seconds / 2))
            if found is not None:
                return found
        return await self._asked(root, index)

    def _noted(self, found: bytes | None) -> bytes | None:
        self.blobs.exchange.bytes_over_https += len(found or b"")
        return found

    async def _tried(self, answer: Awaitable[bytes], seconds: float) -> bytes | None:
        try:
            async with asyncio.timeout(seconds):
                return await answer
        except Absent:
            raise
        except (NetworkError, TimeoutError) as error:
            LOG.debug("a peer does not serve blobs over HTTPS", peer=self.name, reason=str(error))
            self.https = None
            self.blobs.without_https.add(self.key)
            return None

    async def _asked(self, root: bytes, index: int | None) -> bytes:
        future: asyncio.Future[bytes | BlobError] = asyncio.get_running_loop().create_future()

        def told(answer: bytes | BlobError) -> None:
            if not future.done():
                future.set_result(answer)

        self.blobs.exchange.requests.ask(self.key, root, index, told)
        answer = await future
        if isinstance(answer, BlobError):
            raise answer
        return answer


class Blobs:
    """Fetches blobs into `folder`, each under the name of its root. Make it on the event loop; `stop` it at the end."""

    def __init__(
        self,
        runtime: Runtime,
        exchange: BlobExchange,
        folder: Path,
        tls: ssl.SSLContext,
        limits: FetchLimits | None = None,
    ) -> None:
        self.runtime = runtime
        self.exchange = exchange
        self.folder = folder
        self.tls = tls
        self.limits = limits or FetchLimits()
        # Peers with whom HTTPS does not work, or gave false pages: for that they are not blamed, since it could be
        # somebody on the way. They are asked over their connection from then on.
        self.without_https = Recent(256)
        self.hear_page: Callable[[bytes, bytes], None] = lambda root, key: None  # told who has given a page of what
        self._session: aiohttp.ClientSession | None = None
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0  # blobs that wait for their turn
        self._tasks: dict[bytes, asyncio.Task[None]] = {}
        self._done: dict[bytes, list[Done]] = {}
        self._ending: dict[bytes, asyncio.Task[None]] = {}  # forgotten, and not at its end yet

    def want(
        self, root: bytes, bytes_maximum: int, holders: Iterable[bytes], done: Done, size: int | None = None
    ) -> None:
        """Like `BlobExchange.want`, but what `done` is told is the blob's file, and its length is bounded by the disk.

        What has come of it outlives a restart: the next wish goes on from there.
        """
        if root in self._done:
            self._done[root].append(done)
            return
        self._done[root] = [done]
        wanted = Wanted(root, bytes_maximum, size)
        self._tasks[root] = asyncio.create_task(self._fetch(wanted, tuple(holders)))
        self._tasks[root].add_done_callback(lambda task: self._ended(root, task))

    def forget(self, root: bytes) -> None:
        """Stop fetching a blob; nobody is told."""
        self._done.pop(root, None)
        if (task := self._tasks.pop(root, None)) is not None:
            task.cancel()
            self._ending[root] = task

    async def stop(self) -> None:
        """End all that is on its way; the parts stay on disk."""
        tasks = [*self._tasks.values(), *self._ending.values()]
        self._done.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def _ended(self, root: bytes, task: asyncio.Task[None]) -> None:
        if self._tasks.get(root) is task:
            del self._tasks[root]
        if self._ending.get(root) is task:
            del self._ending[root]
        if not task.cancelled() and (error := task.exception()) is not None:
            self.runtime.fail(error)

    async def _fetch(self, wanted: Wanted, holders: tuple[bytes, ...]) -> None:
        path = self.folder / wanted.root.hex()
        if (before := self._ending.get(wanted.root)) is not None:
            await asyncio.wait([before])  # two fetches never write one file
        until, pause, turn = self.runtime.now_ms() + PATIENCE_MS, RETRY_MS, TURN_SECONDS
        liars: dict[bytes, str] = {}
        found: Path | None = None
        while found is None:
            try:
                if await self._in_turn(self._attempt(wanted, holders, path, liars), turn):
                    found = path
                turn *= 2
            except NoSourceLeft as error:
                LOG.debug("a blob could not be had yet", reason=str(error))
                if self.runtime.now_ms() >= until:
                    break
                await asyncio.sleep(pause / 1_000)
                pause = min(2 * pause, RETRY_MAXIMUM_MS)
            except DiskFailed as error:
                LOG.error("a blob cannot be written", reason=str(error))
                break
        for done in self._done.pop(wanted.root, []):
            done(found)

    async def _in_turn(self, attempt: Coroutine[None, None, None], seconds: float) -> bool:
        """Whether it has come to its end; else its turn is over, and what has come so far stays on disk."""
        self._waiting += 1
        try:
            await self._turn.acquire()
        except BaseException:
            attempt.close()
            raise
        finally:
            self._waiting -= 1
        task = asyncio.create_task(attempt)
        try:
            while not task.done():
                await asyncio.wait([task], timeout=seconds)
                if not task.done() and self._waiting:
                    return False
            task.result()
            return True
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._turn.release()

    async def _attempt(self, wanted: Wanted, holders: tuple[bytes, ...], path: Path, liars: dict[bytes, str]) -> None:
        def lied(source: Source, reason: str) -> None:
            assert isinstance(source, PeerSource)
            if not source.is_proven:
                LOG.warning("false blob over HTTPS", peer=source.name, reason=reason)
                self.without_https.add(source.key)
            else:
                liars[source.key] = reason
                self.runtime.blame(source.key, INVALID, f"blob {wanted.root.hex()[:16]}: {reason}")

        def given(source: Source, index: int) -> None:
            assert isinstance(source, PeerSource)
            self.hear_page(wanted.root, source.key)

        peers = [key for key in order_of(self.runtime, holders) if key not in liars][:SOURCES_MAXIMUM]
        sources = [self._source(key) for key in peers]
        await BlobFetcher(HASHING, self.limits, lied, given).fetch(wanted, sources, path)

    def _source(self, key: bytes) -> PeerSource:
        address = None if key in self.without_https else https_address(self.runtime.peers()[key])
        if address is None:
            return PeerSource(self, key, None)
        if self._session is None:
            self._session = new_session()
        return PeerSource(self, key, HttpsSource(self._session, address, self.tls))
