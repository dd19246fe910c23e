"""The round in training, on disk: the last segment's state, one line per finished segment. Only the trainer writes.

A segment's line is written before its state, and the state before the node hears of it. So after a kill the log may be
one line ahead of the state, which is cut off: training that segment again gives the same bits.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from node.errors import TrainerError
from node.trainer_messages import SegmentDone, from_line, to_line
from training.checkpoint import InnerState, load_inner, save_inner
from training.errors import CheckpointError

RootOf = Callable[[NDArray[Any], NDArray[Any], NDArray[Any]], bytes]


class WorkLog:
    """Segments of one round under `folder`. `root_of` hashes (θ, m, v)."""

    def __init__(self, folder: Path, round_number: int, parameters: int, root_of: RootOf) -> None:
        self._state_path = folder / "segment.safetensors"
        self._log_path = folder / f"round-{round_number}.jsonl"
        self._round = round_number
        self._parameters = parameters
        self._root_of = root_of
        for old in folder.glob("round-*.jsonl"):
            if old != self._log_path:
                old.unlink()

    def resume(self) -> tuple[InnerState | None, list[SegmentDone]]:
        """The last state and the segments up to it; (None, []) if the round begins or its files are of no use."""
        try:
            state = load_inner(self._state_path, self._parameters, self._root_of)
        except CheckpointError:
            return self._nothing()
        segments = self._read_log()
        known = segments[: state.segment + 1]
        if state.round != self._round or len(known) != state.segment + 1 or known[-1].state_after != state.root:
            return self._nothing()
        self._rewrite(known)
        return state, known

    def record(self, segment: SegmentDone, state: InnerState) -> None:
        with self._log_path.open("ab") as log:
            log.write(to_line(segment))
        save_inner(self._state_path, state, durable=False)

    def _nothing(self) -> tuple[None, list[SegmentDone]]:
        self._log_path.unlink(missing_ok=True)
        return None, []

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
        draft.write_bytes(b"".join(map(to_line, segments)))
        draft.replace(self._log_path)
