"""What a user can set for a running node. The command line fills this in; nothing else holds settings."""

import os
from dataclasses import dataclass
from pathlib import Path

DEFAULT_DIRECTORY = Path.home() / ".neuroshard"
DEFAULT_API = "127.0.0.1:8420"
API_PORTS_TRIED = 10
PROFILES = ("dev", "main", "lab")


@dataclass(frozen=True, slots=True)
class Settings:
    data_directory: Path
    network_file: Path | None
    profile: str
    training: bool
    validator_intent: bool
    device: str
    threads: int
    api: str | None  # None: the default address, or the next free port
    until_round: int | None


def usual_threads() -> int:
    """Threads for training: the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)
