"""The round in training, on disk: one line per finished segment here, and the states in `node.segment_store`.

A segment's line is written before its state, and the state before the node hears of it. So after a kill the log may be
one line ahead of the states, which is cut off: training that segment again gives the same bits. Where the newest states
are lost or damaged, the round goes on from the newest sound one.
Only the trainer writes here.
"""

import fcntl
import os
import time
from pathlib import Path
from typing import NamedTuple

from chain import block
from chain.audit_messages import StateParts
from node.errors import TrainerError, disk_advice
from node.failpoints import reach
from node.segment_store import Boundary, SegmentStore, Vectors
from node.trainer_messages import SegmentDone, from_line, to_line

PATIENCE_SECONDS = 20
# Locks are let go of by the end of the process.
_FOLDERS_HELD: dict[Path, int] = {}


class Resumed(NamedTuple):
    """A state at the end of a segment, its segments, and the age of the second moments when the round began."""

    state: Vectors
    v_steps: int
    segments: list[SegmentDone]


def state_hash(parts: StateParts) -> bytes:
    """What proofs call a state."""
    return block.state_hash(parts.theta_root, parts.m_root, parts.v_root)


class WorkLog:
    """Segments of one round under `folder`. Raises TrainerError if the disk refuses."""

    def __init__(self, folder: Path, round_number: int, parameters: int, states: SegmentStore) -> None:
        self._folder = folder
        self._log_path = folder / f"round-{round_number}.jsonl"
        self._round = round_number
        self._parameters = parameters
        self._states = states
        try:
            _keep_others_out(folder)
            reach("work.begin")
            # The files of states are what earlier versions kept here.
            for old in [*folder.glob("round-*.jsonl"), *folder.glob("segment*.safetensors")]:
                if old != self._log_path:
                    old.unlink(missing_ok=True)
        except OSError as error:
            raise _refused(folder, error) from error

    def resume(self) -> Resumed | None:
        """The newest state and the segments up to it; None if the round begins or its files are of no use."""
        try:
            segments = self._read_log()
            found = self._newest_state(segments)
            if found is None:
                self._log_path.unlink(missing_ok=True)
                self._states.begin(self._round)
                return None
            self._rewrite(found.segments)
        except OSError as error:
            raise _refused(self._log_path, error) from error
        return found

    def record(self, segment: SegmentDone, boundary: Boundary, state: Vectors) -> None:
        """Keep a finished segment. Raises TrainerError or SegmentStoreError."""
        try:
            reach("work.line.before")
            with self._log_path.open("ab") as log:
                log.write(to_line(segment))
            reach("work.line.written")
        except OSError as error:
            raise _refused(self._log_path, error) from error
        self._states.put(boundary, state)

    def _newest_state(self, segments: list[SegmentDone]) -> Resumed | None:
        """The sound state of the latest of these segments that has one."""
        known = self._states.boundaries(self._round)
        for number in range(len(segments), 0, -1):
            boundary = known.get(number)
            if boundary is None or state_hash(boundary.parts) != segments[number - 1].state_after:
                continue
            if (state := self._states.load(boundary, self._parameters)) is not None:
                return Resumed(state, boundary.v_steps, segments[:number])
        return None

    def _read_log(self) -> list[SegmentDone]:
        segments: list[SegmentDone] = []
        if self._log_path.exists():
            for line in self._log_path.read_bytes().splitlines():
                try:
                    message = from_line(line)
                except TrainerError:  # a torn last line ends what is known
                    break
                if not isinstance(message, SegmentDone) or message.segment != len(segments):
                    break
                segments.append(message)
        return segments

    def _rewrite(self, segments: list[SegmentDone]) -> None:
        draft = self._log_path.with_suffix(".partial")
        reach("work.resume.before")
        draft.write_bytes(b"".join(map(to_line, segments)))
        reach("work.resume.written")
        draft.replace(self._log_path)
        reach("work.resume.renamed")


def _keep_others_out(folder: Path) -> None:
    """Hold the folder until this process ends. After a kill of the node its trainer lives on until its next step."""
    if folder in _FOLDERS_HELD:
        return
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            os.close(descriptor)
            raise TrainerError(
                f"the trainer of an earlier start still writes to {folder} after {PATIENCE_SECONDS} s: "
                "it ends after its step, or end the process node.trainer_main yourself"
            ) from None
        _FOLDERS_HELD[folder] = descriptor
        return


def _refused(path: Path, error: OSError) -> TrainerError:
    return TrainerError(f"cannot use {error.filename or path}: {disk_advice(error)}")
