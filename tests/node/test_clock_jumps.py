"""A wall clock that is set ahead or back, even before 1970: blocks go on, their times only grow, and work is proven."""

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from chain.block import Header
from node import loop_runtime
from tests.node.alone import run_until
from tests.node.lone_node import LoneNode, with_rounds

YEAR_MS = 365 * 24 * 3600 * 1000
MINUTE_MS = 60_000


def build_at(node: LoneNode, wall_ms: int, monkeypatch: pytest.MonkeyPatch) -> Header:
    """A block that is made when the clock of the machine shows this, with a segment finished at this time; final."""
    monkeypatch.setattr(loop_runtime, "wall_ms", lambda: wall_ms)
    node.driver.add_segment(node.segment(len(node.driver.work.segments), time_ms=wall_ms))
    # A block that was under way when the node stopped before comes first.
    blocks = asyncio.run(run_until(node, node.view.tip.height + 2))
    applied = next(each for each in blocks if each.block.body.proofs)
    [proof] = applied.block.body.proofs
    window = node.network.params.proof_window_ms
    assert applied.block.header.time_ms - window <= proof.time_ms <= applied.block.header.time_ms
    return applied.block.header


@pytest.mark.parametrize(
    "jumps",
    [
        (0, YEAR_MS, MINUTE_MS),
        (0, -YEAR_MS, MINUTE_MS),
        (YEAR_MS, YEAR_MS + MINUTE_MS, 0, 2 * MINUTE_MS),
    ],
    ids=["ahead and back", "back and right again", "a year ahead, then right"],
)
def test_a_clock_that_jumps_neither_stalls_blocks_nor_turns_their_times_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jumps: tuple[int, ...]
) -> None:
    node = with_rounds(tmp_path / "node", 1)
    began = node.view.tip.time_ms
    times = [began, *(build_at(node, began + jump, monkeypatch).time_ms for jump in jumps)]
    least = node.network.params.block_interval_min_ms
    assert all(later - earlier >= least for earlier, later in pairwise(times))


@pytest.mark.parametrize("wall_ms", [0, -1, -YEAR_MS])
def test_a_clock_before_1970_makes_the_earliest_block_that_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wall_ms: int
) -> None:
    node = with_rounds(tmp_path / "node", 1)
    began, height = node.view.tip.time_ms, node.view.tip.height
    header = build_at(node, wall_ms, monkeypatch)
    assert header.time_ms == began + (header.height - height) * node.network.params.block_interval_min_ms
