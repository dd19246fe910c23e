"""The auditor trains a segment again, in a process of its own that the node outlives."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chain.audit_messages import MISMATCH, PASS
from node.auditor import Auditor
from node.auditor_main import NICENESS, AuditorProcess
from node.auditor_messages import Replay, Replayed, Unable
from tests.node.trained_round import STEPS, TrainedRound, train_a_round
from tests.torch_absence import need_torch

HASH = 32


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainedRound:
    need_torch()
    return train_a_round(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def process(trained: TrainedRound) -> AuditorProcess:
    return AuditorProcess(trained.root)


def found(process: AuditorProcess, question: Replay) -> Replayed:
    answer = process.answer(question)
    assert isinstance(answer, Replayed) and answer.number == question.number, answer
    return answer


def test_an_honest_segment_passes_and_every_inner_state_is_named(
    process: AuditorProcess, trained: TrainedRound
) -> None:
    for segment in range(4):
        answer = found(process, trained.question(segment, trained.true_mix(segment)))
        roots = {answer.inner[at : at + HASH] for at in range(0, len(answer.inner), HASH)}
        assert answer.finding == PASS and len(answer.inner) == STEPS * HASH and len(roots) == STEPS
    assert answer.inner[-HASH:] == trained.done.theta_root


def test_who_does_not_know_the_plants_finds_a_mismatch_on_a_planted_segment_only(
    process: AuditorProcess, trained: TrainedRound
) -> None:
    for segment in range(4):
        answer = found(process, trained.question(segment, trained.mix))
        assert answer.finding == (MISMATCH if trained.is_planted(segment) else PASS)
        assert len(answer.inner) == STEPS * HASH


def test_another_payload_than_the_last_weights_give_is_a_mismatch(
    process: AuditorProcess, trained: TrainedRound, tmp_path: Path
) -> None:
    question = trained.question(0, trained.true_mix(0))
    forged = bytearray(Path(question.payload).read_bytes())
    forged[-1] ^= 1
    (tmp_path / "forged").write_bytes(forged)
    answer = found(process, replace(question, payload=str(tmp_path / "forged")))
    assert answer.finding == MISMATCH and "payload" in answer.reason and len(answer.inner) == STEPS * HASH


def test_a_wrong_distance_is_a_mismatch(process: AuditorProcess, trained: TrainedRound) -> None:
    question = trained.question(1, trained.true_mix(1))
    for factor, finding in ((1.0, PASS), (1.001, MISMATCH)):
        answer = found(process, replace(question, distance=round(question.distance * factor)))
        assert answer.finding == finding


def test_other_weights_at_the_end_are_a_mismatch(
    process: AuditorProcess, trained: TrainedRound, tmp_path: Path
) -> None:
    question = trained.question(0, trained.true_mix(0))
    weights = np.fromfile(question.after_theta, dtype="<f4")
    (tmp_path / "noisy").write_bytes((weights * np.float32(1.001)).tobytes())
    (tmp_path / "endless").write_bytes(np.full_like(weights, np.nan).tobytes())
    for name in ("noisy", "endless"):
        assert found(process, replace(question, after_theta=str(tmp_path / name))).finding == MISMATCH
    # Whatever it begins with: training goes on, and what comes of it is compared.
    assert found(process, replace(question, before_theta=str(tmp_path / "endless"))).finding == MISMATCH


def test_what_this_machine_cannot_do_is_no_finding(
    process: AuditorProcess, trained: TrainedRound, tmp_path: Path
) -> None:
    question = trained.question(0, trained.true_mix(0))
    assert isinstance(process.answer(replace(question, base=str(tmp_path / "nothing"))), Unable)
    (tmp_path / "short").write_bytes(bytes(12))
    assert isinstance(process.answer(replace(question, before_m=str(tmp_path / "short"))), Unable)


# ---- The process and the node's hold on it


@pytest.fixture
async def auditor(trained: TrainedRound) -> AsyncIterator[Auditor]:
    auditor = Auditor(trained.root)
    yield auditor
    await auditor.stop()


async def test_the_process_is_started_for_a_question_gives_way_and_stays_for_the_next(
    auditor: Auditor, trained: TrainedRound
) -> None:
    assert auditor.pid is None
    for segment in (0, 1):
        answer = await auditor.examine(trained.question(segment, trained.true_mix(segment)))
        assert isinstance(answer, Replayed) and answer.finding == PASS
    assert auditor.starts == 1 and auditor.pid is not None
    assert os.getpriority(os.PRIO_PROCESS, auditor.pid) >= NICENESS


async def test_a_killed_process_is_no_answer_and_the_next_question_starts_another(
    auditor: Auditor, trained: TrainedRound
) -> None:
    question = trained.question(0, trained.true_mix(0))
    asked = asyncio.ensure_future(auditor.examine(question))
    while auditor.pid is None:
        await asyncio.sleep(0.01)
    os.kill(auditor.pid, signal.SIGKILL)
    assert await asked == Unable(0, "the auditor process ended with signal 9")
    answer = await auditor.examine(question)
    assert isinstance(answer, Replayed) and auditor.starts == 2


async def test_a_process_without_a_corpus_says_so_and_finds_nothing(trained: TrainedRound, tmp_path: Path) -> None:
    (tmp_path / "network").write_bytes(b"no network")
    auditor = Auditor(tmp_path)
    answer = await auditor.examine(trained.question(0, trained.mix))
    await auditor.stop()
    assert isinstance(answer, Unable)


async def test_an_idle_process_ends(trained: TrainedRound) -> None:
    auditor = Auditor(trained.root, idle_seconds=0)
    assert isinstance(await auditor.examine(trained.question(0, trained.mix)), Replayed)
    await asyncio.sleep(0.05)
    assert auditor.pid is None
    await auditor.stop()


async def test_whoever_is_called_away_leaves_no_process_at_work(auditor: Auditor, trained: TrainedRound) -> None:
    asked = asyncio.ensure_future(auditor.examine(trained.question(0, trained.mix)))
    while auditor.pid is None:
        await asyncio.sleep(0.01)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    assert auditor.pid is None
