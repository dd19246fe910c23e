"""What a node counts of its own life: a block's finality where it was there in time, and not where it caught up."""

from types import SimpleNamespace
from typing import Any

import pytest

from node import readings as module
from node.readings import BLOCKS_KEPT, LIVE_MS, Readings

NOW_MS = 1_800_000_000_000


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> Readings:
    monkeypatch.setattr(module, "wall_ms", lambda: NOW_MS)
    return Readings()


def block_of(time_ms: int) -> Any:
    return SimpleNamespace(block=SimpleNamespace(header=SimpleNamespace(time_ms=time_ms)))


def test_nothing_is_said_before_the_first_block(readings: Readings) -> None:
    assert readings.finality_ms is None and (readings.final_blocks, readings.finality_sum_ms) == (0, 0)


def test_blocks_are_counted_with_the_time_that_they_took(readings: Readings) -> None:
    for passed_ms in (5, 9, 40):
        readings.hear_block(block_of(NOW_MS - passed_ms))
    assert readings.finality_ms == 9 and (readings.final_blocks, readings.finality_sum_ms) == (3, 54)


@pytest.mark.parametrize(("passed_ms", "counts"), [(-1, 0), (0, 1), (LIVE_MS - 1, 1), (LIVE_MS, 0)])
def test_a_block_that_was_caught_up_or_comes_from_another_clock_says_nothing(
    readings: Readings, passed_ms: int, counts: int
) -> None:
    readings.hear_block(block_of(NOW_MS - passed_ms))
    assert (readings.final_blocks, len(readings.finality)) == (counts, counts)


def test_the_median_is_of_the_newest_blocks_and_the_sum_of_all(readings: Readings) -> None:
    for passed_ms in [100] * BLOCKS_KEPT + [2] * BLOCKS_KEPT:
        readings.hear_block(block_of(NOW_MS - passed_ms))
    assert readings.finality_ms == 2 and readings.finality_sum_ms == 102 * BLOCKS_KEPT
