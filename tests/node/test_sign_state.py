"""A validator never votes against itself, whatever happens to its machine."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chain.crypto.hashing import ZERO
from consensus.messages import FINALIZE, NOTARIZE, NULLIFY
from consensus.state import Own
from node.sign_state import HEAD_BYTES, RECORD_BYTES, SignState, SignStateError, VoteRefused, owner_of

A, B = b"a" * 32, b"b" * 32
OWNER = owner_of(ZERO, bytes(48))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sign_state"


def votes_then_closes(path: Path, *votes: tuple[int, int, int, bytes]) -> None:
    state = SignState.open(path, OWNER)
    for vote in votes:
        state.record(*vote)
    state.close()


def reopened(path: Path, epoch: int = 1) -> dict[int, Own]:
    state = SignState.open(path, OWNER)
    own = state.own_votes(epoch)
    state.close()
    return own


# --- what may be voted --------------------------------------------------------------------------------------------

REFUSED = [
    ((NOTARIZE, A), (NOTARIZE, B)),
    ((FINALIZE, A), (FINALIZE, B)),
    ((NULLIFY, ZERO), (FINALIZE, A)),
    ((FINALIZE, A), (NULLIFY, ZERO)),
]
ALLOWED = [
    ((NOTARIZE, A), (NOTARIZE, A)),
    ((FINALIZE, A), (FINALIZE, A)),
    ((NULLIFY, ZERO), (NULLIFY, ZERO)),
    ((NOTARIZE, A), (NULLIFY, ZERO)),
    ((NOTARIZE, A), (FINALIZE, A)),
    ((NOTARIZE, A), (FINALIZE, B)),
]


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize(("first", "second"), REFUSED)
def test_a_contradicting_vote_is_refused_also_after_a_restart(path, first, second, restart):
    state = SignState.open(path, OWNER)
    state.record(first[0], 1, 5, first[1])
    if restart:
        state.close()
        state = SignState.open(path, OWNER)
    with pytest.raises(VoteRefused):
        state.record(second[0], 1, 5, second[1])
    state.record(second[0], 1, 6, second[1])  # Another view or epoch is another matter.
    state.record(second[0], 2, 5, second[1])
    state.close()


@pytest.mark.parametrize(("first", "second"), ALLOWED)
def test_the_same_vote_again_and_notarize_beside_another_kind_are_allowed(path, first, second):
    votes_then_closes(path, (first[0], 1, 5, first[1]), (second[0], 1, 5, second[1]))
    expected = Own().with_vote(*first).with_vote(*second)
    assert reopened(path) == {5: expected}


def test_signing_again_writes_nothing(path):
    votes_then_closes(path, (NOTARIZE, 1, 5, A))
    size = path.stat().st_size
    votes_then_closes(path, (NOTARIZE, 1, 5, A))
    assert path.stat().st_size == size == HEAD_BYTES + RECORD_BYTES


def test_a_refused_vote_leaves_no_trace(path):
    state = SignState.open(path, OWNER)
    state.record(FINALIZE, 1, 5, A)
    with pytest.raises(VoteRefused):
        state.record(NULLIFY, 1, 5, ZERO)
    assert state.own_votes(1) == {5: Own(finalized=A)}
    state.close()
    assert reopened(path) == {5: Own(finalized=A)}


def test_votes_are_told_by_epoch(path):
    votes_then_closes(path, (NOTARIZE, 1, 5, A), (NULLIFY, 2, 5, ZERO))
    assert reopened(path, 1) == {5: Own(notarized=A)}
    assert reopened(path, 2) == {5: Own(nullified=True)}
    assert reopened(path, 3) == {}


# --- durability ---------------------------------------------------------------------------------------------------


def test_a_vote_is_synced_before_it_may_leave(path, monkeypatch):
    calls = []
    write, sync = os.write, os.fdatasync
    monkeypatch.setattr("os.write", lambda *given: calls.append("write") or write(*given))
    monkeypatch.setattr("os.fdatasync", lambda *given: calls.append("sync") or sync(*given))
    state = SignState.open(path, OWNER)
    calls.clear()
    state.record(NOTARIZE, 1, 5, A)
    assert calls == ["write", "sync"]
    state.close()


@pytest.mark.parametrize("failing", ["write", "fdatasync"])
def test_after_a_failed_write_nothing_is_voted_until_a_restart(path, monkeypatch, failing):
    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space left")

    state = SignState.open(path, OWNER)
    with monkeypatch.context() as patch:
        patch.setattr(f"os.{failing}", fail)
        with pytest.raises(SignStateError):
            state.record(NOTARIZE, 1, 5, A)
    with pytest.raises(SignStateError):
        state.record(NOTARIZE, 1, 6, A)
    state.close()
    votes_then_closes(path, (NOTARIZE, 1, 6, A))


def test_a_short_write_is_a_failed_write_and_its_rest_is_cut_off_at_the_restart(path, monkeypatch):
    write = os.write
    state = SignState.open(path, OWNER)
    state.record(NOTARIZE, 1, 4, A)
    with monkeypatch.context() as patch:
        patch.setattr("os.write", lambda file, content: write(file, content[:20]))
        with pytest.raises(SignStateError):
            state.record(NOTARIZE, 1, 5, A)
    state.close()
    votes_then_closes(path, (NOTARIZE, 1, 6, B))
    assert reopened(path) == {4: Own(notarized=A), 6: Own(notarized=B)}


def test_a_closed_record_refuses_to_vote_and_to_prune(path):
    state = SignState.open(path, OWNER)
    state.close()
    with pytest.raises(SignStateError):
        state.record(NOTARIZE, 1, 5, A)
    with pytest.raises(SignStateError):
        state.prune(1, 5)


THREE = [(NOTARIZE, 1, 5, A), (FINALIZE, 1, 5, A), (NULLIFY, 1, 6, ZERO)]


@pytest.mark.parametrize("cut", range(1, RECORD_BYTES + 1))
def test_a_last_record_cut_short_is_dropped(path, cut):
    votes_then_closes(path, *THREE)
    path.write_bytes(path.read_bytes()[:-cut])
    assert reopened(path) == {5: Own(A, A)}
    votes_then_closes(path, (FINALIZE, 1, 6, B))
    assert reopened(path) == {5: Own(A, A), 6: Own(finalized=B)}


@pytest.mark.parametrize("kept", [0, 1, 30, RECORD_BYTES - 1])
def test_a_last_record_whose_end_is_zeros_never_reached_the_disk_and_is_dropped(path, kept):
    votes_then_closes(path, *THREE)
    content = path.read_bytes()
    assert content[-1] != 0
    last = content[-RECORD_BYTES:]
    path.write_bytes(content[:-RECORD_BYTES] + last[:kept] + bytes(RECORD_BYTES - kept))
    assert reopened(path) == {5: Own(A, A)}


def test_every_other_damage_is_refused_by_name(path):
    votes_then_closes(path, *THREE)
    content = path.read_bytes()
    for place in range(len(content) - 1):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(SignStateError):
            SignState.open(path, OWNER)
    path.write_bytes(content)
    assert len(reopened(path)) == 2


def test_a_zeroed_record_in_the_middle_is_damage(path):
    votes_then_closes(path, *THREE)
    content = path.read_bytes()
    start = HEAD_BYTES + RECORD_BYTES
    path.write_bytes(content[:start] + bytes(RECORD_BYTES) + content[start + RECORD_BYTES :])
    with pytest.raises(SignStateError):
        SignState.open(path, OWNER)
    # Also where a cut record follows: two torn records cannot come from one crash.
    path.write_bytes(content[:start] + bytes(RECORD_BYTES) + content[start + RECORD_BYTES : -5])
    with pytest.raises(SignStateError):
        SignState.open(path, OWNER)


def test_records_that_were_removed_from_the_middle_moved_or_doubled_are_damage(path):
    votes_then_closes(path, *THREE)
    content = path.read_bytes()
    one, two, three = (content[HEAD_BYTES + RECORD_BYTES * n :][:RECORD_BYTES] for n in range(3))
    for body in (one + three, two + one + three, one + one, one + two + three + three):
        path.write_bytes(content[:HEAD_BYTES] + body)
        with pytest.raises(SignStateError):
            SignState.open(path, OWNER)


@pytest.mark.parametrize("size", [0, 1, HEAD_BYTES - 1])
def test_a_file_without_a_whole_head_is_damage(path, size):
    votes_then_closes(path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(SignStateError):
        SignState.open(path, OWNER)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.binary(max_size=300))
def test_any_other_bytes_are_refused_by_name(tmp_path, content):
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(SignStateError):
        SignState.open(path, OWNER)


def test_the_votes_of_another_key_or_chain_are_not_taken_for_ours(path):
    votes_then_closes(path, *THREE)
    for other in (owner_of(A, bytes(48)), owner_of(ZERO, b"k" * 48)):
        with pytest.raises(SignStateError):
            SignState.open(path, other)


# --- pruning ------------------------------------------------------------------------------------------------------


def test_nothing_is_voted_at_or_below_the_floor_also_after_a_restart(path):
    state = SignState.open(path, OWNER)
    for vote in THREE:
        state.record(*vote)
    state.prune(1, 5)
    for _ in range(2):
        for kind, epoch, view, block in ((NOTARIZE, 1, 5, A), (NULLIFY, 1, 4, ZERO), (NOTARIZE, 0, 9, A)):
            with pytest.raises(VoteRefused):
                state.record(kind, epoch, view, block)
        with pytest.raises(VoteRefused):
            state.record(FINALIZE, 1, 6, A)  # What lies above the floor still binds.
        assert state.own_votes(1) == {6: Own(nullified=True)}
        state.close()
        state = SignState.open(path, OWNER)
    state.record(NOTARIZE, 1, 7, A)
    state.record(NOTARIZE, 2, 1, A)
    state.close()
    assert path.stat().st_size == HEAD_BYTES + 3 * RECORD_BYTES


def test_the_floor_never_sinks(path):
    state = SignState.open(path, OWNER)
    state.prune(2, 0)
    state.prune(1, 9)
    with pytest.raises(VoteRefused):
        state.record(NOTARIZE, 1, 10, A)
    state.close()


def test_a_pruning_that_fails_leaves_the_old_file_whole_and_stops_voting(path, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "broken disk")

    state = SignState.open(path, OWNER)
    for vote in THREE:
        state.record(*vote)
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fail)
        with pytest.raises(SignStateError):
            state.prune(1, 5)
    with pytest.raises(SignStateError):
        state.record(NOTARIZE, 1, 9, A)
    state.close()
    assert set(reopened(path)) == {5, 6}


def test_a_new_file_left_by_a_crash_is_no_obstacle(path):
    votes_then_closes(path, *THREE)
    path.with_name("sign_state.new").write_bytes(b"half a file")
    state = SignState.open(path, OWNER)
    state.prune(1, 5)
    state.close()
    assert set(reopened(path)) == {6}
    assert not path.with_name("sign_state.new").exists()


# --- one file, one process ----------------------------------------------------------------------------------------


def test_nobody_else_may_read_or_write_the_file(path):
    before = os.umask(0)
    try:
        votes_then_closes(path, *THREE)
        state = SignState.open(path, OWNER)
        state.prune(1, 5)
        state.close()
    finally:
        os.umask(before)
    assert [each.stat().st_mode & 0o777 for each in sorted(path.parent.iterdir())] == [0o600, 0o600]


def test_a_second_process_cannot_use_the_file_also_after_pruning(path):
    attempt = (
        "import sys; from pathlib import Path; from node.sign_state import SignState, SignStateError\n"
        "try: SignState.open(Path(sys.argv[1]), bytes.fromhex(sys.argv[2]))\n"
        "except SignStateError as error: sys.exit(7)\n"
    )
    command = [sys.executable, "-c", attempt, str(path), OWNER.hex()]
    state = SignState.open(path, OWNER)
    state.prune(1, 1)
    assert subprocess.run(command, check=False).returncode == 7
    with pytest.raises(SignStateError):
        SignState.open(path, OWNER)
    state.close()
    assert subprocess.run(command, check=False).returncode == 0


# --- any history --------------------------------------------------------------------------------------------------

steps = st.one_of(
    st.tuples(st.sampled_from([NOTARIZE, FINALIZE]), st.integers(1, 3), st.sampled_from([A, B])),
    st.tuples(st.just(NULLIFY), st.integers(1, 3), st.just(ZERO)),
    st.tuples(st.just("prune"), st.integers(1, 3), st.just(ZERO)),
    st.tuples(st.just("restart"), st.just(1), st.just(ZERO)),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(st.lists(steps, max_size=12), st.integers(0, 10**9))
def test_no_history_of_votes_prunings_and_restarts_lets_a_validator_contradict_itself(tmp_path, history, number):
    path = tmp_path / f"history {number} {len(list(tmp_path.iterdir()))}"
    state = SignState.open(path, OWNER)
    voted: dict[int, set[tuple[int, bytes]]] = {1: set(), 2: set(), 3: set()}
    for what, view, block in history:
        if what == "restart":
            state.close()
            state = SignState.open(path, OWNER)
        elif what == "prune":
            state.prune(1, view)
        else:
            try:
                state.record(what, 1, view, block)
                voted[view].add((what, block))
            except VoteRefused:
                pass
    state.close()
    for votes in voted.values():
        kinds = [kind for kind, _ in votes]
        assert kinds.count(NOTARIZE) <= 1
        assert kinds.count(FINALIZE) + kinds.count(NULLIFY) <= 1
