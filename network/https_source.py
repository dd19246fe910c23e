"""A node that serves blobs over HTTPS, as a source. What it sends proves itself: its certificate does not matter."""

import asyncio
import ssl

import aiohttp

from network.blob_errors import Absent, BadPages, SourceFailed
from network.pages import PAGE_BYTES, Wanted, list_bytes_maximum

BUSY_STATUS = (429, 503)
BUSY_WAIT_SECONDS = 1.0
PATIENCE_FOR_BUSY = 5  # requests


class HttpsSource:
    """Asks https://ADDRESS/blob/…. The session is the caller's, and lives as long as he likes."""

    def __init__(self, session: aiohttp.ClientSession, address: str, tls: ssl.SSLContext) -> None:
        self.session = session
        self.address = address
        self.tls = tls

    @property
    def name(self) -> str:
        return self.address

    async def page_list(self, wanted: Wanted) -> bytes:
        most = list_bytes_maximum(wanted)
        status, body = await self._get(f"/blob/{wanted.root.hex()}/pages", {}, most)
        if status != 200:
            raise SourceFailed(f"status {status} for the list of page hashes")
        if len(body) > most:
            raise BadPages(f"a list of page hashes longer than {most} bytes")
        return body

    async def page(self, root: bytes, index: int) -> bytes:
        first = index * PAGE_BYTES
        wish = {"Range": f"bytes={first}-{first + PAGE_BYTES - 1}"}
        status, body = await self._get(f"/blob/{root.hex()}", wish, PAGE_BYTES)
        if status == 416:
            raise BadPages(f"page {index} lies beyond the end of its blob")
        if status != 206:
            raise SourceFailed(f"status {status} for page {index}")
        return body

    async def _get(self, path: str, headers: dict[str, str], most: int) -> tuple[int, bytes]:
        """Status and body; of a body that is too long, one byte more than `most`."""
        status, body = 0, b""
        for attempt in range(PATIENCE_FOR_BUSY):
            if attempt:
                await asyncio.sleep(BUSY_WAIT_SECONDS)
            status, body = await self._get_once(path, headers, most)
            if status not in BUSY_STATUS:
                break
        if status == 404:
            raise Absent("does not have it")
        return status, body

    async def _get_once(self, path: str, headers: dict[str, str], most: int) -> tuple[int, bytes]:
        try:
            async with self.session.get(
                f"https://{self.address}{path}",
                headers={"Accept-Encoding": "identity", **headers},
                ssl=self.tls,
                allow_redirects=False,
                # A deadline for each request is the fetcher's business: it knows how much is to come.
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            ) as response:
                if response.status not in (200, 206):
                    return response.status, b""
                body = bytearray()
                async for piece in response.content.iter_any():
                    body += piece
                    if len(body) > most:
                        response.close()
                        break
                return response.status, bytes(body[: most + 1])
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # aiohttp's own words for a refused connection are about objects of this program.
            cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
            raise SourceFailed(f"no answer over HTTPS ({type(cause).__name__}: {cause})") from error


def new_session() -> aiohttp.ClientSession:
    """For any number of sources; nothing of one answer is shown to another. Close it at the end."""
    return aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, trust_env=False, skip_auto_headers=("User-Agent",)
    )
