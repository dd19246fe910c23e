"""What people are told of the newest round in one line: from numbers alone, in every phase, for every kind of node."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.receipts import RoundClosed, RoundVoid
from chain.state import CLOSED, ROUND_PHASES, Round
from node.api.events import KINDS
from node.journal import Journal
from node.progress import shared_progress
from node.round_now import (
    BEHIND_BLOCKS,
    NO_ROUND,
    PACE_INTERVALS,
    Own,
    RoundNow,
    closed_words,
    duration,
    pace_ms,
    read_round,
    round_line,
    seconds_left,
)
from node.status import Status
from tests.node.lone_node import tiny_network
from tests.node.many_nodes import Cluster

NOW = RoundNow(
    number=12,
    phase="training",
    height=100,
    opened_height=90,
    deadline_height=118,
    participants=9,
    awaited=1,
    is_hurried=False,
    committed=3,
    revealed=0,
    held=0,
    total_power=0,
    voted_power=0,
    agreed_power=0,
    own_committed=False,
    after_void=False,
)
OWN = Own(step=140, steps=250, pace_ms=1_000, losses=(8.4, 5.213, 5.102))
OBSERVER = Own()
PARAMS = tiny_network().params


def test_a_trainer_among_several_sees_steps_commitments_deadline_and_losses() -> None:
    assert round_line(NOW, OWN) == (
        "round 12 training 140/250 steps · 3 of 4 committed · closes in ≤ 18 s · loss 5.213 → 5.102"
    )


def test_a_lone_trainer_is_not_told_of_others() -> None:
    lone = replace(NOW, participants=1, awaited=1, committed=0)
    assert round_line(lone, replace(OWN, losses=(8.4,))) == (
        "round 12 training 140/250 steps · closes in ≤ 18 s · loss 8.400"
    )
    done = replace(lone, awaited=0, committed=1, own_committed=True)
    assert round_line(done, replace(OWN, losses=())) == "round 12 training · committed · closes in ≤ 18 s"


def test_who_has_committed_waits_for_the_others() -> None:
    line = round_line(replace(NOW, own_committed=True), replace(OWN, losses=()))
    assert line == "round 12 training · 3 of 4 committed, this node too · closes in ≤ 18 s"


def test_an_observer_has_no_steps_and_no_losses() -> None:
    assert round_line(NOW, OBSERVER) == "round 12 training · 3 of 4 committed · closes in ≤ 18 s"


def test_without_a_trainer_there_is_no_round() -> None:
    assert round_line(None, OWN) == round_line(None, OBSERVER) == NO_ROUND


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"phase": "opened", "committed": 0, "deadline_height": 101}, "round 12 opened · closes in ≤ 1 s"),
        ({"phase": "revealing", "revealed": 2}, "round 12 revealing payloads · 2 of 3 revealed · closes in ≤ 18 s"),
        (
            {"phase": "holding", "revealed": 3, "held": 1, "total_power": 9},
            "round 12 checking who holds the payloads · 1 of 3 held · closes in ≤ 18 s",
        ),
        (
            {"phase": "result", "revealed": 3, "held": 3, "total_power": 9, "agreed_power": 6},
            "round 12 voting on the result · 66 % of the power agrees · closes in ≤ 18 s",
        ),
        ({"phase": "closed", "held": 1}, "round 12 closed · 1 payload counted"),
        ({"phase": "closed", "held": 3}, "round 12 closed · 3 payloads counted"),
        ({"phase": "void"}, "round 12 void"),
    ],
)
def test_every_phase_has_its_words(changes: dict[str, object], line: str) -> None:
    assert round_line(replace(NOW, **changes), replace(OWN, losses=())) == line  # type: ignore[arg-type]


def test_a_void_round_is_told_with_the_next_one() -> None:
    line = round_line(replace(NOW, after_void=True), OBSERVER)
    assert line == "round 12 training · 3 of 4 committed · closes in ≤ 18 s · round 11 was void"


def test_a_node_that_catches_up_says_so_instead_of_an_old_round() -> None:
    assert round_line(NOW, replace(OWN, behind=BEHIND_BLOCKS)).startswith("round 12 training")
    assert round_line(NOW, replace(OWN, behind=BEHIND_BLOCKS + 1)) == "catching up, 21 blocks behind · round 12"
    assert round_line(None, Own(behind=4_000)) == "catching up, 4,000 blocks behind"


def test_a_deadline_that_has_passed_is_not_told() -> None:
    assert "closes" not in round_line(replace(NOW, deadline_height=100), OWN)
    assert replace(NOW, deadline_height=99).blocks_left == 0


numbers = st.integers(0, 2**64 - 1)


@given(
    st.builds(
        RoundNow,
        phase=st.sampled_from(ROUND_PHASES[1:]),
        own_committed=st.booleans(),
        is_hurried=st.booleans(),
        after_void=st.booleans(),
        **dict.fromkeys(
            (
                *("number", "height", "opened_height", "deadline_height", "participants", "committed", "revealed"),
                *("held", "total_power", "agreed_power", "awaited", "voted_power"),
            ),
            numbers,
        ),
    ),
    st.builds(Own, numbers, numbers, st.integers(1, 2**48), st.lists(st.floats()).map(tuple), numbers, st.booleans()),
)
def test_any_numbers_give_one_line_of_plain_words(now: RoundNow, own: Own) -> None:
    """Also those that strangers or a broken model make as bad as they can: infinite losses, a deadline in 2^64."""
    line = round_line(now, own)
    assert re.fullmatch(r"[A-Za-z0-9 ,./%·≤→>-]+", line), line


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (119, "119 s"), (120, "2 min"), (121, "3 min"), (7_199, "120 min"), (7_200, "2 h"), (7_201, "3 h")],
)
def test_a_duration_has_one_unit_and_is_never_told_too_short(seconds: int, words: str) -> None:
    assert duration(seconds) == words


def test_the_pace_is_that_of_the_latest_blocks_within_the_networks_bounds() -> None:
    usual, least, most = PARAMS.block_interval_ms, PARAMS.block_interval_min_ms, PARAMS.block_interval_max_ms
    few, enough = range(PACE_INTERVALS), range(PACE_INTERVALS + 1)
    assert pace_ms((), PARAMS) == pace_ms((5,), PARAMS) == pace_ms([30 * each for each in few], PARAMS) == usual
    assert pace_ms([30 * each for each in enough], PARAMS) == 30
    assert pace_ms([0 for _ in enough], PARAMS) == least
    assert pace_ms([10**9 * each for each in enough], PARAMS) == most
    assert (seconds_left(NOW, 1_000), seconds_left(NOW, 1_001), seconds_left(None, 1_000)) == (18, 19, 0)


# ---- From a ledger


def test_the_numbers_are_those_of_the_ledger_in_every_phase(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, 3, 2)
    try:
        first = cluster.members[0].identity.node
        assert read_round(cluster.state, cluster.height, first) is None
        cluster.register()
        cluster.train(*cluster.members[:2])
        seen: dict[tuple[int, str], RoundNow] = {}
        lines: list[tuple[str, dict[str, object]]] = []
        journal = Journal(now=lambda: read_round(cluster.state, cluster.height, first))
        journal.rounds = Recorder(lines)
        for _ in range(3):
            journal.hear_block(cluster.block())
        now = read_round(cluster.state, cluster.height, first)
        assert now is not None and (now.phase, now.own_committed) == ("training", True)
        assert (now.committed, now.awaited, now.participants) == (2, 1, 3)
        cluster.train(cluster.members[2])
        for _ in range(10):
            now = read_round(cluster.state, cluster.height, first)
            assert now is not None
            seen.setdefault((now.number, now.phase), now)
            journal.hear_block(cluster.block())
        assert (1, "holding") in seen and (2, "training") in seen, "the next round opens in the block that closes one"
        assert all(now.blocks_left > 0 for now in seen.values())
        result = seen.get((1, "result"))
        assert result is None or (result.revealed, result.held) == (3, 3)
        before = cluster.state.round(1)
        assert before is not None and before.phase == CLOSED
        now = read_round_of(cluster, before)
        assert (now.revealed, now.held, now.blocks_left, now.awaited) == (3, 3, 0, 0)
        assert now.agreed_power == now.voted_power == now.total_power > 0
        size = sum(payload.payload_bytes for payload in before.revealed)
        assert closed_words(cluster.state, 1) == f" with 3 payloads, {size:,} bytes"
        assert closed_words(cluster.state, 99) == ""
        told = [(fields["round"], fields["phase"]) for event, fields in lines if event == "round phase"]
        assert len(told) == len(set(told)) and {(1, "training"), (1, "holding"), (2, "training")} <= set(told)
    finally:
        cluster.close()


def read_round_of(cluster: Cluster, ended: Round) -> RoundNow:
    """An ended round as if it were still the newest."""
    state = cluster.state.fork()
    state.update_ledger(round=ended.number)
    now = read_round(state, cluster.height, ended.committed[0])
    assert now is not None
    return now


def test_the_round_after_a_void_one_knows_it(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, 2, 2, train_blocks=4)
    try:
        cluster.register()
        assert cluster.blocks_until(RoundVoid).round == 1
        now = read_round(cluster.state, cluster.height, bytes(32))
        assert now is not None and (now.number, now.after_void) == (2, True)
        cluster.block()
        cluster.train()
        assert cluster.blocks_until(RoundClosed).round == 2
        now = read_round(cluster.state, cluster.height, bytes(32))
        assert now is not None and (now.number, now.after_void) == (3, False)
    finally:
        cluster.close()


class Recorder:
    """Takes what a log would."""

    def __init__(self, lines: list[tuple[str, dict[str, object]]]) -> None:
        self.lines = lines

    def info(self, event: str, **fields: object) -> None:
        self.lines.append((event, fields))

    debug = warning = info


# ---- The bars of the screen


@pytest.mark.parametrize(
    ("phase", "done"),
    [("opened", (3, 4)), ("training", (3, 4)), ("revealing", (2, 3)), ("holding", (1, 2)), ("result", (1, 2))],
)
def test_the_shared_bar_shows_what_the_phase_is_about(phase: str, done: tuple[int, int]) -> None:
    fields = dict.fromkeys(Status.__slots__, 0)
    counts = {"round_participants": 4, "round_committed": 3, "round_awaited": 1, "round_revealed": 2, "round_held": 1}
    status = Status(**(fields | counts | {"round_phase": phase}))  # type: ignore[arg-type]
    assert shared_progress(status) == done


def test_a_phase_is_an_event_of_its_own() -> None:
    assert "round_phase" in KINDS
