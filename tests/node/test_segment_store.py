"""States between segments on disk: found by root and by boundary, removed when nothing wants them, damage noticed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.audit_messages import StateParts
from chain.crypto.hashing import ZERO
from node import segment_store
from node.blob_source import FileSource
from node.errors import SegmentStoreError
from node.failpoints import arm
from node.segment_store import Boundary, SegmentStore, Vectors
from tests.node.processes import ROOT

SIZE = 300_000  # more than one page


def state_at(round_number: int, number: int) -> Vectors:
    generator = np.random.default_rng(1_000 * round_number + number)
    theta, m, v = (generator.standard_normal(SIZE).astype(np.float32) for _ in range(3))
    return Vectors(theta, np.zeros(SIZE, np.float32) if number == 0 else m, v)


def put(store: SegmentStore, round_number: int, *numbers: int) -> list[Boundary]:
    done = []
    for number in numbers:
        state = state_at(round_number, number)
        done.append(Boundary(round_number, number, state.parts(), 70))
        store.put(done[-1], state)
    return done


@pytest.fixture
def store(tmp_path: Path) -> SegmentStore:
    return SegmentStore(tmp_path / "segments")


def roots(parts: StateParts) -> list[bytes]:
    return [parts.theta_root, parts.m_root, parts.v_root]


def blobs(store: SegmentStore) -> set[str]:
    return {path.name for path in store.folder.iterdir() if path.suffix != ".jsonl" and path.name != "lock"}


# ---- What is kept


def test_every_part_is_served_under_its_pages_root_and_zeros_are_no_file(store: SegmentStore) -> None:
    [start, end] = put(store, 4, 0, 1)
    source, after = FileSource(store.find), state_at(4, 1)
    for root, vector in zip(roots(end.parts), (after.theta, after.m, after.v), strict=True):
        assert source.size(root) == 4 * SIZE
        assert source.read(root, 1 << 20, 1 << 20) == vector.astype("<f4").tobytes()[1 << 20 :]
    # Where a round begins only the second moments are ours: the weights are the model's.
    assert start.parts.m_root == ZERO and store.find(start.parts.theta_root) is None
    assert source.size(start.parts.v_root) == 4 * SIZE and store.find(ZERO) is None


def test_parts_are_known_by_round_and_boundary_and_nothing_else_is(store: SegmentStore) -> None:
    assert store.parts(1, 0) is None and store.find(bytes(range(32))) is None
    first, second = put(store, 1, 0, 1), put(store, 2, 1)
    again = SegmentStore(store.folder)
    assert [again.parts(1, 0), again.parts(1, 1), again.parts(2, 1)] == [each.parts for each in [*first, *second]]
    assert again.parts(1, 2) is None and again.parts(2, 0) is None and again.parts(3, 0) is None


def test_a_state_that_two_rounds_share_lies_here_once(store: SegmentStore) -> None:
    [end] = put(store, 1, 3)
    before = {path.name: path.stat().st_ino for path in store.folder.iterdir() if path.suffix != ".jsonl"}
    store.put(Boundary(2, 0, end.parts, 100), state_at(1, 3))
    assert {path.name: path.stat().st_ino for path in store.folder.iterdir() if path.suffix != ".jsonl"} == before
    store.prune({2: None})
    assert blobs(store) == {root.hex() for root in roots(end.parts)}


def test_a_state_comes_back_with_its_age_and_to_the_bit(store: SegmentStore) -> None:
    put(store, 1, 0, 1)
    boundary = store.boundaries(1)[1]
    found, expected = store.load(boundary, SIZE), state_at(1, 1)
    assert found is not None and boundary.v_steps == 70
    assert found.theta.tobytes() == expected.theta.tobytes() and found.v.tobytes() == expected.v.tobytes()
    assert store.load(boundary, SIZE - 1) is None


@pytest.mark.parametrize("part", [0, 1, 2])
@pytest.mark.parametrize("damage", ["flipped", "cut", "emptied", "removed"])
def test_a_damaged_part_is_given_to_nobody_and_written_anew_when_it_comes_again(
    store: SegmentStore, part: int, damage: str
) -> None:
    [end] = put(store, 1, 1)
    root = roots(end.parts)[part]
    path = store.folder / root.hex()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    damaged = {"flipped": content, "cut": content[:-1], "emptied": b""}
    path.unlink() if damage == "removed" else path.write_bytes(damaged[damage])
    assert FileSource(store.find).size(root) is None and store.parts(1, 1) == end.parts
    assert store.load(end, SIZE) is None
    put(store, 1, 1)
    assert FileSource(store.find).size(root) == 4 * SIZE and store.load(end, SIZE) is not None


def test_a_round_that_begins_anew_is_known_by_its_new_states_only(store: SegmentStore) -> None:
    put(store, 1, 0, 1, 2)
    store.begin(1)
    assert store.boundaries(1) == {}
    [other] = put(store, 1, 1)
    assert set(store.boundaries(1)) == {1} and store.parts(1, 1) == other.parts


def test_damaged_lines_are_passed_over_and_the_last_of_a_boundary_counts(store: SegmentStore) -> None:
    [first, second] = put(store, 1, 1, 2)
    index = store.folder / "round-1.jsonl"
    lines = index.read_bytes().splitlines(keepends=True)
    index.write_bytes(
        lines[0] + b"\xff{]\n" + b'{"boundary": -1}\n' + b"[" * 100_000 + b"\n" + lines[1] + lines[1][:40]
    )
    assert store.boundaries(1) == {1: first, 2: second}
    other = json.loads(lines[0])
    other["boundary"] = 2
    index.write_bytes(b"".join(lines) + json.dumps(other).encode() + b"\n")
    assert store.parts(1, 2) == first.parts


@given(st.binary(max_size=300))
def test_no_line_of_an_index_raises(line: bytes) -> None:
    segment_store._boundary(1, line)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["boundary", "v_steps", "theta", "m", "v"]), inner, max_size=5)
        ),
        max_leaves=8,
    )
)
def test_no_json_of_an_index_raises(content: object) -> None:
    segment_store._boundary(1, json.dumps(content).encode())


# ---- What goes


def test_only_what_is_wanted_stays(store: SegmentStore) -> None:
    old, drawn, training = put(store, 1, 0, 1, 2), put(store, 2, 0, 1, 2, 3), put(store, 3, 0, 1)
    files, size = store.prune({2: {1, 2}, 3: None})
    wanted = [*drawn[1:3], *training]
    assert blobs(store) == {root.hex() for each in wanted for root in roots(each.parts)[each.number == 0 :]} - {
        ZERO.hex()
    }
    assert (files, size) == (7 + 4, (7 + 4) * 4 * SIZE)
    # What a kept round was made of is still known, though not to be had.
    assert store.parts(1, 1) is None and store.parts(2, 3) == drawn[3].parts
    assert store.find(drawn[3].parts.theta_root) is None and store.find(old[1].parts.theta_root) is None
    assert store.prune({2: {1, 2}, 3: None}) == (0, 0)


def test_what_two_rounds_share_stays_while_one_of_them_wants_it(store: SegmentStore) -> None:
    [end] = put(store, 1, 3)
    store.put(Boundary(2, 0, end.parts, 100), state_at(1, 3))
    store.prune({2: {0}})
    assert store.find(end.parts.v_root) is not None and store.parts(1, 3) is None


def test_a_round_that_began_after_the_look_at_the_ledger_stays_whole(store: SegmentStore) -> None:
    put(store, 5, 1), put(store, 6, 1, 2)
    store.prune({5: None})
    assert store.boundaries(6).keys() == {1, 2} and len(blobs(store)) == 9


def test_drafts_of_a_killed_trainer_and_strange_files_go_and_folders_stay(store: SegmentStore) -> None:
    put(store, 1, 1)
    (store.folder / (bytes(range(32)).hex() + ".partial")).write_bytes(b"half")
    (store.folder / "round-x.jsonl").write_bytes(b"{}\n")
    (store.folder / "folder").mkdir()
    assert store.prune({1: None}) == (1, 4)
    assert len(blobs(store) - {"folder"}) == 3 and (store.folder / "folder").is_dir()


def test_what_the_other_rounds_take_is_counted(store: SegmentStore) -> None:
    assert store.bytes_besides(1) == 0
    put(store, 1, 0, 1), put(store, 2, 1)
    assert (store.bytes_besides(1), store.bytes_besides(2), store.bytes_besides(3)) == tuple(
        4 * SIZE * files for files in (3, 4, 7)
    )


def test_nothing_is_removed_while_the_trainer_writes(store: SegmentStore) -> None:
    """A state may be noted for the next round while its files are being removed for the last one."""
    put(store, 1, 1)
    pruning = threading.Thread(target=store.prune, args=({1: set()},))
    with store._locked():
        pruning.start()
        time.sleep(0.05)
        assert len(blobs(store)) == 3
    pruning.join()
    assert blobs(store) == set()


# ---- Disks and deaths


@pytest.mark.parametrize(
    "place",
    ["line.before", "line.written", "part.before", "part.written", "part.renamed", "prune.before", "prune.done"],
)
def test_a_disk_that_fails_is_told_in_words_and_costs_nothing_that_was_there(store: SegmentStore, place: str) -> None:
    kept = put(store, 1, 1)
    arm(f"segments.{place}=enospc")
    try:
        with pytest.raises(SegmentStoreError, match="the disk is full: free some space"):
            store.prune({1: None}) if place.startswith("prune") else put(store, 1, 2)
    finally:
        arm(None)
    assert store.load(kept[0], SIZE) is not None and not list(store.folder.glob("*.partial"))
    [second] = put(store, 1, 2)
    store.prune({1: None})
    assert store.load(kept[0], SIZE) is not None and store.load(second, SIZE) is not None


def test_a_killed_writer_leaves_all_that_it_had_finished(tmp_path: Path) -> None:
    program = (
        "import itertools, sys; from pathlib import Path; from tests.node.test_segment_store import put;"
        "from node.segment_store import SegmentStore\n"
        "store = SegmentStore(Path(sys.argv[1]))\n"
        "for n in itertools.count(1):\n"
        "    put(store, 1, n); print(n, flush=True)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "segments")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for _ in range(5):
            last = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
    store = SegmentStore(tmp_path / "segments")
    known = store.boundaries(1)
    assert last == 5 and all(store.load(known[number], SIZE) is not None for number in range(1, 6))
    # And its lock is free.
    store.prune({1: {5}})
    assert blobs(store) == {root.hex() for root in roots(known[5].parts)}


def test_only_what_an_audit_has_drawn_is_synced_once(store: SegmentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the disk would get every state at once, though most are gone within half a minute."""
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(Path(f"/proc/self/fd/{number}").resolve().name))
    done = put(store, 1, 0, 1, 2, 3)
    put(store, 2, 1)
    store.prune({1: None, 2: None})
    assert synced == []
    store.prune({1: {1, 2}, 2: None})
    files = {root.hex() for each in done[1:3] for root in roots(each.parts)} | {"round-1.jsonl"}
    assert set(synced[:-1]) == files and len(synced) == len(files) + 1 and synced[-1] == store.folder.name
    store.prune({1: {1, 2}, 2: None})
    assert len(synced) == len(files) + 1
