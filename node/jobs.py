"""What a node does by the clock beside its work: count its uptime, tidy up, watch disk, memory and open files.

A job that fails is logged and runs again at its next time. Nothing here walks a disk on the event loop.
"""

import asyncio
import json
import logging
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import psutil
from apscheduler.schedulers.asyncio import AsyncIOScheduler  # type: ignore[import-untyped]

from chain.receipts import RoundClosed, RoundVoid
from chain.transition import Applied
from node.accepted_prune import AcceptedPruning
from node.archive_prune import Pruned, prune_beside
from node.data_directory import FOLDERS, read_json, write_atomically
from node.errors import StoreError
from node.housekeeping import Housekeeping
from node.logs import log_of
from node.node import Node
from node.payload_prune import last_spent, prune_payloads
from node.segment_keep import audited_roots, kept_segments
from node.segment_store import Keep

T = TypeVar("T")
UPTIME_SECONDS, SAMPLE_SECONDS, DISK_SECONDS, TIDY_SECONDS = 60, 15, 60, 600
CLOCK_SECONDS, CLOCK_JUMP_SECONDS = 5.0, 2.0
# A node that trains without pause writes about 1.6 GB a day: this is more than a day's notice.
DISK_LOW_BYTES = 2 << 30
log = log_of("jobs")


