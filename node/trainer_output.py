"""What the trainer writes to its stderr (warnings of libraries, tracebacks), taken into the node's log."""

import asyncio
from collections import deque
from typing import Any

from node.logs import log_of

LINE_BYTES = 1_000
LINES_AT_ONCE = 500  # of one trainer's life; of what follows only the end is kept
LAST_LINES = 40
CHUNK_BYTES = 8_192


async def log_output(stream: asyncio.StreamReader) -> None:
    """Read until the end, so that the trainer never waits for a reader. Long lines are cut, many are passed over."""
    output, rest = _Output(), b""
    while chunk := await stream.read(CHUNK_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        rest = rest[:LINE_BYTES]
        for line in lines:
            output.take(line)
    output.take(rest)
    output.end()


class _Output:
    """Lines on their way to the log."""

    def __init__(self) -> None:
        self.log: Any = log_of("trainer")
        self.count = 0
        self.last: deque[bytes] = deque(maxlen=LAST_LINES)

    def take(self, line: bytes) -> None:
        if not line.strip():
            return
        self.count += 1
        if self.count > LINES_AT_ONCE:
            self.last.append(line[:LINE_BYTES])
        else:
            self._write(line[:LINE_BYTES])

    def end(self) -> None:
        passed_over = self.count - LINES_AT_ONCE - len(self.last)
        if passed_over > 0:
            self.log.warning("output passed over", lines=passed_over, shown=True)
        for line in self.last:
            self._write(line)

    def _write(self, line: bytes) -> None:
        self.log.warning("output", line=line.decode(errors="replace").rstrip(), shown=True)
