"""The judge of the crash tests finds what it is there to find."""

import pytest

from consensus.messages import FINALIZE, NOTARIZE, NULLIFY
from tests.crash.lives import Entry
from tests.crash.promises import contradicting_votes, forgotten_heights, work_done_twice


def vote(kind: int, block: str, view: int = 1) -> Entry:
    return {"what": "vote", "kind": kind, "epoch": 0, "view": view, "block": block}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (vote(NOTARIZE, "a"), vote(NOTARIZE, "b")),
        (vote(FINALIZE, "a"), vote(FINALIZE, "b")),
        (vote(FINALIZE, "a"), vote(NULLIFY, "0")),
    ],
)
def test_contradicting_votes_are_found_in_one_view_only(first: Entry, second: Entry) -> None:
    assert contradicting_votes([first, second]) and contradicting_votes([second, first])
    assert contradicting_votes([first, {**second, "view": 2}]) == []
    assert contradicting_votes([first, first]) == []


def test_votes_that_go_together_are_let_pass() -> None:
    assert contradicting_votes([vote(NOTARIZE, "a"), vote(FINALIZE, "a"), vote(NULLIFY, "0", 2)]) == []


def final(height: int, block: str) -> Entry:
    return {"what": "final", "height": height, "block": block}


def test_a_life_that_begins_below_the_last_block_is_found() -> None:
    lower, same = ({"what": "start", "height": height, "block": ""} for height in (1, 2))
    assert forgotten_heights([final(1, "a"), final(2, "b"), lower])
    assert forgotten_heights([final(1, "a"), final(2, "b"), same]) == []


def test_another_block_at_a_height_that_was_final_is_found() -> None:
    assert forgotten_heights([final(1, "a"), final(1, "b")])
    assert forgotten_heights([final(1, "a"), final(1, "a")]) == []


@pytest.mark.parametrize("change", [{"time_ms": 6}, {"state": "b"}])
def test_a_segment_that_was_trained_again_is_found(change: dict[str, object]) -> None:
    segment = {"what": "segment", "round": 1, "segment": 0, "state": "a", "time_ms": 5}
    assert work_done_twice([segment, {**segment, **change}])
    assert work_done_twice([segment, segment, {**segment, **change, "segment": 1}]) == []
