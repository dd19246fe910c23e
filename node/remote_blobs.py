"""Blobs for a command, from nodes whose addresses are known: over HTTPS, from all of them at once.

What a node sends proves itself page by page, so nobody has to be met or believed. A running node does more: it asks its
peers over their connections too, and asks again (`node.blobs`).
"""

import ssl
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from network.blob_client import BlobFetcher, FetchLimits, Progress, Source
from network.blob_errors import DiskFailed, NoSourceLeft
from network.https_source import HttpsSource, new_session
from network.memory import Unreadable, load
from network.pages import Wanted
from network.tls import client_context
from node.blob_source import HASHING
from node.errors import NodeError

PEERS_MAXIMUM = 64


class NobodyHasIt(NodeError):
    """None of the nodes that were asked could give a blob; the message says what each of them did."""


class RemoteBlobs:
    """Notes who gave how many pages, and who sent what was false; such a one is not asked again."""

    def __init__(self, peers: Sequence[str], session: aiohttp.ClientSession, limits: FetchLimits | None = None) -> None:
        self.peers = tuple(peers)
        self.pages: Counter[str] = Counter()
        self.liars: dict[str, str] = {}
        self._session = session
        self._limits = limits
        self._tls: ssl.SSLContext = client_context()

    async def fetch(self, wanted: Wanted, into: Path, progress: Progress | None = None) -> None:
        """Fetch a blob into a file; what an earlier run has left of it is not fetched again.

        Raises NobodyHasIt, NodeError.
        """
        given: dict[int, str] = {}

        def on_page(source: Source, index: int) -> None:
            given.setdefault(index, source.name)

        def on_fault(source: Source, reason: str) -> None:
            self.liars[source.name] = reason

        sources = [HttpsSource(self._session, peer, self._tls) for peer in self.peers if peer not in self.liars]
        try:
            await BlobFetcher(HASHING, self._limits, on_fault, on_page).fetch(wanted, sources, into, progress)
        except NoSourceLeft as error:
            raise NobodyHasIt(str(error)) from error
        except DiskFailed as error:
            raise NodeError(str(error)) from error
        finally:
            self.pages.update(given.values())


@asynccontextmanager
async def remote_blobs(peers: Sequence[str]) -> AsyncIterator[RemoteBlobs]:
    """For as long as a command runs."""
    session = new_session()
    try:
        yield RemoteBlobs(peers, session)
    finally:
        await session.close()


def known_peers(folder: Path) -> list[str]:
    """The addresses at which a node with this `peers` folder has met others, the last ones first."""
    try:
        rows = load(folder).get("addresses", [])
        met = sorted((row[4], row[0]) for row in rows if row[3])
    except (Unreadable, TypeError, IndexError, KeyError):
        return []
    return [str(address) for _, address in reversed(met)][:PEERS_MAXIMUM]