class Jobs:
    """The scheduled work of one node."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.readings = node.readings
        self.disk_low_bytes = DISK_LOW_BYTES
        directory = node.home.directory
        self._root = directory.root
        self._uptime = directory / "uptime.json"
        self.readings.earlier_seconds = read_uptime(self._uptime)
        self.housekeeping = Housekeeping(self._root, node.settings.archive)
        self.accepted = AcceptedPruning(node.store, node.outcomes, node.settings.keep_payloads)
        # A thread of our own: a walk over a slow disk must not stand before the ledger's writes.
        self._thread = ThreadPoolExecutor(1, "jobs")
        self._following: asyncio.Task[None] | None = None
        defaults = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        # It would log every run of every job.
        logging.getLogger("apscheduler").setLevel(logging.WARNING)
        self.scheduler = AsyncIOScheduler(job_defaults=defaults, timezone="UTC")
        for job, seconds in (
            (self.save_uptime, UPTIME_SECONDS),
            (self.sample, SAMPLE_SECONDS),
            (self.check_disk, DISK_SECONDS),
            (self.tidy, TIDY_SECONDS),
            (self.prune_segments, TIDY_SECONDS),
            *([(self.prune, TIDY_SECONDS)] if node.settings.keep_epochs else []),
            *([] if node.settings.archive else [(self.prune_payloads, TIDY_SECONDS)]),
        ):
            name = job.__name__
            self.scheduler.add_job(self._run, "interval", seconds=seconds, args=[name], id=name, name=name)
        self._running: set[str] = set()
        self._again: set[str] = set()  # wanted anew while they ran
        self._kept: Keep = {}  # what of our segments was wanted at the last look
        node.hear_block.append(self._hear_audits)
        if not node.settings.archive:
            node.hear_block.append(self._hear_block)

    async def start(self) -> None:
        """The first measurements, and then everything by the clock."""
        self.scheduler.start()
        for job in self.scheduler.get_jobs():
            if job.id != "save_uptime":
                self.run_soon(job.id)
        self._following = asyncio.create_task(self._follow_clock(clock_offset()))

    async def stop(self) -> None:
        """Count the time until now; afterwards nothing reads the ledger any more."""
        if self._following is None:
            return
        self._following.cancel()
        await asyncio.gather(self._following, return_exceptions=True)
        self.scheduler.pause()
        try:
            # The one thread does this last: what the jobs had begun is finished by then.
            await self.save_uptime()
        except OSError as error:
            log.warning("cannot write the uptime", path=str(self._uptime), error=str(error))
        self.scheduler.shutdown(wait=False)
        await asyncio.to_thread(self._thread.shutdown, wait=True)

    def run_soon(self, name: str) -> None:
        """At the scheduler's next turn, or once more if it runs already: the scheduler would skip it with a warning."""
        if name in self._running:
            self._again.add(name)
        else:
            self.scheduler.get_job(name).modify(next_run_time=now_of(self.scheduler))

    async def _run(self, name: str) -> None:
        self._running.add(name)
        self._again.add(name)
        try:
            while name in self._again:
                self._again.discard(name)
                await getattr(self, name)()
        finally:
            self._running.discard(name)

    async def _follow_clock(self, offset: float) -> None:
        """The scheduler goes by the wall clock. When that has been set, every job is timed anew."""
        while True:
            await asyncio.sleep(CLOCK_SECONDS)
            now = clock_offset()
            if abs(now - offset) > CLOCK_JUMP_SECONDS:
                for job in self.scheduler.get_jobs():
                    job.reschedule(job.trigger)
            offset = now

    async def _away(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # ---- The jobs

    async def save_uptime(self) -> None:
        """Seconds of operation in all runs, by the monotonic clock. A kill loses those since the last time."""
        content = json.dumps({"seconds": int(self.readings.total_seconds)}).encode() + b"\n"
        await self._away(lambda: write_atomically(self._uptime, content))

    async def sample(self) -> None:
        """Memory of the node and its trainer, and the node's open files."""
        self.readings.memory_bytes, self.readings.open_files = await self._away(measure_process)

    async def check_disk(self) -> None:
        """Warn when the disk will soon be full, once each time that this begins."""
        free, used = await self._away(lambda: measure_disk(self._root))
        readings = self.readings
        was_low, readings.disk_low = readings.disk_low, free < self.disk_low_bytes
        readings.disk_free_bytes, readings.disk_bytes = free, used
        if readings.disk_low and not was_low:
            words = (
                f"Only {free / 1e9:.1f} GB are free on the disk of {self._root}, and the node goes on writing: "
                "free some space soon, or move the directory to a larger disk"
            )
            log.warning("the disk will soon be full", free_bytes=free)
            self.node.watch(words)

    async def tidy(self) -> None:
        """Remove what nothing needs any more."""
        store = self.node.store
        removed = await self._away(lambda: self.housekeeping.tidy(store))
        if removed:
            log.info("removed files that nothing needs", count=len(removed), first=removed[0])

    async def prune(self) -> None:
        """Forget old blocks, if the user wants that."""
        node, keep_epochs = self.node, self.node.settings.keep_epochs
        # Without the model's file the payloads are what it would be made from.
        if keep_epochs is None or not node.outcomes.model_path.exists():
            return
        done = await self._away(lambda: prune_beside(node.store, node.payloads, keep_epochs))
        if done is not None:
            log.info("pruned old blocks", height=done.height, blocks=done.blocks, payloads=len(done.payloads))

    async def prune_payloads(self) -> None:
        """Forget the payloads of rounds that are long over."""
        store, outcomes, keep = self.node.store, self.node.outcomes, self.node.settings.keep_payloads

        def work() -> Pruned:
            self.accepted.run()
            last = last_spent(store.state(), outcomes.models, keep)
            return prune_payloads(store, outcomes.payloads, last, outcomes.aggregates)

        done = await self._away(work)
        if done.payloads:
            log.info("pruned old payloads", round=done.height, payloads=len(done.payloads), bytes=done.payload_bytes)

    async def prune_segments(self) -> None:
        """Forget the states that no audit wants any more."""
        keep = self._kept = self._wanted_segments()
        # Not behind a walk over the disk: the trainer may be waiting for the room.
        try:
            files, size = await asyncio.to_thread(self.node.segments.prune, keep)
        except StoreError:
            self._kept = {}  # once more after the next block
            raise
        if files:
            log.debug("removed states of segments", count=files, bytes=size)
        if self.node.membership is not None:
            state, blobs = self.node.store.state(), self.node.membership.audit_blobs
            await asyncio.to_thread(blobs.prune, audited_roots(state))
            await asyncio.to_thread(self.node.audits.tidy, self.node.store.state)

    def _wanted_segments(self) -> Keep:
        return kept_segments(self.node.store.state(), self.node.home.identity.node)

    def _hear_audits(self, applied: Applied) -> None:
        """What is wanted of our segments changes when a round has ended, and when an audit begins or ends."""
        if self.scheduler.running and self._wanted_segments() != self._kept:
            self.run_soon("prune_segments")

    def _hear_block(self, applied: Applied) -> None:
        """A round has ended: another one may be spent. All is done in the jobs' own thread."""
        if self.scheduler.running and any(isinstance(each, RoundClosed | RoundVoid) for each in applied.receipts):
            self.run_soon("prune_payloads")


def clock_offset() -> float:
    """Seconds that the wall clock is ahead of the monotonic one: they change when somebody sets it."""
    return time.time() - time.monotonic()


def now_of(scheduler: AsyncIOScheduler) -> datetime:
    """The wall clock as the scheduler reads it."""
    return datetime.now(scheduler.timezone)


def read_uptime(path: Path) -> float:
    """Seconds that were counted before; 0 if the file is missing or damaged."""
    found = (read_json(path) or {}).get("seconds")
    if type(found) is int and found >= 0:
        return float(found)
    if path.exists():
        log.warning("the uptime file is damaged, it is counted anew", path=str(path))
    return 0.0


def measure_process() -> tuple[int, int]:
    """Resident bytes of this process and its children, and how many files this process has open."""
    process = psutil.Process()
    memory = process.memory_info().rss
    for child in process.children(recursive=True):
        try:
            memory += child.memory_info().rss
        except psutil.Error:
            continue  # It has ended meanwhile.
    return memory, process.num_fds()


def measure_disk(root: Path) -> tuple[int, dict[str, int]]:
    """Bytes free on the disk of a data directory, and bytes used in each of its folders."""
    return shutil.disk_usage(root).free, {name: folder_bytes(root / name) for name in FOLDERS}


def folder_bytes(folder: Path) -> int:
    total = 0
    for path in folder.iterdir():
        try:
            total += path.stat().st_size
        except OSError:
            continue  # It has been removed meanwhile.
    return total
