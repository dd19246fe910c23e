"""How the machine and the processes of a node are: measured by `node.jobs`, shown in the status and the metrics."""

import time
from collections import deque
from dataclasses import dataclass, field
from statistics import median_low

from chain.transition import Applied
from node.clock import wall_ms
from node.trainer_messages import Ready, TrainerEvent

BLOCKS_KEPT = 64
PACE_BLOCKS = 32  # whose times tell how fast blocks come
LIVE_MS = 60_000  # blocks that are older when they become final here come from catching up


@dataclass(slots=True)
class Readings:
    """The newest measurements; zero or None before the first. Times are of the monotonic clock, in seconds."""

    started: float = field(default_factory=time.monotonic)
    earlier_seconds: float = 0.0  # of operation in former runs
    last_block: float = field(default_factory=time.monotonic)
    trainer_starts: int = 0
    memory_bytes: int = 0  # of the node and its trainer together
    open_files: int = 0
    disk_free_bytes: int | None = None
    disk_low: bool = False
    disk_bytes: dict[str, int] = field(default_factory=dict)  # by folder of the data directory
    finality: deque[int] = field(default_factory=lambda: deque(maxlen=BLOCKS_KEPT))  # milliseconds, newest last
    final_blocks: int = 0  # of which `finality` was heard since the start, and their milliseconds together
    finality_sum_ms: int = 0
    block_times_ms: deque[int] = field(default_factory=lambda: deque(maxlen=PACE_BLOCKS))  # of the newest headers

    @property
    def uptime_seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self.started

    @property
    def total_seconds(self) -> float:
        """Of operation in all runs."""
        return self.earlier_seconds + self.uptime_seconds

    @property
    def block_age_seconds(self) -> float:
        return time.monotonic() - self.last_block

    @property
    def finality_ms(self) -> int | None:
        """From the time that a block carries until it was final here; the median of the newest blocks."""
        return median_low(self.finality) if self.finality else None

    @property
    def trainer_restarts(self) -> int:
        return max(0, self.trainer_starts - 1)

    def hear_block(self, applied: Applied) -> None:
        self.last_block = time.monotonic()
        self.block_times_ms.append(applied.block.header.time_ms)
        passed_ms = wall_ms() - applied.block.header.time_ms
        if 0 <= passed_ms < LIVE_MS:
            self.finality.append(passed_ms)
            self.final_blocks += 1
            self.finality_sum_ms += passed_ms

    def hear_trainer(self, event: TrainerEvent) -> None:
        self.trainer_starts += isinstance(event, Ready)
