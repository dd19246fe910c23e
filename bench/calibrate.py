"""How far honest replays lie apart and cheats from them: what the bounds of an audit come from.

    .venv/bin/python -m bench calibrate --budget-seconds 14400      # make calibrate; goes on where it stopped
    .venv/bin/python -m bench calibrate --report                    # docs/results/audit_calibration.{json,png}

Every trajectory is trained by a process of its own; two children replay each of its segments in other numerics
(bench/calibration/numerics.py). Every result is a line of build/calibrate/*.jsonl; the report reads all files there.
"""

import argparse
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bench.calibration.cheats import TRAINED
from bench.calibration.numerics import environment
from bench.calibration.records import read

ROOT = Path(__file__).parent.parent
AUDITORS = 2
SIZES = ("lab", "dev")
# Results of a trajectory, about: to know what those under way will add.
EACH = {"honest": 55, "cheats": 20}


@dataclass(frozen=True)
class Running:
    """A process that trains one trajectory, and how many processes it is with its children."""

    what: str
    size: str
    process: subprocess.Popen[bytes]
    slots: int


class Crew:
    """Keeps so many processes at work until the goals are reached or the time is over."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.until = time.time() + options.budget_seconds
        self.goals = {
            ("honest", "lab"): options.lab,
            ("honest", "dev"): options.dev,
            ("cheats", "lab"): options.cheats,
            ("cheats", "dev"): options.dev_cheats,
        }
        self.auditors = max(1, min(AUDITORS, options.jobs - 1))
        self.running: list[Running] = []
        self.next: Counter[tuple[str, str]] = Counter()
        for line in read([self.file("honest"), self.file("cheats")]):
            if line.get("setting") != "another machine":
                key = ("honest" if line["kind"] == "honest" else "cheats", line["size"])
                self.next[key] = max(self.next[key], line["trajectory"] + 1)

    def file(self, what: str) -> Path:
        folder: Path = self.options.out
        return folder / f"{what}.jsonl"

    def work(self) -> None:
        """Until nothing is left to do."""
        while True:
            self.running = [each for each in self.running if each.process.poll() is None]
            if time.time() < self.until:
                while self._start_one():
                    pass
            if not self.running:
                return
            time.sleep(0.2)

    def _start_one(self) -> bool:
        """Start what is furthest from its goal, of what there is room for."""
        done = self._done()
        free = self.options.jobs - sum(each.slots for each in self.running)
        cheating = sum(each.what == "cheats" for each in self.running)
        for key in sorted(self.goals, key=lambda key: done[key] / max(self.goals[key], 1)):
            what, size = key
            slots = 1 + self.auditors if what == "honest" else 1
            # One slot after another would go to cheats, which need only one, and never three to an honest trajectory.
            crowded = what == "cheats" and cheating >= max(1, self.options.jobs // 7)
            if done[key] < self.goals[key] and slots <= free and not crowded:
                trajectory = max(self.next[key], self.options.first)
                self.next[key] = trajectory + 1
                words = [what, size, trajectory, self.options.data, self.file(what), self.until, self.auditors]
                command = [sys.executable, "-m", "bench.calibration.task", *map(str, words)]
                process = subprocess.Popen(command, env=environment("plain"))
                self.running.append(Running(what, size, process, slots))
                return True
        return False

    def _done(self) -> dict[tuple[str, str], float]:
        """Results of every goal, with what those under way will add; of cheats the rarest kind counts."""
        kinds: Counter[tuple[str, str]] = Counter()
        for line in read([self.file("honest"), self.file("cheats")]):
            kinds[line["kind"], line["size"]] += 1
        found: dict[tuple[str, str], float] = {}
        for what, size in self.goals:
            under_way = sum((each.what, each.size) == (what, size) for each in self.running)
            if what == "honest":
                found[what, size] = kinds["honest", size] + under_way * EACH[what] * self.auditors
            else:
                found[what, size] = min(kinds[kind, size] for kind in TRAINED) + under_way * EACH[what]
        return found


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench calibrate")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "calibrate", help="folder of the results' lines")
    parser.add_argument("--data", type=Path, default=ROOT / "build" / "lab", help="where bench.lab.export wrote")
    parser.add_argument("--budget-seconds", type=float, default=14_400)
    parser.add_argument("--jobs", type=int, default=2, help="processes of one thread")
    parser.add_argument("--lab", type=int, default=10_000, help="honest replays at lab size")
    parser.add_argument("--dev", type=int, default=1_000, help="honest replays at the size of genesis's dev profile")
    parser.add_argument("--cheats", type=int, default=200, help="of each kind, at lab size")
    parser.add_argument("--dev-cheats", type=int, default=30, help="of each kind, at dev size")
    parser.add_argument("--first", type=int, default=0, help="first trajectory: another one on every machine")
    parser.add_argument("--report", action="store_true", help="only write what docs/results holds")
    parser.add_argument(
        "--also", type=Path, nargs="*", default=[], help="more folders for the report, of other machines"
    )
    parser.add_argument(
        "--bounds", type=int, nargs=3, help="theta, m, v in billionths, instead of those of genesis.json"
    )
    parser.add_argument("--results", type=Path, default=ROOT / "docs" / "results" / "audit_calibration")
    options = parser.parse_args(arguments)
    if options.report:
        from bench.calibration.summary import tolerances, write_report

        folders = [options.out, *options.also]
        paths = [path for folder in folders for path in sorted(folder.glob("**/*.jsonl"))]
        write_report(paths, options.results, tolerances(options.bounds))
        return
    began = time.time()
    crew = Crew(options)
    crew.work()
    print(f"{time.time() - began:.0f} s; now there are {dict(crew._done())}", flush=True)
