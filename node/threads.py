"""How many threads training uses: as many cores as other programs leave, so that nobody is slowed down for it.

Two threads on a core that another program wants take longer than one: each step waits for its slowest thread. The
choice is made anew for every round, never within one, since another number of threads gives other rounding.
"""

import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

# A core that is free for this much of the time is worth a thread.
WORTH = 0.7
# A shorter look says little: the system counts in hundredths of a second.
LOOK_SECONDS = 0.3
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usual_threads() -> int:
    """The cores that this process may use."""
    return max(1, math.ceil(min(len(_allowed_cores()), _quota())))


def threads_for(cores: int, free_cores: float) -> int:
    """Threads when `free_cores` of `cores` are idle or used by ourselves."""
    return max(1, min(cores, math.floor(free_cores + 1 - WORTH)))


@dataclass(frozen=True, slots=True)
class Look:
    """Seconds of work so far, and when: of our own process and of idling, on the cores that we may use."""

    at: float
    own: float
    idle: float

    @classmethod
    def now(cls) -> "Look":
        own = psutil.Process().cpu_times()
        times = psutil.cpu_times(percpu=True)
        idle = sum(times[core].idle for core in _allowed_cores() if core < len(times))
        return cls(time.monotonic(), own.user + own.system, idle)

    def free_cores(self, since: "Look") -> float:
        """Cores that were idle or ours on average since an earlier look."""
        seconds = max(self.at - since.at, 1e-9)
        return (self.own - since.own + self.idle - since.idle) / seconds


class Threads:
    """The choice for each round. `wish` None is auto: by what other programs have used since the last choice."""

    def __init__(self, wish: int | None) -> None:
        self.wish = wish
        self.cores = usual_threads()
        self._last = Look.now()

    def choose(self) -> int:
        """The number of threads for what begins now."""
        if self.wish is not None:
            return self.wish
        if (seconds := LOOK_SECONDS - (time.monotonic() - self._last.at)) > 0:
            time.sleep(seconds)
        look = Look.now()
        chosen = threads_for(self.cores, look.free_cores(self._last))
        self._last = look
        return chosen

    def why(self, chosen: int) -> str:
        if self.wish is not None:
            return f"{chosen} threads, as asked."
        return f"{chosen} of {self.cores} threads: one for each core that other programs leave."


def _allowed_cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _quota() -> float:
    """Cores that the control group grants, infinity without a limit."""
    try:
        quota, period = CPU_QUOTA.read_text().split()[:2]
        return int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return math.inf
