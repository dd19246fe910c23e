"""The round in training on disk: what can be gone on with is, whatever a kill left behind; the rest begins anew."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from chain.crypto.hashing import merkle_root, tagged_hash
from node import work_log
from node.errors import TrainerError
from node.trainer_messages import SegmentDone, Stepped, to_line
from node.work_log import WorkLog
from training.checkpoint import InnerState
from training.errors import CheckpointError
from training.pages import inner_root

SIZE = 8
BEGAN = bytes(range(32))  # the root of the averages with which the round began
LINE = to_line(Stepped(1, 1, 2.0, 3.0))


def root_of(theta: NDArray[Any], m: NDArray[Any], v: NDArray[Any]) -> bytes:
    return inner_root((theta, m, v), merkle_root, tagged_hash)


def state_after(round_number: int, segment: int) -> InnerState:
    vectors = [np.full(SIZE, 100 * round_number + 10 * segment + i, dtype=np.float32) for i in range(3)]
    return InnerState(vectors[0], vectors[1], vectors[2], round_number, segment, root_of(*vectors), 1_500)


def segment_of(state: InnerState) -> SegmentDone:
    return SegmentDone(state.round, state.segment, state.root, 9_000, 5, 1_700_000_000_000 + state.segment, 1, BEGAN)


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
    assert state.root == done[-1].state_after and state.v_steps == 1_500 and known[0].averages_root == BEGAN
    assert np.array_equal(state.theta, state_after(1, segments - 1).theta)


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
def test_a_state_without_the_line_of_its_segment_is_passed_over(tmp_path: Path, damage: bytes) -> None:
    done = record(tmp_path, 2)
    first = lines(tmp_path).read_bytes().splitlines(keepends=True)[0]
    lines(tmp_path).write_bytes(first + damage)
    assert log_of(tmp_path).resume()[1] == done[:1]
    lines(tmp_path).write_bytes(damage)
    assert_begins_anew(tmp_path)


def test_a_line_of_other_work_than_the_state_begins_anew(tmp_path: Path) -> None:
    (done,) = record(tmp_path, 1)
    lines(tmp_path).write_bytes(to_line(SegmentDone(1, 0, bytes(32), 9_000, 5, done.time_ms, 1, BEGAN)))
    assert_begins_anew(tmp_path)


def test_lines_out_of_order_begin_anew(tmp_path: Path) -> None:
    done = record(tmp_path, 2)
    lines(tmp_path).write_bytes(b"".join(map(to_line, reversed(done))))
    assert_begins_anew(tmp_path)


def test_the_state_of_another_round_is_not_gone_on_with(tmp_path: Path) -> None:
    record(tmp_path, 2, round_number=1)
    assert_begins_anew(tmp_path, round_number=2)
    assert not lines(tmp_path, 1).exists()


def states(folder: Path) -> list[Path]:
    return sorted(folder.glob("segment-*"))


def test_without_states_a_round_begins_anew(tmp_path: Path) -> None:
    record(tmp_path, 2)
    for path in states(tmp_path):
        path.unlink()
    assert_begins_anew(tmp_path)


@pytest.mark.parametrize("segments", [2, 3, 4])
def test_a_round_goes_on_one_segment_earlier_if_the_last_state_is_lost_or_damaged(
    tmp_path: Path, segments: int
) -> None:
    newest = tmp_path / f"segment-{(segments - 1) % 2}.safetensors"
    done = record(tmp_path, segments)
    sound = newest.read_bytes()
    flipped = [bytearray(sound) for _ in range(0, 600, 37)]
    for place, content in zip(range(0, 600, 37), flipped, strict=True):
        content[place % len(content)] ^= 0x10
    for damaged in [*map(bytes, flipped), *(sound[:kept] for kept in (0, 7, 100, -1)), None]:
        record(tmp_path, segments)
        newest.unlink() if damaged is None else newest.write_bytes(damaged)
        state, known = log_of(tmp_path).resume()
        assert state is not None and state.segment == segments - 2 and known == done[:-1]
        assert lines(tmp_path).read_bytes() == b"".join(map(to_line, done[:-1]))
        lines(tmp_path).unlink()


def test_both_states_damaged_begin_anew(tmp_path: Path) -> None:
    record(tmp_path, 2)
    for path in states(tmp_path):
        path.write_bytes(path.read_bytes()[:-1])
    assert_begins_anew(tmp_path)


def test_only_two_states_are_kept_and_each_is_written_over_in_place(tmp_path: Path) -> None:
    record(tmp_path, 2)
    before = {path.name: path.stat().st_ino for path in states(tmp_path)}
    record(tmp_path, 3, round_number=2)
    assert {path.name: path.stat().st_ino for path in states(tmp_path)} == before and len(before) == 2


@pytest.mark.parametrize("name", ["segment-0.safetensors", "segment-1.safetensors"])
def test_a_folder_in_the_place_of_a_state_costs_that_state_and_is_told_when_it_is_needed(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(CheckpointError, match="cannot write checkpoint"):
        record(tmp_path, 2)
    assert (tmp_path / name).is_dir()


def test_a_folder_in_the_place_of_the_log_is_told_in_words(tmp_path: Path) -> None:
    lines(tmp_path).mkdir()
    with pytest.raises(TrainerError, match=r"cannot use .*round-1.jsonl.*move that away"):
        log_of(tmp_path).resume()


def test_the_state_of_another_model_begins_anew(tmp_path: Path) -> None:
    record(tmp_path, 1)
    assert WorkLog(tmp_path, 1, SIZE + 1, root_of).resume() == (None, [])


def test_two_trainers_never_write_to_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trainer of a killed node lives on until its next step; the next one waits for it, though not for ever."""
    monkeypatch.setattr(work_log, "PATIENCE_SECONDS", 0)
    program = (
        "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print(1, flush=True); input()"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "1\n"
        with pytest.raises(TrainerError, match="the trainer of an earlier start still writes"):
            log_of(tmp_path)
        other.communicate("\n")
    assert log_of(tmp_path).resume() == (None, [])
