"""A child that replays, in the numerics of its environment, the segments it reads from its input.

A process of its own, since torch reads its switches once. `Auditor` is the side of the parent.
"""

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.calibration.numerics import apply_environment, environment
from bench.calibration.trajectory import Size, Start
from training.inner import InnerState
from training.replay import replay_segment

MODULE = "bench.calibration.auditor"


class Auditor:
    """A child of a setting. After every `ask`, `answer` must be called before the next."""

    def __init__(self, setting: str, size: str, data: Path) -> None:
        self.setting = setting
        command = [sys.executable, "-m", MODULE, size, str(data)]
        pipe = subprocess.PIPE
        self._child = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment(setting))

    def ask(self, start: Start) -> None:
        """Have the segment replayed."""
        assert self._child.stdin is not None
        pickle.dump(start, self._child.stdin)
        self._child.stdin.flush()

    def answer(self) -> InnerState:
        """Where the replay ended."""
        assert self._child.stdout is not None
        state: Any = pickle.load(self._child.stdout)
        assert isinstance(state, InnerState)
        return state

    def close(self) -> None:
        """Let the child end."""
        self._child.communicate()


def main(arguments: list[str]) -> None:
    apply_environment()
    size = Size.load(arguments[0], Path(arguments[1]))
    loop = size.loop()
    while True:
        try:
            start: Start = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        draw = size.draw(start.trajectory, start.round_number)
        pickle.dump(replay_segment(loop, start.before, draw, start.round_number, start.steps), sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
