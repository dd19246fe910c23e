"""How many threads training takes."""

import math
from pathlib import Path

import pytest

from node import threads
from node.threads import Look, Threads, threads_for, usual_threads


@pytest.mark.parametrize(
    ("cores", "free", "chosen"),
    [(2, 2.0, 2), (2, 1.71, 2), (2, 1.69, 1), (2, 0.0, 1), (8, 8.4, 8), (8, 5.2, 5), (1, 1.0, 1)],
)
def test_a_core_that_others_use_gets_no_thread(cores: int, free: float, chosen: int) -> None:
    assert threads_for(cores, free) == chosen


def test_what_we_use_ourselves_counts_as_free() -> None:
    before, after = Look(at=10.0, own=3.0, idle=50.0), Look(at=20.0, own=13.0, idle=55.0)
    assert after.free_cores(before) == pytest.approx(1.5)


def test_a_wish_is_obeyed_whatever_the_load() -> None:
    choice = Threads(7)
    assert choice.choose() == 7
    assert choice.why(7) == "7 threads, as asked."


def test_the_automatic_choice_lies_between_one_and_the_cores_we_may_use() -> None:
    choice = Threads(None)
    assert 1 <= choice.choose() <= usual_threads()


@pytest.mark.parametrize(("text", "cores"), [("150000 100000", 2), ("100000 100000", 1), ("50000 100000", 1)])
def test_a_quota_of_the_control_group_limits_the_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, cores: int
) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text(text + "\n")
    monkeypatch.setattr(threads, "CPU_QUOTA", quota)
    assert usual_threads() == min(cores, len(threads._allowed_cores()))


@pytest.mark.parametrize("text", ["max 100000", "", "nonsense here", "1 0"])
def test_no_quota_or_one_that_cannot_be_read_limits_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text(text)
    monkeypatch.setattr(threads, "CPU_QUOTA", quota)
    assert threads._quota() == math.inf
