"""Real HTTPS servers on the loopback that serve blobs, honestly or not, and a client for them."""

import asyncio
import datetime
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chain.crypto.hashing import leaf_hash, root_of_hashes
from network.blob_client import BlobFetcher, FetchLimits
from network.blob_server import BlobServer, ServeLimits
from network.https_source import HttpsSource, new_session
from network.pages import PAGE_BYTES, Hashing, PageList, Wanted

HASHING = Hashing(leaf_hash, root_of_hashes)
QUICK = FetchLimits(reply_seconds=0.3, bytes_per_second_minimum=8 << 20)
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


@cache
def tls() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """For servers, and for clients that take any certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "node")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    server.minimum_version = client.minimum_version = ssl.TLSVersion.TLSv1_3
    with TemporaryDirectory() as folder:
        path = Path(folder) / "pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        server.load_cert_chain(path)
    return server, client


@dataclass
class Loopback:
    """Servers, and what clients need."""

    stack: AsyncExitStack
    faults: list[tuple[str, str]] = field(default_factory=list)  # address of the liar, how it shows

    async def listen(self, routes: Sequence[web.RouteDef]) -> str:
        """Returns HOST:PORT."""
        app = web.Application()
        app.add_routes(routes)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        self.stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls()[0]).start()
        return "127.0.0.1:{1}".format(*runner.addresses[0])

    async def serve(self, source: Memory, limits: ServeLimits | None = None) -> str:
        server = BlobServer(source, limits)
        self.stack.callback(server.close)
        return await self.listen(server.routes())

    async def source(self, address: str) -> HttpsSource:
        return HttpsSource(await self.stack.enter_async_context(new_session()), address, tls()[1])

    async def sources(self, *addresses: str) -> list[HttpsSource]:
        return [await self.source(address) for address in addresses]

    def fetcher(self, limits: FetchLimits = QUICK) -> BlobFetcher:
        return BlobFetcher(HASHING, limits, lambda source, reason: self.faults.append((source.name, reason)))


@asynccontextmanager
async def loopback() -> AsyncIterator[Loopback]:
    async with AsyncExitStack() as stack:
        yield Loopback(stack)


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
            await asyncio.sleep(60)
        return web.Response(status=206, body=body)

    return [web.get("/blob/{root}", give_page), web.get("/blob/{root}/pages", give_list)]


def collapsed(blob: bytes) -> bytes:
    """A list with the same root, in which the node above two pages stands in their place."""
    hashes = list_of(blob).hashes
    above = root_of_hashes(hashes[:2])
    rows = (above, root_of_hashes(hashes[2:4]), *hashes[4:])
    assert root_of_hashes(rows) == root_of(blob)
    return PageList(len(blob) - 2 * PAGE_BYTES, rows).encode()
