"""The round in training on disk: what can be gone on with is, whatever a kill left behind; the rest begins anew."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from chain.crypto.hashing import merkle_root, tagged_hash
from node import work_log
from node.errors import SegmentStoreError, TrainerError
from node.segment_store import Boundary, SegmentStore, Vectors
from node.trainer_messages import SegmentDone, Stepped, to_line
from node.work_log import WorkLog, state_hash
from training.pages import inner_root

SIZE = 8
BEGAN = bytes(range(32))  # the root of the averages with which the round began
LINE = to_line(Stepped(1, 1, 2.0, 3.0))


def state_after(round_number: int, segment: int) -> Vectors:
    return Vectors(*(np.full(SIZE, 100 * round_number + 10 * segment + i, dtype=np.float32) for i in range(3)))


def segment_of(round_number: int, number: int) -> SegmentDone:
    root = state_hash(state_after(round_number, number).parts())
    return SegmentDone(round_number, number, root, 9_000, 5, 1_700_000_000_000 + number, 1, BEGAN)


def states_of(folder: Path) -> SegmentStore:
    return SegmentStore(folder / "segments")


def log_of(folder: Path, round_number: int = 1) -> WorkLog:
    return WorkLog(folder, round_number, SIZE, states_of(folder))


def record(folder: Path, segments: int, round_number: int = 1) -> list[SegmentDone]:
    """A run that finishes this many segments and is killed."""
    log, done = log_of(folder, round_number), []
    for number in range(segments):
        state = state_after(round_number, number)
        boundary = Boundary(round_number, number + 1, state.parts(), 1_500)
        done.append(segment_of(round_number, number))
        log.record(done[-1], boundary, state)
    return done


def lines(folder: Path, round_number: int = 1) -> Path:
    return folder / f"round-{round_number}.jsonl"


def assert_begins_anew(folder: Path, round_number: int = 1) -> None:
    assert log_of(folder, round_number).resume() is None
    assert not lines(folder, round_number).exists()


def test_a_new_round_begins_at_its_first_segment(tmp_path: Path) -> None:
    assert_begins_anew(tmp_path)


def resumed(folder: Path) -> list[SegmentDone]:
    found = log_of(folder).resume()
    assert found is not None and len(found.segments) > 0
    assert np.array_equal(found.state.theta, state_after(1, len(found.segments) - 1).theta)
    return found.segments


@pytest.mark.parametrize("segments", [1, 3])
def test_a_round_goes_on_after_its_last_segment(tmp_path: Path, segments: int) -> None:
    done = record(tmp_path, segments)
    found = log_of(tmp_path).resume()
    assert found is not None and found.segments == done
    assert found.v_steps == 1_500 and found.segments[0].averages_root == BEGAN
    expected, state = state_after(1, segments - 1), found.state
    assert inner_root((state.theta, state.m, state.v), merkle_root, tagged_hash) == done[-1].state_after
    assert all(map(np.array_equal, (state.theta, state.m, state.v), (expected.theta, expected.m, expected.v)))


def test_resuming_twice_gives_the_same(tmp_path: Path) -> None:
    done = record(tmp_path, 2)
    assert resumed(tmp_path) == done and resumed(tmp_path) == done


def test_a_torn_line_after_the_last_segment_is_dropped(tmp_path: Path) -> None:
    done = record(tmp_path, 2)
    whole = lines(tmp_path).read_bytes()
    lines(tmp_path).write_bytes(whole + to_line(segment_of(1, 2))[:-20])
    assert resumed(tmp_path) == done
    assert lines(tmp_path).read_bytes() == whole


def test_a_segment_whose_state_was_not_saved_is_trained_again(tmp_path: Path) -> None:
    done = record(tmp_path, 2)
    with lines(tmp_path).open("ab") as log:
        log.write(to_line(segment_of(1, 2)))
    assert resumed(tmp_path) == done
    assert lines(tmp_path).read_bytes() == b"".join(map(to_line, done))


def test_segments_can_be_recorded_after_resuming(tmp_path: Path) -> None:
    done = record(tmp_path, 2)
    log, third = log_of(tmp_path), state_after(1, 2)
    log.resume()
    log.record(segment_of(1, 2), Boundary(1, 3, third.parts(), 1_500), third)
    assert resumed(tmp_path) == [*done, segment_of(1, 2)]


@pytest.mark.parametrize("damage", [b"", b"{}\n", b"\xff\xfe\n", LINE], ids=["lost", "empty", "junk", "other message"])
def test_a_state_without_the_line_of_its_segment_is_passed_over(tmp_path: Path, damage: bytes) -> None:
    done = record(tmp_path, 2)
    first = lines(tmp_path).read_bytes().splitlines(keepends=True)[0]
    lines(tmp_path).write_bytes(first + damage)
    assert resumed(tmp_path) == done[:1]
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


def parts_of_state(folder: Path, segment: int) -> list[Path]:
    """The three files of a state."""
    parts = state_after(1, segment).parts()
    return [folder / "segments" / root.hex() for root in (parts.theta_root, parts.m_root, parts.v_root)]


def test_without_states_a_round_begins_anew(tmp_path: Path) -> None:
    record(tmp_path, 2)
    for path in [*parts_of_state(tmp_path, 0), *parts_of_state(tmp_path, 1)]:
        path.unlink()
    assert_begins_anew(tmp_path)


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_round_goes_on_from_the_newest_sound_state(tmp_path: Path, part: int) -> None:
    done = record(tmp_path, 3)
    newest = parts_of_state(tmp_path, 2)[part]
    sound = newest.read_bytes()
    flipped = [sound[:place] + bytes([sound[place] ^ 0x10]) + sound[place + 1 :] for place in range(len(sound))]
    for damaged in [*flipped, *(sound[:kept] for kept in (0, 7, -1)), sound + b"1", None]:
        record(tmp_path, 3)
        assert newest.read_bytes() == sound  # What was found damaged is written anew.
        newest.unlink() if damaged is None else newest.write_bytes(damaged)
        assert resumed(tmp_path) == done[:-1]
        assert lines(tmp_path).read_bytes() == b"".join(map(to_line, done[:-1]))
        lines(tmp_path).unlink()
    record(tmp_path, 3)
    for path in (newest, *parts_of_state(tmp_path, 1)):
        path.write_bytes(b"")
    assert resumed(tmp_path) == done[:1]


def test_every_state_damaged_begins_anew(tmp_path: Path) -> None:
    record(tmp_path, 2)
    for path in (tmp_path / "segments").glob("[0-9a-f]*"):
        path.write_bytes(path.read_bytes()[:-1])
    assert_begins_anew(tmp_path)


def test_what_earlier_versions_kept_of_states_goes(tmp_path: Path) -> None:
    for name in ("segment.safetensors", "segment-0.safetensors", "segment-1.safetensors"):
        (tmp_path / name).write_bytes(b"a state")
    log_of(tmp_path)
    assert not list(tmp_path.glob("segment-*"))


def test_a_folder_in_the_place_of_a_state_is_told_in_words(tmp_path: Path) -> None:
    parts_of_state(tmp_path, 1)[0].mkdir(parents=True)
    with pytest.raises(SegmentStoreError, match="something else lies in its place"):
        record(tmp_path, 2)
    assert len(resumed(tmp_path)) == 1


def test_a_folder_in_the_place_of_the_log_is_told_in_words(tmp_path: Path) -> None:
    lines(tmp_path).mkdir()
    with pytest.raises(TrainerError, match=r"cannot use .*round-1.jsonl.*move that away"):
        log_of(tmp_path).resume()


def test_the_state_of_another_model_begins_anew(tmp_path: Path) -> None:
    record(tmp_path, 1)
    assert WorkLog(tmp_path, 1, SIZE + 1, states_of(tmp_path)).resume() is None


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
    assert log_of(tmp_path).resume() is None
