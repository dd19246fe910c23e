"""Kills at moments that a seed draws: the node, its trainer, or both, while it starts, makes blocks, or trains."""

import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any

from tests.crash.lives import Lives

MOMENTS = {"starting": 35, "blocks": 40, "training": 25}
TARGETS = {"node": 70, "trainer": 15, "both": 15}


@dataclass
class Seen:
    """What the lives showed: seconds from the start of a process to its first block and its first segment."""

    kills: dict[str, int] = field(default_factory=dict)
    to_block: list[float] = field(default_factory=list)
    to_segment: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        return {
            "kills": dict(sorted(self.kills.items())),
            "restart_to_first_block_seconds": spread(self.to_block),
            "restart_to_first_segment_seconds": spread(self.to_segment),
        }


def spread(values: list[float]) -> dict[str, float]:
    if len(values) < 2:
        return {"count": len(values)}
    rounded = {"median": median(values), "p95": quantiles(values, n=20)[-1], "max": max(values)}
    return {"count": len(values), **{name: round(value, 3) for name, value in rounded.items()}}


def kill_many(lives: Lives, seed: int, count: int, told: Callable[[int], None] = lambda done: None) -> Seen:
    """Live and be killed this many times; the node is dead afterwards."""
    chance, seen = random.Random(seed), Seen()
    for number in range(count):
        moment = chance.choices(list(MOMENTS), list(MOMENTS.values()))[0]
        target = chance.choices(list(TARGETS), list(TARGETS.values()))[0]
        wait = chance.random()
        if moment != "training" and target == "trainer":
            target = "node"  # There is hardly a trainer yet.
        _live(lives, moment, wait, seen)
        _kill(lives, target, wait)
        name = f"{target} while {moment}"
        seen.kills[name] = seen.kills.get(name, 0) + 1
        told(number + 1)
    return seen


def _live(lives: Lives, moment: str, wait: float, seen: Seen) -> None:
    blocks, segments = len(lives.of("final")), len(lives.of("segment"))
    lives.start()
    if moment == "starting":
        time.sleep(0.5 * wait)
        return
    lives.until(lambda: len(lives.of("final")) > blocks)
    seen.to_block.append(time.monotonic() - lives.began)
    if moment == "training":
        lives.until(lambda: len(lives.of("segment")) > segments)
        seen.to_segment.append(time.monotonic() - lives.began)
    time.sleep(0.3 * wait)


def _kill(lives: Lives, target: str, wait: float) -> None:
    if target == "both":
        lives.kill_all()
        return
    trainer = lives.trainer() if target == "trainer" else None
    if trainer is not None:
        failures = len(lives.of("failed"))
        os.kill(trainer, signal.SIGKILL)
        lives.until(lambda: len(lives.of("failed")) > failures)
        time.sleep(0.3 * wait)
    # The trainer is left to end by itself, as when the node alone is killed.
    assert lives.process is not None
    lives.process.send_signal(signal.SIGKILL)
    lives.process.wait()
