"""Real HTTPS servers on the loopback that serve blobs, honestly or not, and a client for them."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from chain.crypto.hashing import leaf_hash, root_of_hashes
from network.blob_client import BlobFetcher, FetchLimits
from network.blob_server import BlobServer, ServeLimits
from network.connection import Connection
from network.https_source import HttpsSource, new_session
from network.limits import GateLimits
from network.pages import PAGE_BYTES, Hashing, PageList, Wanted
from network.tls import client_context
from network.transport import Endpoint, Gate, Introduction
from tests.network.scripted import CHAIN, certificate, node_key

HASHING = Hashing(leaf_hash, root_of_hashes)
# No test passes or fails by how long something takes: where a deadline matters, it is one that nobody can keep.
PATIENT = FetchLimits(reply_seconds=600, bytes_per_second_minimum=1, quiet_seconds=0.02)
HASTY = FetchLimits(reply_seconds=0.1, bytes_per_second_minimum=1 << 40)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def blob_of(pages: float, seed: int = 1) -> bytes:
    """Arbitrary bytes of so many pages."""
    return random.Random(seed).randbytes(int(pages * PAGE_BYTES))


def pages_of(blob: bytes) -> list[bytes]:
    return [blob[at : at + PAGE_BYTES] for at in range(0, len(blob), PAGE_BYTES)]


def list_of(blob: bytes) -> PageList:
    return PageList(len(blob), tuple(leaf_hash(page) for page in pages_of(blob)))


def root_of(blob: bytes) -> bytes:
    return root_of_hashes(list_of(blob).hashes)


def wanted(blob: bytes, exact: bool = False) -> Wanted:
    return Wanted(root_of(blob), 64 << 20, len(blob) if exact else None)


@dataclass
class Memory:
    """A source of `BlobServer`: blobs in memory. Notes what is read."""

    blobs: dict[bytes, bytes] = field(default_factory=dict)
    reads: list[tuple[int, int]] = field(default_factory=list)

    @classmethod
    def of(cls, *blobs: bytes) -> "Memory":
        return cls({root_of(blob): blob for blob in blobs})

    def size(self, root: bytes) -> int | None:
        return len(self.blobs[root]) if root in self.blobs else None

    def page_hashes(self, root: bytes) -> bytes | None:
        return b"".join(list_of(self.blobs[root]).hashes) if root in self.blobs else None

    def read(self, root: bytes, offset: int, length: int) -> bytes | None:
        self.reads.append((offset, length))
        return self.blobs[root][offset : offset + length] if root in self.blobs else None


@dataclass
class Loopback:
    """Servers, and what clients need."""

    stack: AsyncExitStack
    faults: list[tuple[str, str]] = field(default_factory=list)  # address of the liar, how it shows

    async def listen(self, routes: Sequence[web.RouteDef]) -> str:
        """Returns HOST:PORT."""
        endpoint = Endpoint(CHAIN, node_key(1), lambda: Introduction(1))
        gate = Gate(endpoint, certificate(1), self.welcome, lambda ip: None, GateLimits())
        gate.add_routes(routes)
        address = await gate.start("127.0.0.1:0")
        self.stack.push_async_callback(gate.stop)
        return address

    async def welcome(self, connection: Connection) -> None:
        """Nobody comes as a peer."""

    async def serve(self, source: Memory, limits: ServeLimits | None = None) -> str:
        server = BlobServer(source, limits)
        self.stack.callback(server.close)
        return await self.listen(server.routes())

    async def source(self, address: str) -> HttpsSource:
        return HttpsSource(await self.stack.enter_async_context(new_session()), address, client_context())

    async def sources(self, *addresses: str) -> list[HttpsSource]:
        return [await self.source(address) for address in addresses]

    def fetcher(self, limits: FetchLimits = PATIENT) -> BlobFetcher:
        return BlobFetcher(HASHING, limits, lambda source, reason: self.faults.append((source.name, reason)))


@asynccontextmanager
async def loopback() -> AsyncIterator[Loopback]:
    _ends.append(asyncio.Event())
    async with AsyncExitStack() as stack:
        try:
            yield Loopback(stack)
        finally:
            _ends.pop().set()


_ends: list[asyncio.Event] = []


async def until_the_end() -> None:
    """What a server does that never answers: it would hold up the end of the test otherwise."""
    await _ends[-1].wait()


# ---- Liars


def liar(
    blob: bytes, shown: bytes | None = None, page: Callable[[int], bytes | None] | None = None
) -> list[web.RouteDef]:
    """Shows `shown` as its list (the true one if None), and gives `page(index)` (true pages if None).

    A page of None is never answered.
    """
    true = pages_of(blob)
    answer = shown if shown is not None else list_of(blob).encode()

    async def give_list(request: web.Request) -> web.StreamResponse:
        return web.Response(body=answer)

    async def give_page(request: web.Request) -> web.StreamResponse:
        first = int(request.headers["Range"].removeprefix("bytes=").partition("-")[0])
        index = first // PAGE_BYTES
        body = page(index) if page is not None else true[index]
        if body is None:
            await until_the_end()
        return web.Response(status=206, body=body)

    return [web.get("/blob/{root}", give_page), web.get("/blob/{root}/pages", give_list)]


def collapsed(blob: bytes) -> bytes:
    """A list with the same root, in which the node above two pages stands in their place."""
    hashes = list_of(blob).hashes
    above = root_of_hashes(hashes[:2])
    rows = (above, root_of_hashes(hashes[2:4]), *hashes[4:])
    assert root_of_hashes(rows) == root_of(blob)
    return PageList(len(blob) - 2 * PAGE_BYTES, rows).encode()


BLOB = blob_of(4.5)
TRUE = pages_of(BLOB)
