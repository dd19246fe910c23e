"""The round in training on disk: what can be gone on with is, whatever a kill left behind; the rest begins anew."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from chain.crypto.hashing import merkle_root, tagged_hash
from node.trainer_messages import SegmentDone, Stepped, to_line
from node.work_log import WorkLog
from training.checkpoint import InnerState
from training.pages import inner_root

SIZE = 8
LINE = to_line(Stepped(1, 1, 2.0, 3.0))


def root_of(theta: NDArray[Any], m: NDArray[Any], v: NDArray[Any]) -> bytes:
    return inner_root((theta, m, v), merkle_root, tagged_hash)


def state_after(round_number: int, segment: int) -> InnerState:
    vectors = [np.full(SIZE, 100 * round_number + 10 * segment + i, dtype=np.float32) for i in range(3)]
    return InnerState(vectors[0], vectors[1], vectors[2], round_number, segment, root_of(*vectors))


def segment_of(state: InnerState) -> SegmentDone:
    return SegmentDone(state.round, state.segment, state.root, 9_000, 5, 1_700_000_000_000 + state.segment)


def log_of(folder: Path, round_number: int = 1) -> WorkLog:
    return WorkLog(folder, round_number, SIZE, root_of)


def record(folder: Path, segments: int, round_number: int = 1) -> list[SegmentDone]:
    """A run that finishes this many segments and is killed."""
    log, done = log_of(folder, round_number), []
    for number in range(segments):
        state = state_after(round_number, number)
        log.record(segment_of(state), state)
        done.append(segment_of(state))
    return done


def lines(folder: Path, round_number: int = 1) -> Path:
    return folder / f"round-{round_number}.jsonl"


def assert_begins_anew(folder: Path, round_number: int = 1) -> None:
    assert log_of(folder, round_number).resume() == (None, [])
    assert not lines(folder, round_number).exists()


def test_a_new_round_begins_at_its_first_segment(tmp_path: Path) -> None:
    assert_begins_anew(tmp_path)


@pytest.mark.parametrize("segments", [1, 3])
def test_a_round_goes_on_after_its_last_segment(tmp_path: Path, segments: int) -> None:
    done = record(tmp_path, segments)
    state, known = log_of(tmp_path).resume()
    assert state is not None and known == done
    assert state.root == done[-1].state_after and np.array_equal(state.theta, state_after(1, segments - 1).theta)


def test_resuming_twice_gives_the_same(tmp_path: Path) -> None:
    done = record(tmp_path, 2)
    log_of(tmp_path).resume()
    assert log_of(tmp_path).resume()[1] == done


def test_a_torn_line_after_the_last_segment_is_dropped(tmp_path: Path) -> None:
    done = record(tmp_path, 2)
    whole = lines(tmp_path).read_bytes()
    lines(tmp_path).write_bytes(whole + to_line(segment_of(state_after(1, 2)))[:-20])
    assert log_of(tmp_path).resume()[1] == done
    assert lines(tmp_path).read_bytes() == whole


def test_a_segment_whose_state_was_not_saved_is_trained_again(tmp_path: Path) -> None:
    done = record(tmp_path, 2)
    with lines(tmp_path).open("ab") as log:
        log.write(to_line(segment_of(state_after(1, 2))))
    assert log_of(tmp_path).resume()[1] == done
    assert lines(tmp_path).read_bytes() == b"".join(map(to_line, done))


def test_segments_can_be_recorded_after_resuming(tmp_path: Path) -> None:
    done = record(tmp_path, 2)
    log = log_of(tmp_path)
    log.resume()
    third = state_after(1, 2)
    log.record(segment_of(third), third)
    assert log_of(tmp_path).resume()[1] == [*done, segment_of(third)]


@pytest.mark.parametrize("damage", [b"", b"{}\n", b"\xff\xfe\n", LINE], ids=["lost", "empty", "junk", "other message"])
def test_a_state_without_the_line_of_its_segment_begins_anew(tmp_path: Path, damage: bytes) -> None:
    record(tmp_path, 2)
    first = lines(tmp_path).read_bytes().splitlines(keepends=True)[0]
    lines(tmp_path).write_bytes(first + damage)
    assert_begins_anew(tmp_path)


def test_a_line_of_other_work_than_the_state_begins_anew(tmp_path: Path) -> None:
    (done,) = record(tmp_path, 1)
    lines(tmp_path).write_bytes(to_line(SegmentDone(1, 0, bytes(32), 9_000, 5, done.time_ms)))
    assert_begins_anew(tmp_path)


def test_lines_out_of_order_begin_anew(tmp_path: Path) -> None:
    done = record(tmp_path, 2)
    lines(tmp_path).write_bytes(b"".join(map(to_line, reversed(done))))
    assert_begins_anew(tmp_path)


def test_the_state_of_another_round_is_not_gone_on_with(tmp_path: Path) -> None:
    record(tmp_path, 2, round_number=1)
    assert_begins_anew(tmp_path, round_number=2)
    assert not lines(tmp_path, 1).exists()


def test_a_missing_state_file_begins_anew(tmp_path: Path) -> None:
    record(tmp_path, 2)
    (tmp_path / "segment.safetensors").unlink()
    assert_begins_anew(tmp_path)


def test_a_damaged_state_file_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "segment.safetensors"
    for place in range(0, 600, 37):
        record(tmp_path, 1)
        content = bytearray(path.read_bytes())
        content[place % len(content)] ^= 0x10
        path.write_bytes(content)
        assert_begins_anew(tmp_path)


def test_a_state_file_that_was_cut_short_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "segment.safetensors"
    for kept in (0, 7, 100, -1):
        record(tmp_path, 1)
        path.write_bytes(path.read_bytes()[:kept])
        assert_begins_anew(tmp_path)


def test_the_state_of_another_model_begins_anew(tmp_path: Path) -> None:
    record(tmp_path, 1)
    assert WorkLog(tmp_path, 1, SIZE + 1, root_of).resume() == (None, [])
