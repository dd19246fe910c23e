"""Fetches a blob into a file, from several sources at once. Start reading at `BlobFetcher.fetch`.

Which page is asked of whom is decided by `network.download`. Here it is carried out: requests with deadlines, pages
verified and written in a thread of their own, the finished file synced and named. A page counts once it is verified.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from network.blob_errors import Absent, BadPages, DiskFailed, NoSourceLeft
from network.download import Ask, Claim, Download, check_page
from network.errors import NetworkError
from network.pages import PAGE_BYTES, Hashing, Wanted, decode_list
from network.part_file import Kept, PartFile

T = TypeVar("T")
REASONS_TOLD = 8  # sources named in the message of an error


class Source(Protocol):
    """Somebody who may have the blob. Each method raises Absent, SourceFailed or another NetworkError."""

    @property
    def name(self) -> str:
        """For messages; no two sources of a fetch share it."""

    async def page_list(self, wanted: Wanted) -> bytes:
        """The encoded list of page hashes, not judged; no longer than a list of what is wanted can be."""

    async def page(self, root: bytes, index: int) -> bytes:
        """One page, not judged; at most PAGE_BYTES."""


Progress = Callable[[int, int], None]  # pages here, pages in all
OnFault = Callable[[Source, str], None]  # a source lies, and how it shows
OnPage = Callable[[Source, int], None]  # a source has given this page, and it is true


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """`at_once` bounds requests and so memory: a page each. Of silent sources as many as there are may be asked."""

    at_once: int = 4
    reply_seconds: float = 10.0  # until an answer begins, and for a list as a whole
    bytes_per_second_minimum: int = 64 << 10  # a source slower than this has failed
    quiet_seconds: float = 2.0  # when nothing has come for so long, pages are asked for twice

    @property
    def page_seconds(self) -> float:
        return self.reply_seconds + PAGE_BYTES / self.bytes_per_second_minimum


def silent(source: Source, what: object) -> None:
    """Tells nobody."""


class BlobFetcher:
    """`hashing` is the caller's Merkle tree; `on_fault` hears of every source that lies, once for each blob.

    `on_page` hears who has given a page; the last ones are sometimes given twice, by two sources.
    """

    def __init__(
        self,
        hashing: Hashing,
        limits: FetchLimits | None = None,
        on_fault: OnFault = silent,
        on_page: OnPage = silent,
    ) -> None:
        self.hashing = hashing
        self.limits = limits or FetchLimits()
        self.on_fault = on_fault
        self.on_page = on_page

    async def fetch(
        self, wanted: Wanted, sources: Sequence[Source], into: Path, progress: Progress | None = None
    ) -> int:
        """Fetch a blob into the file `into`, which appears when it is whole; returns its size in bytes.

        An interrupted fetch leaves NAME.CLAIM.partial, and the next one goes on from there. Raises NoSourceLeft,
        DiskFailed. Two fetches into one file at a time are not allowed.
        """
        run = _Run(self, wanted, sources, into)
        try:
            return await run.fetch(progress or (lambda here, of: None))
        finally:
            await run.close()


class _Run:
    """One fetch."""

    def __init__(self, fetcher: BlobFetcher, wanted: Wanted, sources: Sequence[Source], into: Path) -> None:
        self.fetcher = fetcher
        self.wanted = wanted
        self.into = into
        self.plan: Download[str] = Download(wanted)
        self.sources = {source.name: source for source in sources}
        assert len(self.sources) == len(sources), "two sources have one name"
        for name in self.sources:
            self.plan.add(name)
        self._files: dict[Claim[str], PartFile] = {}
        self._tasks: dict[asyncio.Task[None], Ask[str]] = {}
        # One thread, so that files are closed after the last write, even if a fetch is cancelled in between.
        self._disk = ThreadPoolExecutor(1, "blob")
        self._error: NetworkError | None = None

    async def fetch(self, progress: Progress) -> int:
        is_quiet = False
        while True:
            claim = self.plan.complete
            if claim is not None and claim.size is not None:
                await self._on_disk(self._files[claim].finish, claim.size)
                return claim.size
            # Where nothing comes, the silent ones must not keep us from the others: one more is asked.
            most = max(self.fetcher.limits.at_once - len(self._tasks), int(is_quiet))
            for ask in self.plan.ask(most, again=is_quiet):
                self._tasks[asyncio.create_task(self._carry_out(ask))] = ask
            if not self._tasks:
                raise self._no_source_left()
            patience = self.fetcher.limits.quiet_seconds
            done, _ = await asyncio.wait(self._tasks, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            is_quiet = not done
            for task in done:
                ask = self._tasks.pop(task)
                if task.cancelled():
                    self.plan.freed(ask)
                else:
                    task.result()
                if ask.claim is not None:
                    progress(ask.claim.pages_here, len(ask.claim.hashes))

    async def close(self) -> None:
        """End all requests; what is being written is written whole, then the files are closed."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        closed = [asyncio.wrap_future(self._disk.submit(file.close)) for file in self._files.values()]
        self._disk.shutdown(wait=False)
        await asyncio.gather(*closed)

    async def _carry_out(self, ask: Ask[str]) -> None:
        """Send one request and tell the plan what came of it. Raises DiskFailed only."""
        source, limits = self.sources[ask.source], self.fetcher.limits
        try:
            if ask.claim is None:
                async with asyncio.timeout(limits.reply_seconds):
                    data = await source.page_list(self.wanted)
                await self._take_list(ask, data)
            else:
                async with asyncio.timeout(limits.page_seconds):
                    page = await source.page(self.wanted.root, ask.index)
                await self._take_page(ask, page)
        except DiskFailed:
            raise
        except BadPages as error:
            self._lied(ask.source, str(error))
        except Absent as error:
            self.plan.drop(ask.source, str(error) or "does not have it")
        except TimeoutError:
            self.plan.failed(ask, "too slow")
        except NetworkError as error:
            self.plan.failed(ask, str(error))

    async def _take_list(self, ask: Ask[str], data: bytes) -> None:
        found = await self._on_disk(decode_list, data, self.wanted, self.fetcher.hashing)
        claim = self.plan.listed(ask.source, found)
        if claim is None:
            return
        file = self._files[claim] = PartFile(self.into, claim.hashes)
        kept = await self._on_disk(file.open, self.fetcher.hashing.page_hash)
        self._open(claim, kept)

    def _open(self, claim: Claim[str], kept: Kept) -> None:
        last = len(claim.hashes) - 1
        size = None if kept.last_length is None else last * PAGE_BYTES + kept.last_length
        if size is not None and not self.wanted.allows(size):
            size, kept = None, Kept(kept.pages[:-1], None)
        self.plan.open(claim, kept.pages, size)
        self._check_sizes(claim)

    async def _take_page(self, ask: Ask[str], page: bytes) -> None:
        claim = ask.claim
        assert claim is not None
        await self._on_disk(self._keep, claim, ask.index, page)
        self.fetcher.on_page(self.sources[ask.source], ask.index)
        for name in self.plan.took(ask, len(page)):
            self._cancel(name)
        self._check_sizes(claim)

    def _keep(self, claim: Claim[str], index: int, page: bytes) -> None:
        """In the thread: write the page if it fits. Raises BadPages, DiskFailed."""
        check_page(claim, index, page, self.wanted, self.fetcher.hashing)
        self._files[claim].write(index, page)

    def _check_sizes(self, claim: Claim[str]) -> None:
        for name in self.plan.wrong_sizes(claim):
            self._lied(name, f"said that the blob has {claim.members[name]} bytes, it has {claim.size}")

    def _lied(self, name: str, reason: str) -> None:
        self.plan.drop(name, reason)
        self._cancel(name)
        self.fetcher.on_fault(self.sources[name], reason)

    def _cancel(self, name: str) -> None:
        """Nobody waits for what this source was asked."""
        for task, ask in self._tasks.items():
            if ask.source == name and task is not asyncio.current_task():
                task.cancel()

    async def _on_disk(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._disk, work, *arguments)

    def _no_source_left(self) -> NoSourceLeft:
        tried = self.plan.tried
        told = "; ".join(f"{name}: {reason}" for name, reason in list(tried.items())[:REASONS_TOLD])
        more = f"; and {len(tried) - REASONS_TOLD} more" if len(tried) > REASONS_TOLD else ""
        return NoSourceLeft(f"no source is left for {self.wanted.root.hex()[:16]}: {told or 'none was given'}{more}")
