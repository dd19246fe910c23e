"""Jobs count, watch and tidy: they outlive their own errors and a wrong clock, and remove nothing that is needed."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from node import jobs as jobs_module
from node.archive import Replay
from node.errors import SegmentStoreError
from node.failpoints import arm
from node.housekeeping import NOTE, Housekeeping
from node.jobs import Jobs, folder_bytes, measure_process, read_uptime
from node.node import Node
from node.segment_store import Keep
from tests.node.lone_node import LoneNode, with_rounds
from tests.node.served import PATIENCE_SECONDS, make_past, open_node
from tests.node.test_segment_store import put


@asynccontextmanager
async def watched(folder: Path) -> AsyncIterator[tuple[Node, Jobs]]:
    """A node that makes no blocks, and its jobs, which are not started."""
    network = await asyncio.to_thread(make_past, folder)
    node = open_node(folder, network)
    jobs = Jobs(node)
    try:
        yield node, jobs
    finally:
        await jobs.stop()
        await node.close()


async def until(true_of: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not true_of():
            await asyncio.sleep(0.01)


def age(node: Node, seconds: float) -> None:
    """The node has been running for so long."""
    node.readings.started = time.monotonic() - seconds


# ---- Uptime


async def test_the_seconds_of_all_runs_add_up(tmp_path: Path) -> None:
    async with watched(tmp_path) as (node, jobs):
        age(node, 100.5)
        await jobs.save_uptime()
    assert json.loads((tmp_path / "uptime.json").read_text()) == {"seconds": 100}
    node = open_node(tmp_path, node.network)
    jobs = Jobs(node)
    age(node, 50)
    await jobs.start()
    await jobs.stop()
    await node.close()
    assert read_uptime(tmp_path / "uptime.json") == 150


async def test_a_wall_clock_set_back_or_forth_does_not_reach_the_uptime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watched(tmp_path) as (node, jobs):
        age(node, 100)
        for wrong in (0.0, 4e9):
            monkeypatch.setattr(time, "time", lambda wrong=wrong: wrong)
            await jobs.save_uptime()
            assert 100 <= read_uptime(tmp_path / "uptime.json") < 100 + PATIENCE_SECONDS


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"seconds": -1}', '{"seconds": true}', '{"seconds": "9"}', "\xff"]
)
def test_a_damaged_count_begins_anew(tmp_path: Path, content: str) -> None:
    path = tmp_path / "uptime.json"
    assert read_uptime(path) == 0
    path.write_text(content, encoding="latin-1")
    assert read_uptime(path) == 0


async def test_a_job_goes_on_after_the_wall_clock_was_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_module, "CLOCK_SECONDS", 0.01)
    async with watched(tmp_path) as (_, jobs):
        await jobs.start()
        jobs.scheduler.get_job("save_uptime").modify(next_run_time=_in_a_year(jobs))
        job = jobs.scheduler.get_job("save_uptime")
        assert (job.next_run_time - jobs_module.now_of(jobs.scheduler)).days > 300
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() - 3_600)
        await until(lambda: (job.next_run_time - jobs_module.now_of(jobs.scheduler)).days == 0)


def _in_a_year(jobs: Jobs) -> datetime:
    return jobs_module.now_of(jobs.scheduler) + timedelta(days=365)


# ---- A job's own error


async def test_a_job_that_fails_is_logged_and_runs_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with watched(tmp_path) as (node, jobs):
        tries = []

        def fail() -> tuple[int, int]:
            tries.append(1)
            if len(tries) == 1:
                raise RuntimeError("a sensor is broken")
            return 7, 8

        monkeypatch.setattr(jobs_module, "measure_process", fail)
        await jobs.start()
        await until(lambda: tries)
        await until(lambda: "a sensor is broken" in caplog.text)
        await until(lambda: jobs.run_soon("sample") or node.readings.memory_bytes == 7)
        assert node.readings.open_files == 8


async def test_a_job_wanted_while_it_runs_runs_once_more_and_nobody_is_warned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with watched(tmp_path) as (_, jobs):
        runs, may_end = [], asyncio.Event()

        async def slow() -> None:
            runs.append(1)
            await may_end.wait()

        monkeypatch.setattr(jobs, "prune_segments", slow)
        await jobs.start()
        await until(lambda: runs)
        for _ in range(3):
            jobs.run_soon("prune_segments")
            await asyncio.sleep(0.01)
        may_end.set()
        await until(lambda: len(runs) == 2)
        await asyncio.sleep(0.05)
        assert len(runs) == 2 and "maximum number" not in caplog.text


async def test_jobs_that_were_missed_run_once_and_never_twice_at_a_time(tmp_path: Path) -> None:
    async with watched(tmp_path) as (_, jobs):
        await jobs.start()
        for job in jobs.scheduler.get_jobs():
            assert job.coalesce and job.max_instances == 1 and job.misfire_grace_time is None


# ---- Memory, files, disk


def test_memory_and_open_files_are_those_of_this_process(tmp_path: Path) -> None:
    memory, files = measure_process()
    with (tmp_path / "open").open("w"):
        assert measure_process()[1] == files + 1
    assert memory > 10 << 20 and files >= 3


async def test_a_disk_that_will_soon_be_full_is_warned_of_once_each_time(tmp_path: Path) -> None:
    async with watched(tmp_path) as (node, jobs):
        told: list[str] = []
        node.watch = told.append
        await jobs.check_disk()
        free = node.readings.disk_free_bytes
        assert free is not None and not node.readings.disk_low and told == []
        for bound, count in ((free * 2, 1), (free * 2, 1), (0, 1), (free * 2, 2)):
            jobs.disk_low_bytes = bound
            await jobs.check_disk()
            assert node.readings.disk_low == (bound > 0) and len(told) == count
        assert "free some space soon" in told[0] and str(tmp_path) in told[0]


async def test_the_bytes_of_every_kind_are_counted(tmp_path: Path) -> None:
    async with watched(tmp_path) as (node, jobs):
        await jobs.check_disk()
        before = dict(node.readings.disk_bytes)
        (tmp_path / "payloads" / "more").write_bytes(bytes(1_000))
        await jobs.check_disk()
        assert node.readings.disk_bytes == before | {"payloads": before["payloads"] + 1_000}
        assert folder_bytes(tmp_path / "payloads") == node.readings.disk_bytes["payloads"]


# ---- Housekeeping


@pytest.fixture
def node(tmp_path: Path) -> LoneNode:
    for name in ("work", "tokens"):
        (tmp_path / "home" / name).mkdir(parents=True)
    return with_rounds(tmp_path / "home", 1)


def payloads(node: LoneNode) -> set[str]:
    return {path.name for path in (node.folder / "payloads").iterdir()}


def abandoned(node: LoneNode) -> str:
    """A payload that no block will ever name."""
    return node.payloads.put(b"abandoned" + os.urandom(8)).hex()


def end_round(node: LoneNode) -> None:
    """The newest round ends, whoever trains."""
    node.close_round()


def test_a_payload_that_no_round_names_goes_when_its_round_has_ended(node: LoneNode) -> None:
    keeper = Housekeeping(node.folder)
    assert keeper.tidy(node.store) == []
    name = abandoned(node)
    assert keeper.tidy(node.store) == [] and name in payloads(node)
    end_round(node)
    assert keeper.tidy(node.store) == [f"payloads/{name}"] and name not in payloads(node)


def test_every_payload_that_a_block_names_stays_and_the_ledger_replays(node: LoneNode) -> None:
    keeper = Housekeeping(node.folder)
    keeper.tidy(node.store)
    for _ in range(5):
        node.train()
        node.finish()
        keeper.tidy(node.store)
        node.block()
        keeper.tidy(node.store)
        node.block()
        keeper.tidy(node.store)
    assert len(payloads(node)) == 6 and keeper.waiting == {}
    assert Replay(node.database, node.network, node.payloads).run().rounds_closed == 6


def test_a_payload_is_kept_while_its_round_may_still_name_it(node: LoneNode) -> None:
    keeper = Housekeeping(node.folder)
    keeper.tidy(node.store)
    node.train()
    root = node.finish().payload_root.hex()
    for _ in range(3):
        assert keeper.tidy(node.store) == [] and root in payloads(node)
    node.block()
    assert keeper.tidy(node.store) == [] and root in payloads(node)


def test_what_was_there_before_the_first_look_is_left_alone(node: LoneNode) -> None:
    name = abandoned(node)
    keeper = Housekeeping(node.folder)
    for _ in range(3):
        assert keeper.tidy(node.store) == []
        end_round(node)
    assert name in payloads(node)


def test_what_waited_before_a_restart_is_judged_after_it(node: LoneNode) -> None:
    first = Housekeeping(node.folder)
    first.tidy(node.store)
    name = abandoned(node)
    node.train()
    named = node.finish().payload_root.hex()
    assert first.tidy(node.store) == [] and set(first.waiting) == {name, named}
    node.block()
    node.block()
    second = Housekeeping(node.folder)
    assert second.tidy(node.store) == [f"payloads/{name}"] and named in payloads(node)


def test_a_payload_of_the_time_between_the_last_look_and_a_kill_is_left_alone(node: LoneNode) -> None:
    Housekeeping(node.folder).tidy(node.store)
    name = abandoned(node)
    end_round(node)
    again = Housekeeping(node.folder)
    again.tidy(node.store)
    end_round(node)
    assert again.tidy(node.store) == [] and name in payloads(node)


@pytest.mark.parametrize("note", ["", "{}", '{"height": -1, "waiting": {}}', '{"height": 10000, "waiting": {"x": 1}}'])
def test_a_damaged_note_removes_nothing(node: LoneNode, note: str) -> None:
    name = abandoned(node)
    (node.folder / NOTE).write_text(note)
    end_round(node)
    keeper = Housekeeping(node.folder)
    before = payloads(node)
    for _ in range(2):
        assert keeper.tidy(node.store) == [] and payloads(node) == before and name in before


def test_a_name_that_is_no_payload_of_ours_leads_nowhere_else(node: LoneNode) -> None:
    keep = node.folder / "kept"
    keep.write_text("mine")
    note = {"height": node.store.height, "waiting": {"../kept": 0, "/etc/passwd": 0}}
    (node.folder / NOTE).write_text(json.dumps(note))
    assert Housekeeping(node.folder).tidy(node.store) == [] and keep.exists()


def test_a_long_search_goes_on_at_the_next_look_and_judges_only_at_its_end(
    node: LoneNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.housekeeping.BLOCKS_A_LOOK", 2)
    keeper = Housekeeping(node.folder)
    keeper.tidy(node.store)
    name = abandoned(node)
    keeper.tidy(node.store)
    for _ in range(3):
        end_round(node)
    looks = []
    while name in payloads(node):
        looks.append(keeper.tidy(node.store))
    assert looks == [[], [], [f"payloads/{name}"]] and len(payloads(node)) == 4


@pytest.mark.parametrize("folder", ["payloads", "aggregates", "model", "work", "tokens"])
def test_a_draft_that_nobody_writes_goes_at_the_second_look(node: LoneNode, folder: str) -> None:
    keeper = Housekeeping(node.folder)
    draft, written = node.folder / folder / "left.partial", node.folder / folder / "growing.partial"
    draft.write_bytes(b"left by a crash")
    for size in range(3):
        written.write_bytes(bytes(size))
        removed = keeper.tidy(node.store)
        assert removed == ([f"{folder}/left.partial"] if size == 1 else [])
    assert written.exists() and not draft.exists()


def test_drafts_elsewhere_are_not_ours(node: LoneNode) -> None:
    keeper = Housekeeping(node.folder)
    others = [node.folder / "keystore.json.partial", node.folder / "ledger.partial"]
    for path in others:
        path.write_bytes(b"x")
    for _ in range(3):
        assert keeper.tidy(node.store) == []
    assert all(path.exists() for path in others)


async def test_a_running_node_keeps_its_house(tmp_path: Path) -> None:
    async with watched(tmp_path) as (node, jobs):
        (tmp_path / "model" / "x.partial").write_bytes(b"x")
        await jobs.start()
        await until((tmp_path / NOTE).exists)
        await until(lambda: jobs.run_soon("tidy") or not (tmp_path / "model" / "x.partial").exists())
        await until(lambda: node.readings.disk_bytes and node.readings.memory_bytes)
    assert (tmp_path / "uptime.json").exists()


# ---- States of segments


async def test_states_that_no_audit_wants_go_as_soon_as_the_ledger_says_so(tmp_path: Path) -> None:
    async with watched(tmp_path) as (node, jobs):
        first, second = put(node.segments, 1, 1), put(node.segments, 2, 1)
        await jobs.start()
        wanted: Keep = {1: None, 2: None}
        jobs._wanted_segments = lambda: wanted  # type: ignore[method-assign]
        jobs._hear_audits(cast(Any, None))
        await until(lambda: jobs._kept == wanted)
        assert node.segments.find(first[0].parts.v_root) is not None
        wanted = {2: None}
        jobs._hear_audits(cast(Any, None))
        await until(lambda: node.segments.find(first[0].parts.v_root) is None)
        assert node.segments.find(second[0].parts.v_root) is not None


async def test_states_that_could_not_be_removed_are_tried_again_after_the_next_block(tmp_path: Path) -> None:
    async with watched(tmp_path) as (node, jobs):
        [state] = put(node.segments, 1, 1)
        jobs._wanted_segments = lambda: {2: None}  # type: ignore[method-assign]
        arm("segments.prune.before=eio")
        try:
            with pytest.raises(SegmentStoreError, match="the disk is failing"):
                await jobs.prune_segments()
        finally:
            arm(None)
        assert jobs._kept == {} and node.segments.find(state.parts.v_root) is not None
        await jobs.prune_segments()
        assert node.segments.find(state.parts.v_root) is None
