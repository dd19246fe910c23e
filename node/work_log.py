"""The round in training, on disk: the last two segments' states, and one line per finished segment.

A segment's line is written before its state, and the state before the node hears of it. So after a kill the log may be
one line ahead of the states, which is cut off: training that segment again gives the same bits. Two files take the
states in turn: whatever happens while one is overwritten, the other holds the segment before.
Only the trainer writes here.
"""

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from node.errors import TrainerError, disk_advice
from node.failpoints import moments_of, reach
from node.trainer_messages import SegmentDone, from_line, to_line
from training.checkpoint import InnerState, load_inner, save_inner
from training.errors import CheckpointError

PATIENCE_SECONDS = 20
# Locks are let go of by the end of the process.
_FOLDERS_HELD: dict[Path, int] = {}
RootOf = Callable[[NDArray[Any], NDArray[Any], NDArray[Any]], bytes]


class WorkLog:
    """Segments of one round under `folder`. `root_of` hashes (θ, m, v). Raises TrainerError if the disk refuses."""

    def __init__(self, folder: Path, round_number: int, parameters: int, root_of: RootOf) -> None:
        self._folder = folder
        self._log_path = folder / f"round-{round_number}.jsonl"
        self._round = round_number
        self._parameters = parameters
        self._root_of = root_of
        try:
            _keep_others_out(folder)
            reach("work.begin")
            # The single file of states is what earlier versions kept.
            for old in [*folder.glob("round-*.jsonl"), folder / "segment.safetensors"]:
                if old != self._log_path:
                    old.unlink(missing_ok=True)
        except OSError as error:
            raise _refused(folder, error) from error

    def resume(self) -> tuple[InnerState | None, list[SegmentDone]]:
        """The last state and the segments up to it; (None, []) if the round begins or its files are of no use."""
        try:
            segments = self._read_log()
            state = self._newest_state(segments)
            if state is None:
                self._log_path.unlink(missing_ok=True)
                return None, []
            known = segments[: state.segment + 1]
            self._rewrite(known)
        except OSError as error:
            raise _refused(self._log_path, error) from error
        return state, known

    def record(self, segment: SegmentDone, state: InnerState) -> None:
        """Keep a finished segment. Raises TrainerError or CheckpointError."""
        try:
            reach("work.line.before")
            with self._log_path.open("ab") as log:
                log.write(to_line(segment))
            reach("work.line.written")
        except OSError as error:
            raise _refused(self._log_path, error) from error
        save_inner(self._state_path(segment.segment), state, moments_of("work.state"))

    def _state_path(self, segment: int) -> Path:
        return self._folder / f"segment-{segment % 2}.safetensors"

    def _newest_state(self, segments: list[SegmentDone]) -> InnerState | None:
        """The sound state of the latest of these segments that has one."""
        newest: InnerState | None = None
        for path in (self._state_path(0), self._state_path(1)):
            try:
                state = load_inner(path, self._parameters, self._root_of)
            except CheckpointError:
                continue
            is_ours = state.round == self._round and state.segment < len(segments)
            if is_ours and segments[state.segment].state_after == state.root:
                newest = state if newest is None or state.segment > newest.segment else newest
        return newest

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
