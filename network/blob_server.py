"""Serves blobs by their root over HTTP, in ranges. Start reading at `BlobServer.routes`.

GET /blob/ROOT          the bytes; one range may be asked for (RFC 9110, section 14)
GET /blob/ROOT/pages    the size and the hash of every page, from which ROOT follows

ROOT is 64 lower-case hexadecimal digits, no other path exists. Every answer has its share of connections, bytes per
second and memory, whatever the one who asks does.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from aiohttp import web

from network.address import machine_of

PIECE_BYTES = 256 << 10
ROOT = "{root:[0-9a-f]{64}}"
RANGE = re.compile(r"bytes=(?:(\d{1,19})-(\d{0,19})|-(\d{1,19}))", re.ASCII)
READING_THREADS = 2
BURST_SECONDS = 1.0  # of a client's pace may go out at once

T = TypeVar("T")


class BlobSource(Protocol):
    """Where blobs lie. Called in threads, may block. Only what has the root that it is asked for is ever given."""

    def size(self, root: bytes) -> int | None:
        """Bytes of the blob; None if it is not here."""

    def page_hashes(self, root: bytes) -> bytes | None:
        """The hashes of its pages, joined; None if it is not here."""

    def read(self, root: bytes, offset: int, length: int) -> bytes | None:
        """These bytes of it, fewer at its end; None if it is not here."""


@dataclass(frozen=True, slots=True)
class ServeLimits:
    """Per client means an IPv4 address or an IPv6 /64."""

    answers: int = 32  # at once
    answers_per_client: int = 8
    bytes_per_second_per_client: int = 32 << 20
    write_seconds: float = 8.0  # for the client to take a piece of PIECE_BYTES
    clients: int = 1_024  # whose pace is remembered


@dataclass(slots=True)
class _Client:
    answers: int = 0
    free_at: float = 0.0  # when what it has got so far is paid for, by the loop's clock


class BlobServer:
    """Hand `routes` to the server; `close` it after the server has stopped."""

    def __init__(self, source: BlobSource, limits: ServeLimits | None = None) -> None:
        self.source = source
        self.limits = limits or ServeLimits()
        self.answers = 0
        self.bytes_served = 0
        self._clients: OrderedDict[str, _Client] = OrderedDict()
        self._threads = ThreadPoolExecutor(READING_THREADS, "blobs")

    def routes(self) -> list[web.RouteDef]:
        """GET and HEAD of both addresses."""
        return [web.get(f"/blob/{ROOT}", self._blob), web.get(f"/blob/{ROOT}/pages", self._pages)]

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _pages(self, request: web.Request) -> web.StreamResponse:
        with self._counted(request) as client:
            root = bytes.fromhex(request.match_info["root"])
            size, hashes = await self._read(lambda: (self.source.size(root), self.source.page_hashes(root)))
            if size is None or hashes is None:
                raise web.HTTPNotFound(text="no such blob\n")
            body = size.to_bytes(8, "big") + hashes
            await self._pace(client, len(body))
            return web.Response(body=body, headers=_headers(root))

    async def _blob(self, request: web.Request) -> web.StreamResponse:
        with self._counted(request) as client:
            root = bytes.fromhex(request.match_info["root"])
            size = await self._read(lambda: self.source.size(root))
            if size is None:
                raise web.HTTPNotFound(text="no such blob\n")
            wish = request.headers.getall("Range", [])
            whole = not wish
            found = (0, size) if whole else parse_range(wish[0], size) if len(wish) == 1 else None
            if found is None:
                raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"})
            first, end = found
            response = web.StreamResponse(status=200 if whole else 206, headers=_headers(root))
            response.content_length = end - first
            if not whole:
                response.headers["Content-Range"] = f"bytes {first}-{end - 1}/{size}"
            try:
                await response.prepare(request)
            except ConnectionError:
                return response  # The client has gone meanwhile.
            is_done = request.method == "HEAD" or await self._send(response, client, root, (first, end))
            if not is_done and request.transport is not None:
                # The length has been promised: only an end of the connection says that it will not be kept.
                request.transport.abort()
            return response

    async def _send(self, response: web.StreamResponse, client: _Client, root: bytes, bounds: tuple[int, int]) -> bool:
        """Whether all has been sent: not if the client goes or takes nothing, or the blob goes."""
        at, end = bounds
        while at < end:
            length = min(PIECE_BYTES, end - at)
            piece = await self._read(lambda at=at, length=length: self.source.read(root, at, length))  # type: ignore[misc]
            if piece is None or len(piece) != length:
                return False
            await self._pace(client, length)
            try:
                async with asyncio.timeout(self.limits.write_seconds):
                    await response.write(piece)
            except (TimeoutError, ConnectionError):
                return False
            at += length
            self.bytes_served += length
        return True

    async def _read(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    @contextmanager
    def _counted(self, request: web.Request) -> Iterator[_Client]:
        """One more answer. Raises 503 if there are too many, 429 if this client has too many."""
        client = self._client(request.remote or "")
        wait = {"Retry-After": "1"}
        if client.answers >= self.limits.answers_per_client:
            raise web.HTTPTooManyRequests(text="too many requests of yours at once\n", headers=wait)
        if self.answers >= self.limits.answers:
            raise web.HTTPServiceUnavailable(text="too many requests at once\n", headers=wait)
        self.answers += 1
        client.answers += 1
        try:
            yield client
        finally:
            self.answers -= 1
            client.answers -= 1

    def _client(self, address: str) -> _Client:
        name = machine_of(address)
        client = self._clients.pop(name, None) or _Client()
        self._clients[name] = client
        if len(self._clients) > self.limits.clients:
            idle = next((key for key, one in self._clients.items() if one is not client and not one.answers), None)
            if idle is not None:
                del self._clients[idle]
        return client

    async def _pace(self, client: _Client, length: int) -> None:
        """Wait until this client may have so many bytes more."""
        now = asyncio.get_running_loop().time()
        client.free_at = max(client.free_at, now) + length / self.limits.bytes_per_second_per_client
        if (wait := client.free_at - now - BURST_SECONDS) > 0:
            await asyncio.sleep(wait)


def parse_range(text: str, size: int) -> tuple[int, int] | None:
    """First byte and end of the one range asked for; None if there is no such, or if it is no single range of bytes."""
    match = RANGE.fullmatch(text.strip())
    if match is None:
        return None
    first_text, last_text, suffix = match.groups()
    if suffix is not None:
        return (max(0, size - int(suffix)), size) if int(suffix) and size else None
    first, last = int(first_text), int(last_text or size - 1)
    return (first, min(last + 1, size)) if first <= last and first < size else None


def _headers(root: bytes) -> dict[str, str]:
    """What a name of this kind names never changes."""
    return {
        "Content-Type": "application/octet-stream",
        "Accept-Ranges": "bytes",
        "ETag": f'"{root.hex()}"',
        "Cache-Control": "public, max-age=31536000, immutable",
    }
