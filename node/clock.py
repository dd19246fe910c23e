"""The wall clock of this machine: blocks and proofs carry its time, so it must at least be possible."""

import time
from datetime import UTC, datetime

from node.errors import NodeError

# Long before the program existed, and long after it will: outside of this a clock is not set at all.
EARLIEST_S = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp())
LATEST_S = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp())


class ClockError(NodeError):
    """A clock that was never set."""


def wall_ms() -> int:
    """Milliseconds since 1970; people may set this clock at any time, forth or back."""
    return time.time_ns() // 1_000_000


def check_clock(now_s: float | None = None) -> None:
    """Raises ClockError if the wall clock shows a year that cannot be."""
    now = time.time() if now_s is None else now_s
    if not EARLIEST_S <= now < LATEST_S:
        raise ClockError(
            f"this machine's clock says {clock_text(now)}: set it (on Linux `timedatectl set-ntp true`), since every "
            "block carries its time, and start again"
        )


def clock_text(seconds: float) -> str:
    """A time for people, also where the calendar ends."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return f"{seconds:.0f} s after 1970"
