"""What an audit needs of others, as files: a segment's states, the last weights, the payload, the weights of the base.

Start reading at `AuditBlobs.bring`. Each blob is named by its root and its size follows from the model, so nobody can
send more, or anything else. What this node has itself is copied; the rest is asked of the audited node first, then
of every peer, until the caller's time is over. The folder has a budget: what no audit at work here holds makes room,
the oldest first. What has come is served to others too, since the audited node may stop serving.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from chain.crypto.hashing import ZERO
from network.blob_server import BlobSource
from network.pages import PAGE_BYTES, Wanted
from node.blob_source import FileSource
from node.errors import NodeError, disk_advice
from node.model_fetch import Fetcher

AGAIN_SECONDS = 1.0  # after a time in which nobody had a blob


class Unserved(NodeError):
    """Some blobs could not be had in time, from nobody."""

    def __init__(self, roots: Collection[bytes], seconds: float) -> None:
        self.roots = frozenset(roots)
        names = ", ".join(sorted(root.hex()[:16] for root in roots))
        super().__init__(f"{len(self.roots)} blobs of an audit could not be had within {seconds:.0f} s: {names}")


class NoRoom(NodeError):
    """This machine cannot keep what an audit needs."""


@dataclass(slots=True)
class _Coming:
    """A blob that is fetched, and how many wait for it."""

    found: asyncio.Future[Path | None]
    waiting: int = 0


@dataclass(slots=True)
class AuditBlobs:
    """Blobs under `folder`, at most `budget` bytes. `own`: what else is on this disk; no `fetcher`: nobody to ask."""

    folder: Path
    own: BlobSource
    budget: int
    fetcher: Fetcher | None = None
    _held: Counter[bytes] = field(default_factory=Counter)
    _coming: dict[bytes, _Coming] = field(default_factory=dict)
    _here: FileSource = field(init=False)
    _lock: Lock = field(default_factory=Lock)  # two audits never copy one blob at once

    def __post_init__(self) -> None:
        self._here = FileSource(self.find)

    def find(self, root: bytes) -> Path | None:
        """The file under this name, for `node.blob_source.FileSource`."""
        path = self.folder / root.hex()
        return path if root != ZERO and path.exists() else None

    async def bring(self, wanted: Iterable[Wanted], holder: bytes, seconds: float) -> dict[bytes, Path]:
        """Files with these blobs, by root; they stay until they are given back with `release`.

        `holder` is the key of the audited node. Raises Unserved if `seconds` were not enough, NoRoom.
        """
        once = {each.root: each for each in wanted}
        self._held.update(once.keys())
        try:
            absent = await asyncio.to_thread(self._absent, list(once.values()))
            lacking: list[bytes] = []
            if absent:
                deadline = asyncio.get_running_loop().time() + seconds
                came = await asyncio.gather(*(self._fetch(each, holder, deadline) for each in absent))
                lacking = [each.root for each, path in zip(absent, came, strict=True) if path is None]
            if lacking:
                raise Unserved(lacking, seconds)
        except BaseException:
            self.release(once)
            raise
        return {root: self.folder / root.hex() for root in once}

    def release(self, roots: Iterable[bytes]) -> None:
        """An audit has ended with these: they may make room for others."""
        self._held.subtract(Counter(set(roots)))
        self._held = +self._held

    def prune(self, keep: Collection[bytes]) -> int:
        """Remove what is neither to be kept nor in use; how many files went. Not for the event loop."""
        kept = {root.hex() for root in (*keep, *tuple(self._held))}
        with self._disk():
            spent = [path for path, _ in self._files() if path.name.partition(".")[0] not in kept]
            for path in spent:
                path.unlink(missing_ok=True)
        return len(spent)

    # ---- What is here

    def _absent(self, wanted: list[Wanted]) -> list[Wanted]:
        """Those that have to be fetched: what this node has is copied. In a thread."""
        with self._lock, self._disk():
            absent = [each for each in wanted if self._here.size(each.root) != each.size]
            for each in absent:
                self._remove_damaged(each)
            self._make_room(sum(each.bytes_maximum for each in absent))
            return [each for each in absent if not self._copied(each)]

    def _remove_damaged(self, wanted: Wanted) -> None:
        if (path := self.find(wanted.root)) is not None:
            path.unlink(missing_ok=True)

    def _make_room(self, need: int) -> None:
        files = sorted(self._files(), key=lambda each: each[1].st_mtime_ns)
        used, kept = sum(seen.st_size for _, seen in files), {root.hex() for root in tuple(self._held)}
        for path, seen in files:
            if used + need <= self.budget:
                return
            if path.name.partition(".")[0] not in kept:
                path.unlink(missing_ok=True)
                used -= seen.st_size
        if used + need > self.budget:
            raise NoRoom(
                f"an audit needs {need} bytes in {self.folder} beside the {used} that are in use, and --segment-disk "
                f"allows {self.budget}: raise it to at least {used + need}"
            )

    def _copied(self, wanted: Wanted) -> bool:
        """Whether this node has the blob, which then lies in the folder."""
        root, size = wanted.root, self.own.size(wanted.root)
        if size is None or size != wanted.size:
            return False
        path = self.folder / root.hex()
        draft = path.with_name(path.name + ".partial")
        with draft.open("wb") as file:
            for offset in range(0, size, PAGE_BYTES):
                page = self.own.read(root, offset, min(PAGE_BYTES, size - offset))
                if page is None:
                    break
                file.write(page)
        draft.replace(path)
        if self._here.size(root) == size:
            return True
        path.unlink(missing_ok=True)  # It went away meanwhile.
        return False

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self.folder.iterdir():
            with suppress(FileNotFoundError):
                yield path, path.stat()

    def _disk(self) -> "_Refusals":
        return _Refusals(self.folder)

    # ---- What others have

    async def _fetch(self, wanted: Wanted, holder: bytes, deadline: float) -> Path | None:
        """The file, or None at the deadline. Others may wait for the same blob."""
        root, loop = wanted.root, asyncio.get_running_loop()
        while self.fetcher is not None and (left := deadline - loop.time()) > 0:
            coming = self._wished(wanted, holder)
            coming.waiting += 1
            try:
                found = await asyncio.wait_for(asyncio.shield(coming.found), left)
            except TimeoutError:
                return None
            finally:
                coming.waiting -= 1
                if coming.waiting == 0 and self._coming.get(root) is coming:
                    del self._coming[root]
                    self.fetcher.forget(root)
            if found is not None:
                return found
            await asyncio.sleep(min(AGAIN_SECONDS, max(0.0, deadline - loop.time())))
        return None

    def _wished(self, wanted: Wanted, holder: bytes) -> _Coming:
        root = wanted.root
        if (coming := self._coming.get(root)) is not None:
            return coming
        coming = self._coming[root] = _Coming(asyncio.get_running_loop().create_future())

        def told(found: bytes | Path | None) -> None:
            if self._coming.get(root) is coming:
                del self._coming[root]
            if not coming.found.done():
                coming.found.set_result(found if isinstance(found, Path) else None)

        assert self.fetcher is not None
        self.fetcher.want(root, wanted.bytes_maximum, (holder,), told, wanted.size)
        return coming


class _Refusals:
    """What the disk refuses is NoRoom, in words."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> None:
        self.folder.mkdir(exist_ok=True)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise NoRoom(f"cannot use {error.filename or self.folder}: {disk_advice(error)}") from error
