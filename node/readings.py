"""How the machine and the processes of a node are: measured by `node.jobs`, shown in the status and the metrics."""

import time
from dataclasses import dataclass, field

from chain.transition import Applied
from node.trainer_messages import Ready, TrainerEvent


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
    def trainer_restarts(self) -> int:
        return max(0, self.trainer_starts - 1)

    def hear_block(self, _: Applied) -> None:
        self.last_block = time.monotonic()

    def hear_trainer(self, event: TrainerEvent) -> None:
        self.trainer_starts += isinstance(event, Ready)
