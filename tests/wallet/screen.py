"""A person at a terminal: a real program in a real pseudo-terminal, and the screen that this person sees.

A thread plays the terminal: it draws what comes at once, and answers at once when the program asks for the cursor.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

import pexpect
import pyte

from tests.node.processes import hear_ctrl_c

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 60.0
ENTER, TAB, CTRL_C, CTRL_D, CLEAR = "\r", "\t", "\x03", "\x04", "\x0c"
UP, DOWN, BACKSPACE = "\x1b[A", "\x1b[B", "\x7f"


class _Terminal(pyte.HistoryScreen):
    """A screen that answers when the program asks where the cursor is, as terminals do."""

    def __init__(self, columns: int, lines: int, answer: Callable[[bytes], object]) -> None:
        self.answer = answer
        super().__init__(columns, lines, history=10_000)

    def write_process_input(self, data: str) -> None:
        self.answer(data.encode())


class Screen:
    """One program on one terminal."""

    def __init__(
        self, command: list[str], *, columns: int = 120, lines: int = 40, environment: Mapping[str, str] | None = None
    ) -> None:
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("NEUROSHARD", "NO_COLOR", "COLUMNS", "LINES"))
        }
        self.child = pexpect.spawn(
            command[0],
            command[1:],
            cwd=str(ROOT),
            dimensions=(lines, columns),
            env={**clean, "TERM": "xterm-256color", "PYTHONUNBUFFERED": "1", **(environment or {})},  # type: ignore[arg-type]
            timeout=PATIENCE_SECONDS,
            preexec_fn=hear_ctrl_c,
        )
        self.child.delaybeforesend = None
        self.raw = b""  # all that the program has written
        self.terminal = _Terminal(columns, lines, self.child.send)
        self._stream = pyte.ByteStream(self.terminal)
        self._lock = threading.Lock()
        self._drawing = threading.Thread(target=self._draw, daemon=True)
        self._drawing.start()

    @classmethod
    def of_wallet(cls, home: Path, *arguments: str, **how: object) -> Self:
        """`neuroshard wallet` on a data directory."""
        command = [sys.executable, "-m", "node", "wallet", "--data-dir", str(home), *arguments]
        return cls(command, **how)  # type: ignore[arg-type]

    def _draw(self) -> None:
        while True:
            try:
                written = self.child.read_nonblocking(65_536, timeout=None)
            except (pexpect.EOF, OSError, ValueError):
                return
            with self._lock:
                self.raw += written
                self._stream.feed(written)

    def look(self, seconds: float = 0.02) -> str:
        """The screen, after a while."""
        time.sleep(seconds)
        return self.text()

    def text(self) -> str:
        """What is on the screen, without blanks at the ends of lines."""
        with self._lock:
            return "\n".join(line.rstrip() for line in self.terminal.display).rstrip()

    def everything(self) -> str:
        """What is on the screen and what has scrolled off it."""
        columns = range(self.terminal.columns)
        with self._lock:
            gone = ["".join(line[place].data for place in columns).rstrip() for line in self.terminal.history.top]
        return "\n".join([*gone, self.text()])

    def until(self, wanted: str | Callable[[str], object], seconds: float = PATIENCE_SECONDS) -> str:
        """Look until a text is there, or something is true of the screen."""
        true_of = wanted if callable(wanted) else lambda seen: wanted in seen
        deadline = time.monotonic() + seconds
        while not true_of(seen := self.look()):
            if time.monotonic() > deadline:
                raise AssertionError(f"{wanted!r} did not come in {seconds} s. The screen:\n{seen}")
            if not self._drawing.is_alive():
                if true_of(seen := self.text()):
                    break
                raise AssertionError(f"the program ended before {wanted!r} came. The screen:\n{seen}")
        return seen

    def type(self, text: str) -> None:
        """Press keys, one after the other."""
        for character in text:
            self.child.send(character)

    def press(self, key: str) -> None:
        """Press one key, which may be several bytes."""
        self.child.send(key)

    def enter(self, line: str) -> None:
        """Type a line."""
        self.type(line)
        self.press(ENTER)

    def resize(self, columns: int, lines: int) -> None:
        """Drag the window's corner."""
        with self._lock:
            self.terminal.resize(lines, columns)
        self.child.setwinsize(lines, columns)

    def colours_of(self, text: str) -> set[str]:
        """In which colours a text stands on the screen, the first time that it does."""
        with self._lock:
            for row, line in enumerate(self.terminal.display):
                if (start := line.find(text)) >= 0:
                    return {self.terminal.buffer[row][start + place].fg for place in range(len(text))}
        raise AssertionError(f"{text!r} is not on the screen:\n{self.text()}")

    def ended(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Wait for the end: the exit status, or minus the signal."""
        self._drawing.join(seconds)
        self.child.close(force=True)
        return self.child.exitstatus if self.child.exitstatus is not None else -(self.child.signalstatus or 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.child.isalive():
            self.child.kill(signal.SIGKILL)  # asked kindly it would be waited for
        self.child.close(force=True)
