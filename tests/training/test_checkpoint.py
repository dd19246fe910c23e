"""Checkpoints: what was saved comes back, and nothing else does."""

import os
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.training.pseudo_gradients import payloads
from tests.training.recorded_round import SPEC, entries
from training import checkpoint
from training.checkpoint import (
    Averages,
    SavedOuter,
    load_averages,
    load_outer,
    save_averages,
    save_outer,
)
from training.errors import CheckpointError
from training.outer import OuterState, genesis_state, outer_step
from training.trust import trust_bytes

SIZES = (5, 3)


def root_of(state: OuterState) -> bytes:
    parts = state.weights.tobytes(), state.momentum.tobytes(), state.aggregate, trust_bytes(state.trust)
    return sha256(b"|".join(parts)).digest()


def an_outer() -> SavedOuter:
    """A small state that has been through a round."""
    born = genesis_state(np.linspace(-1, 1, 8, dtype=np.float32))
    state = outer_step(born, entries(payloads(2, SIZES, 1)), SIZES, SPEC)
    return SavedOuter(state, 7, root_of(state))


def bits(saved: SavedOuter) -> list[object]:
    state = saved.state
    return [state.weights.tobytes(), state.momentum.tobytes(), state.aggregate, saved.round, saved.root]


def load(path: Path) -> SavedOuter:
    return load_outer(path, SIZES, root_of)


@pytest.fixture
def outer_path(tmp_path: Path) -> Path:
    save_outer(tmp_path / "outer.safetensors", an_outer(), SIZES)
    return tmp_path / "outer.safetensors"


def test_an_outer_state_comes_back_as_saved(outer_path):
    back = load(outer_path)
    assert bits(back) == bits(an_outer())
    assert (back.state.weights.dtype, back.state.momentum.dtype) == (np.float32, np.int32)


def test_the_state_before_the_first_round_comes_back_without_an_aggregate(tmp_path):
    state = genesis_state(np.ones(8, dtype=np.float32))
    save_outer(tmp_path / "outer", SavedOuter(state, 0, root_of(state)), SIZES)
    assert load(tmp_path / "outer").state.aggregate == b""


def test_a_loaded_state_takes_the_next_round_as_the_saved_one_does(outer_path):
    published = payloads(3, SIZES, 2)
    steps = [outer_step(state, entries(published), SIZES, SPEC) for state in (load(outer_path).state, an_outer().state)]
    assert root_of(steps[0]) == root_of(steps[1])


def test_every_flipped_byte_is_noticed(outer_path):
    good = outer_path.read_bytes()
    tensors_at = 8 + int.from_bytes(good[:8], "little")
    with outer_path.open("r+b", buffering=0) as file:
        # Everything before the tensors, and a sample of them: one bit of each byte.
        for at in (*range(tensors_at), *range(tensors_at, len(good), 5)):
            os.pwrite(file.fileno(), bytes((good[at] ^ 1 << at % 8,)), at)
            with pytest.raises(CheckpointError):
                load(outer_path)
            os.pwrite(file.fileno(), good[at : at + 1], at)
    assert bits(load(outer_path)) == bits(an_outer())


def test_every_cut_and_every_extra_byte_is_noticed(outer_path):
    size = outer_path.stat().st_size
    for end in (size + 1, *range(size - 1, -1, -1)):
        os.truncate(outer_path, end)
        with pytest.raises(CheckpointError, match="damaged or cut short"):
            load(outer_path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"outer-9 is missing"):
        load(tmp_path / "outer-9")


def test_a_folder_is_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointError):
        load(tmp_path)


def test_a_checkpoint_of_another_model_is_refused(outer_path):
    with pytest.raises(CheckpointError, match="fragments '5,3', wanted '3,5'"):
        load_outer(outer_path, (3, 5), root_of)
    with pytest.raises(CheckpointError, match="fragments '5,3', wanted '5,4'"):
        load_outer(outer_path, (5, 4), root_of)


def test_averages_and_outer_states_are_not_taken_for_each_other(tmp_path, outer_path):
    with pytest.raises(CheckpointError, match="kind 'neuroshard-outer-2', wanted 'neuroshard-averages-1'"):
        load_averages(outer_path, 8, v_root_of)


def test_contents_that_do_not_have_the_stored_root_are_refused(outer_path):
    with pytest.raises(CheckpointError, match="its contents have root"):
        load_outer(outer_path, SIZES, lambda state: bytes(32))


def write_averages(path: Path, changed: dict[str, np.ndarray], **metadata: str) -> None:
    """Averages with other tensors or metadata, and a checksum that is right."""
    one = the_averages()
    stated = {"kind": checkpoint.AVERAGES_KIND, "round": "1", "steps": "1", "root": one.root.hex()}
    stated |= metadata
    save_file({"v": one.v, **changed}, path, metadata={**stated, "checksum": checkpoint._checksum(stated)})


