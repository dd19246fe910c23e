"""What audits ask is found out beside the event loop; only what nobody serves, or is wrong, is held against anybody."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from errno import ENOSPC
from pathlib import Path

import pytest

from chain.audit_messages import MISMATCH, PASS, UNSERVED
from chain.crypto.hashing import ZERO
from chain.state import AUDITING, CHALLENGED, DISPUTED
from node import audit_work
from node.audit_blobs import AuditBlobs
from node.audit_jobs import Job
from node.audit_part import WORDS
from node.audit_words import Word, Words
from node.audit_work import NO_ROOM, NOT_KEPT, AuditWork
from node.auditor import Auditor
from node.blob_source import FileSource, Sources
from node.payload_store import PayloadStore, payload_root
from node.segment_store import SegmentStore
from node.template import Learning
from tests.node.trained_round import NODE, TrainedRound, train_a_round
from tests.torch_absence import need_torch


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainedRound:
    need_torch()
    round_ = train_a_round(tmp_path_factory.mktemp("trained"))
    base = (round_.root / "base").read_bytes()
    (round_.root / "payloads" / payload_root(base).hex()).write_bytes(base)  # the round's model, as a blob
    return round_


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_work, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(audit_work, "AGAIN_SECONDS", (0.01,))


def a_job(trained: TrainedRound, segment: int = 0, question: int = AUDITING, mix: bytes | None = None) -> Job:
    states = SegmentStore(trained.root / "segments")
    before, after = states.parts(1, segment), states.parts(1, segment + 1)
    assert before is not None and after is not None
    return Job(
        round=1, node=NODE, question=question, attempt=1, segment=segment,
        mix=trained.true_mix(segment) if mix is None else mix, holder=b"holder",
        base_root=payload_root((trained.root / "base").read_bytes()), before=before, after=after,
        theta_root=trained.done.theta_root, payload_root=trained.done.payload_root,
        distance=trained.segments[segment].distance, averages_steps=0,
    )  # fmt: skip


@dataclass
class Place:
    """One node's work, whose own disk has all blobs of the round but `without`."""

    trained: TrainedRound
    folder: Path
    without: set[bytes] = field(default_factory=set)

    def __post_init__(self) -> None:
        root = self.trained.root
        stores = SegmentStore(root / "segments"), PayloadStore(root / "payloads")
        sources = [FileSource(self._but(store.find)) for store in stores]
        for name in ("audits", WORDS):
            (self.folder / name).mkdir(exist_ok=True)
        self.blobs = AuditBlobs(self.folder / "audits", Sources(sources), 10**9)
        self.words = Words(self.folder / WORDS)
        self.told: list[str] = []
        self.news = asyncio.Event()
        learning = Learning.of(self.trained.network)
        self.auditor = Auditor(root)
        self.work = AuditWork(learning, self.words, self.blobs, self.auditor, self.news.set, self.told.append)

    def _but(self, find: Callable[[bytes], Path | None]) -> Callable[[bytes], Path | None]:
        return lambda root: None if root in self.without else find(root)

    async def finds(self, job: Job) -> int:
        """What is on the disk when the node hears that there is news."""
        self.work.begin(job)
        await self.news.wait()
        self.news.clear()
        word = Words(self.folder / WORDS).find(job.key)
        assert word is not None
        return word.finding


async def test_a_replay_ends_in_a_word_on_the_disk(trained: TrainedRound, tmp_path: Path) -> None:
    place = Place(trained, tmp_path)
    planted = next(segment for segment in range(4) if trained.is_planted(segment))
    assert await place.finds(a_job(trained, planted)) == PASS
    assert await place.finds(replace(a_job(trained, planted, mix=trained.mix), attempt=2)) == MISMATCH
    assert place.work.given == 2 and ["mismatch" in told for told in place.told] == [True]
    await place.work.stop()


async def test_what_was_replayed_before_is_not_replayed_again(trained: TrainedRound, tmp_path: Path) -> None:
    place = Place(trained, tmp_path)
    assert await place.finds(a_job(trained)) == PASS
    place.auditor.kill()
    assert await place.finds(a_job(trained, question=DISPUTED)) == PASS
    assert place.auditor.starts == 1
    await place.work.stop()


async def test_a_challenge_is_answered_by_fetching_and_starts_no_process(trained: TrainedRound, tmp_path: Path) -> None:
    place = Place(trained, tmp_path)
    assert await place.finds(a_job(trained, question=CHALLENGED, mix=b"")) == PASS
    assert place.auditor.starts == 0
    await place.work.stop()


async def missing_is_noted(place: Place) -> None:
    while all(begun.missing is None for begun in place.work._begun.values()):
        await asyncio.sleep(0.01)


async def test_what_nobody_serves_is_a_finding_when_the_time_is_over(trained: TrainedRound, tmp_path: Path) -> None:
    job = a_job(trained)
    place = Place(trained, tmp_path, {job.after.m_root})
    place.work.begin(job)
    place.work.give_up(job)  # Nobody has looked yet.
    await missing_is_noted(place)
    assert place.words.find(job.key) is None
    place.work.give_up(job)
    await place.news.wait()
    word = place.words.find(job.key)
    assert word is not None and word.finding == UNSERVED and word.inner == b""
    await place.work.stop()


async def test_a_model_that_we_lack_ourselves_is_held_against_nobody(trained: TrainedRound, tmp_path: Path) -> None:
    job = a_job(trained, segment=1)
    place = Place(trained, tmp_path, {job.base_root})
    place.work.begin(job)
    await missing_is_noted(place)
    place.work.give_up(job)
    assert job.key in place.work._begun
    place.without.clear()
    await place.news.wait()
    word = place.words.find(job.key)
    assert word is not None and word.finding == PASS
    await place.work.stop()


def warned(log: pytest.LogCaptureFixture, what: str) -> int:
    return sum(what in record.getMessage() for record in log.records if record.levelname == "WARNING")


async def test_a_full_disk_is_told_once_until_it_takes_a_word_again(
    trained: TrainedRound, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place, tries = Place(trained, tmp_path), 0
    job, keep = a_job(trained, question=CHALLENGED, mix=b""), place.words.keep

    def full(word: Word) -> Word:
        nonlocal tries
        tries += 1
        if tries in (1, 2, 3, 5):
            raise OSError(ENOSPC, "No space left on device")
        return keep(word)

    place.words.keep = full  # type: ignore[method-assign]
    assert await place.finds(job) == PASS and tries == 4
    assert warned(caplog, NOT_KEPT) == 1
    assert await place.finds(replace(job, attempt=2)) == PASS and tries == 6
    assert warned(caplog, NOT_KEPT) == 2
    await place.work.stop()


async def test_a_fault_of_this_machine_is_tried_again_and_told_once(
    trained: TrainedRound, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = Place(trained, tmp_path)
    place.blobs.budget = 0
    job = a_job(trained)
    place.work.begin(job)
    await asyncio.sleep(0.1)
    assert place.words.find(job.key) is None and not place.work.failed.done()
    assert warned(caplog, NO_ROOM) == 1
    place.blobs.budget = 10**9
    await place.news.wait()
    word = place.words.find(job.key)
    assert word is not None and word.finding == PASS
    await place.work.stop()


async def test_what_nobody_wants_to_know_any_more_is_left(trained: TrainedRound, tmp_path: Path) -> None:
    place = Place(trained, tmp_path)
    job = a_job(trained)
    place.work.begin(job)
    await asyncio.sleep(0)
    place.work.drop(job.key)
    await place.work.stop()
    assert place.words.find(job.key) is None and not place.blobs._held and job.base_root != ZERO
