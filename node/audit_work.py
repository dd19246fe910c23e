"""Finding out what audits ask of this node: blobs fetched, segments replayed, words kept. Start at `AuditWork.begin`.

Several audits wait for blobs at a time, one is replayed. What goes wrong on this machine is tried again and is never a
finding: only what nobody serves is, and what was served and is wrong.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from chain.audit_messages import FINDINGS, PASS, UNSERVED
from chain.crypto.hashing import ZERO
from chain.state import AUDIT_PHASES
from network.pages import Wanted
from node.audit_blobs import NoRoom, Unserved
from node.audit_jobs import Job
from node.audit_words import Word, WordKey, Words
from node.auditor import Auditor
from node.auditor_messages import Replay, Replayed
from node.errors import disk_advice
from node.logs import log_of
from node.model_blobs import VALUE_BYTES
from node.template import Learning
from training.payload import payload_size

AT_ONCE = 4  # audits that wait for blobs
SLICE_SECONDS = 10.0  # after which what is missing so far is noted, and asked for again
PAUSE_SECONDS = 1.0
AGAIN_SECONDS = 5.0, 15.0, 60.0  # after a fault of this machine
NO_ROOM, NOT_KEPT = "an audit waits for room on the disk", "a word of an audit cannot be kept"
LOG = log_of("audits")


class Bringer(Protocol):
    """`node.audit_blobs.AuditBlobs`."""

    async def bring(self, wanted: Iterable[Wanted], holder: bytes, seconds: float) -> Mapping[bytes, Path]: ...

    def release(self, roots: Iterable[bytes]) -> None: ...


@dataclass(slots=True)
class _Begun:
    """A job on its way. `missing`: what could not be had in the time until now; None: nobody knows yet."""

    job: Job
    missing: frozenset[bytes] | None = None
    is_fetching: bool = True
    task: asyncio.Task[None] | None = field(default=None)


class AuditWork:
    """The `node.audit_jobs.Examiner` of a running node. `news` is told when there is more to say."""

    def __init__(
        self,
        learning: Learning,
        words: Words,
        blobs: Bringer,
        auditor: Auditor,
        news: Callable[[], None],
        watch: Callable[[str], None],
    ) -> None:
        self.learning = learning
        self.words = words
        self.blobs = blobs
        self.auditor = auditor
        self.news = news
        self.watch = watch
        self.given = 0  # words since the start
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()  # the error that ends the node
        self._begun: dict[WordKey, _Begun] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._lacking: set[str] = set()  # what the disk has refused the last time
        self._numbers = 0

    # ---- What the driver asks

    def begin(self, job: Job) -> None:
        begun = self._begun[job.key] = _Begun(job)
        begun.task = asyncio.get_running_loop().create_task(self._find_out(begun))
        begun.task.add_done_callback(self._ended)
        LOG.info("asked in an audit", question=AUDIT_PHASES[job.question], **_place(job))

    def give_up(self, job: Job) -> None:
        begun = self._begun.get(job.key)
        if begun is None or not begun.is_fetching or begun.missing is None:
            return
        missing = begun.missing - {job.base_root}
        if missing:
            self.drop(job.key)
            names = ", ".join(sorted(root.hex()[:16] for root in missing))
            keeping = self._keep(_word(job, UNSERVED, f"nobody served {names}"), job.segment)
            task = asyncio.get_running_loop().create_task(_alone(keeping))
            self._ending.add(task)
            task.add_done_callback(self._ended)

    def drop(self, key: WordKey) -> None:
        begun = self._begun.pop(key, None)
        if begun is not None and begun.task is not None and not begun.task.done():
            self._ending.add(begun.task)
            begun.task.cancel()

    async def stop(self) -> None:
        for key in list(self._begun):
            self.drop(key)
        await asyncio.gather(*self._ending, return_exceptions=True)
        await self.auditor.stop()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._ending.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not self.failed.done():
            self.failed.set_exception(error)

    # ---- Finding out

    async def _find_out(self, begun: _Begun) -> None:
        job = begun.job
        known = self.words.replayed(job.round, job.node, job.mix) if job.mix else None
        if known is not None and await self._keep(
            replace(known, question=job.question, attempt=job.attempt), job.segment
        ):
            return
        tries = 0
        while not await self._attempt(begun):
            await asyncio.sleep(AGAIN_SECONDS[min(tries, len(AGAIN_SECONDS) - 1)])
            tries += 1

    async def _attempt(self, begun: _Begun) -> bool:
        """Whether a word came of it."""
        job, wanted = begun.job, self._wanted(begun.job)
        async with self._room:
            begun.is_fetching = True
            try:
                files = await self._bring(begun, wanted)
            except NoRoom as error:
                self._lack(NO_ROOM, str(error), _place(job))
                return False
            self._lacking.discard(NO_ROOM)
        try:
            if not job.mix:
                return await self._keep(_word(job, PASS, "all states could be had"), job.segment)
            answer = await self.auditor.examine(self._question(job, files))
        finally:
            self.blobs.release([each.root for each in wanted])
        if not isinstance(answer, Replayed):
            LOG.warning("a segment could not be replayed here", reason=answer.reason, **_place(job))
            return False
        LOG.info("replayed a segment", seconds=round(answer.seconds, 2), **_place(job))
        word = _word(job, answer.finding, answer.reason)
        return await self._keep(replace(word, inner=answer.inner, is_clear=answer.is_clear), job.segment)

    async def _bring(self, begun: _Begun, wanted: list[Wanted]) -> Mapping[bytes, Path]:
        """Until all is here: the driver says when it is too late."""
        while True:
            try:
                files = await self.blobs.bring(wanted, begun.job.holder, SLICE_SECONDS)
            except Unserved as error:
                begun.missing = error.roots
                LOG.debug("an audit waits for blobs", reason=str(error), **_place(begun.job))
                await asyncio.sleep(PAUSE_SECONDS)  # Without peers the answer comes at once.
            else:
                begun.is_fetching = False
                return files

    def _wanted(self, job: Job) -> list[Wanted]:
        vector, payload = VALUE_BYTES * self.learning.parameters, payload_size(self.learning.fragment_sizes)
        states = [root for each in (job.before, job.after) for root in (each.theta_root, each.m_root, each.v_root)]
        sizes = dict.fromkeys([*states, job.theta_root, job.base_root], vector) | {job.payload_root: payload}
        return [Wanted(root, size, size) for root, size in sizes.items() if root != ZERO]

    def _question(self, job: Job, files: Mapping[bytes, Path]) -> Replay:
        self._numbers += 1

        def path(root: bytes) -> str:
            return "" if root == ZERO else str(files[root])

        return Replay(
            number=self._numbers,
            round=job.round,
            node=job.node,
            segment=job.segment,
            mix=job.mix,
            averages_steps=job.averages_steps,
            distance=job.distance,
            base=path(job.base_root),
            before_theta=path(job.before.theta_root),
            before_m=path(job.before.m_root),
            before_v=path(job.before.v_root),
            after_theta=path(job.after.theta_root),
            after_m=path(job.after.m_root),
            after_v=path(job.after.v_root),
            last_theta=path(job.theta_root),
            payload=path(job.payload_root),
        )

    # ---- What is known now

    async def _keep(self, word: Word, segment: int) -> bool:
        """On the disk before anybody hears of it. Whether the disk has taken it."""
        place = {"round": word.round, "node": word.node.hex()[:16], "segment": segment, "attempt": word.attempt}
        try:
            word = await asyncio.shield(asyncio.to_thread(self.words.keep, word))
        except OSError as error:
            self._lack(NOT_KEPT, disk_advice(error), place)
            return False
        self._lacking.discard(NOT_KEPT)
        self._begun.pop(word.key, None)
        self.given += 1
        LOG.info("found in an audit", finding=FINDINGS[word.finding], reason=word.reason, **place)
        if word.finding != PASS:
            where = f"segment {segment} of round {word.round} of node {word.node.hex()[:16]}"
            self.watch(f"Audit of {where}: {FINDINGS[word.finding]}, {word.reason}")
        self.news()
        return True

    def _lack(self, what: str, reason: str, place: Mapping[str, object]) -> None:
        """It is tried again and again: the user reads of it once until it works again."""
        tell = LOG.debug if what in self._lacking else LOG.warning
        self._lacking.add(what)
        tell(what, reason=reason, **place)


def _word(job: Job, finding: int, reason: str) -> Word:
    return Word(*job.key, finding, job.mix, b"", True, reason)


async def _alone(keeping: Awaitable[bool]) -> None:
    await keeping


def _place(job: Job) -> dict[str, object]:
    return {"round": job.round, "node": job.node.hex()[:16], "segment": job.segment, "attempt": job.attempt}
