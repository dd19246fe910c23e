"""One trajectory in a process of its own: its honest segments replayed by two auditors, or cheats on them.

python -m bench.calibration.task honest lab 7 DATA OUT UNTIL AUDITORS
"""

import sys
import time
from pathlib import Path

import numpy as np

from bench.calibration.auditor import Auditor
from bench.calibration.cheats import TRAINED, UNTRAINED, Case
from bench.calibration.numerics import SETTINGS, apply_environment
from bench.calibration.records import append, distances
from bench.calibration.trajectory import LENGTHS, Size, Start, segments
from training.inner import InnerState

# Cheats that train, of each segment.
AT_A_TIME = 4
# Segments of another length than the profile's own cost three times as much to replay at this size.
HONEST_LENGTHS = {"lab": LENGTHS, "dev": (10,)}


def honest(size: Size, trajectory: int, data: Path, out: Path, until: float, auditors: int) -> None:
    """Replay the honest segments of a trajectory in other numerics, while the next one is trained."""
    names = list(SETTINGS)
    chosen = [names[(auditors * trajectory + i) % len(names)] for i in range(auditors)]
    children = [Auditor(setting, size.name, data) for setting in chosen]
    asked: tuple[Start, InnerState] | None = None

    def settle() -> None:
        if asked is not None:
            start, claimed = asked
            for child in children:
                found = distances(start.before, claimed, child.answer())
                append(out, {"kind": "honest", "setting": child.setting, **start.words(size), **found})

    for start, ended in segments(size, size.loop(), trajectory, HONEST_LENGTHS[size.name]):
        settle()
        asked = (start, ended)
        if time.time() > until:
            asked = None
            break
        for child in children:
            child.ask(start)
    settle()
    for child in children:
        child.close()


def cheating(size: Size, trajectory: int, out: Path, until: float) -> None:
    """Cheat on the segments of a trajectory, in turn in every way."""
    loop = size.loop()
    chance = np.random.default_rng([trajectory, 99])
    names, turn = list(TRAINED), int(chance.integers(len(TRAINED)))
    for start, ended in segments(size, loop, trajectory):
        case = Case(size, loop, start, ended, chance)
        todo = {**UNTRAINED}
        for _ in range(AT_A_TIME):
            todo[names[turn % len(names)]] = TRAINED[names[turn % len(names)]]
            turn += 1
        for kind, cheat in todo.items():
            if time.time() > until:
                return
            forged = cheat(case)
            if forged is not None:
                record = {"kind": kind, "setting": "plain", **start.words(size)}
                append(out, {**record, **distances(start.before, forged, ended)})


def main(arguments: list[str]) -> None:
    what, name, trajectory, data, out, until, auditors = arguments
    apply_environment()
    size = Size.load(name, Path(data))
    if what == "honest":
        honest(size, int(trajectory), Path(data), Path(out), float(until), int(auditors))
    else:
        cheating(size, int(trajectory), Path(out), float(until))


if __name__ == "__main__":
    main(sys.argv[1:])