@pytest.mark.parametrize(
    "changed",
    [
        {"v": np.zeros(8, dtype=np.int32)},
        {"v": np.zeros(8, dtype=np.float16)},
        {"v": np.zeros((4, 2), dtype=np.float32)},
        {"v": np.zeros(5, dtype=np.float32)},
        {"extra": np.zeros(1, dtype=np.float32)},
    ],
)
def test_other_types_shapes_and_tensors_are_refused(tmp_path, changed):
    write_averages(tmp_path / "averages", {})
    load_averages(tmp_path / "averages", 8, v_root_of)
    write_averages(tmp_path / "averages", changed)
    with pytest.raises(CheckpointError, match="other tensors"):
        load_averages(tmp_path / "averages", 8, v_root_of)


@pytest.mark.parametrize("number", ["", "-1", "1.5", "²", "1" * 21])
@pytest.mark.parametrize("name", ["round", "steps"])
def test_a_round_or_an_age_that_is_no_number_is_refused(tmp_path, number, name):
    write_averages(tmp_path / "averages", {}, **{name: number})
    with pytest.raises(CheckpointError, match="is not a number"):
        load_averages(tmp_path / "averages", 8, v_root_of)


def test_metadata_without_its_checksum_is_refused(tmp_path):
    one = the_averages()
    for metadata in (None, {"kind": checkpoint.AVERAGES_KIND, "round": "1", "steps": "1", "root": one.root.hex()}):
        save_file({"v": one.v}, tmp_path / "averages", metadata=metadata)
        with pytest.raises(CheckpointError, match="checksum"):
            load_averages(tmp_path / "averages", 8, v_root_of)


def test_a_file_larger_than_the_model_is_refused_unread(outer_path):
    header = outer_path.stat().st_size
    with outer_path.open("r+b") as file:
        file.truncate(1 << 40)
    with pytest.raises(CheckpointError, match=f"has {1 << 40} bytes"):
        load(outer_path)
    assert header < checkpoint.HEADER_LIMIT_BYTES


def test_a_failed_write_leaves_the_old_file(tmp_path, outer_path, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "_write", full)
    with pytest.raises(CheckpointError, match="No space left"):
        save_outer(outer_path, SavedOuter(an_outer().state, 8, an_outer().root), SIZES)
    assert load(outer_path).round == 7
    with pytest.raises(CheckpointError, match="cannot write"):
        save_averages(tmp_path / "nowhere" / "averages", the_averages())


def test_two_nodes_with_the_same_state_have_the_same_file(tmp_path, outer_path):
    again = tmp_path / "again"
    save_outer(again, an_outer(), SIZES)
    assert again.read_bytes() == outer_path.read_bytes()


def test_what_a_killed_writer_left_behind_is_overwritten(outer_path):
    partial = outer_path.with_name(outer_path.name + ".partial")
    partial.write_bytes(b"half a file")
    assert load(outer_path).round == 7
    save_outer(outer_path, an_outer(), SIZES)
    assert not partial.exists()


def test_an_outer_state_is_synced_with_its_folder(tmp_path, monkeypatch):
    synced = []
    sync = os.fsync

    def watched(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    save_outer(tmp_path / "outer", an_outer(), SIZES)
    assert synced == [str(tmp_path / "outer.partial"), str(tmp_path)]


@pytest.mark.parametrize("kind", ["outer", "averages"])
def test_every_step_of_writing_what_is_written_once_a_round_is_told(tmp_path, kind):
    steps: list[str] = []
    if kind == "outer":
        save_outer(tmp_path / kind, an_outer(), SIZES, steps.append)
    else:
        save_averages(tmp_path / kind, the_averages(), steps.append)
    assert steps == ["before", "written", "synced", "renamed", "durable"]


# ---- Second moments that outlive a round


def v_root_of(v: np.ndarray) -> bytes:
    return sha256(v.tobytes()).digest()


def the_averages() -> Averages:
    v = np.linspace(0, 1, 8, dtype=np.float32)
    return Averages(v, 10**12, 5, v_root_of(v))


def test_averages_come_back_as_saved(tmp_path):
    save_averages(tmp_path / "averages", the_averages())
    back = load_averages(tmp_path / "averages", 8, v_root_of)
    assert back.v.tobytes() == the_averages().v.tobytes() and back.v.dtype == np.float32
    assert (back.steps, back.round, back.root) == (10**12, 5, the_averages().root)


def test_averages_that_are_damaged_cut_or_of_another_model_are_refused(tmp_path):
    path = tmp_path / "averages"
    save_averages(path, the_averages())
    good = path.read_bytes()
    for parameters in (7, 9):
        with pytest.raises(CheckpointError, match="other tensors"):
            load_averages(path, parameters, v_root_of)
    for at in range(len(good)):
        path.write_bytes(good[:at] + bytes((good[at] ^ 1 << at % 8,)) + good[at + 1 :])
        with pytest.raises(CheckpointError):
            load_averages(path, 8, v_root_of)
        path.write_bytes(good[:at])
        with pytest.raises(CheckpointError):
            load_averages(path, 8, v_root_of)
