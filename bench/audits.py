"""Audits: what checking costs, how often cheats are caught, and how soon, in villages that really train.

    .venv/bin/python -m bench audits                        # make audits; goes on where it stopped
    .venv/bin/python -m bench audits --report docs/results  # trains nothing: audits.json and a plot of what is there

Every finished run is a line of --out. One process, no sockets: the ledger, the training and the replays are real.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from bench.audits_report import figures, summary, write_report
from bench.audits_runs import collusion_run, disk_run, parade_run, share_run, stamps_run
from bench.figure import report
from tests.audits.school import remembered_signatures

Record = dict[str, Any]
ROOT = Path(__file__).parent.parent
# Friends and honest validators of equal power: from a fifth of the power to more than a third.
SHARES = ((1, 4), (1, 3), (2, 5), (3, 7), (3, 4))


def runs(options: argparse.Namespace) -> Iterator[tuple[str, Callable[[], Record]]]:
    """All runs by name, those that every figure needs first."""
    yield "disk", disk_run
    yield "share 0", lambda: share_run(options.steady_rounds, 0)
    for seed in range(options.seeds):
        yield f"parade {seed}", lambda seed=seed: parade_run(options.rounds, seed)  # type: ignore[misc]
        for friends, honest in SHARES:
            yield (
                f"collusion {friends}/{friends + honest} {seed}",
                lambda place=(friends, honest), seed=seed: collusion_run(*place, options.rounds, seed),  # type: ignore[misc]
            )
        yield f"stamps {seed}", lambda seed=seed: stamps_run(options.rounds, seed)  # type: ignore[misc]


def read_records(path: Path) -> dict[str, Record]:
    """All whole lines; a killed run may have left half of one."""
    records = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        records[record["run"]] = record
    return records


def main(arguments: list[str]) -> None:
    options = _options(arguments)
    if not options.report:
        torch.set_num_threads(1)  # equal bits are promised for one number of threads
        _run(options)
    records = read_records(options.out)
    found = summary(records)
    for figure in figures(found):
        report(*figure)
    if options.report:
        write_report(found, options.report)


def _run(options: argparse.Namespace) -> None:
    deadline = time.monotonic() + options.minutes * 60
    options.out.parent.mkdir(parents=True, exist_ok=True)
    done = read_records(options.out)
    with remembered_signatures(), options.out.open("a", encoding="utf-8") as file:
        if file.tell() and not options.out.read_bytes().endswith(b"\n"):
            file.write("\n")
        for name, run in runs(options):
            if name in done or not name.startswith(options.only):
                continue
            if time.monotonic() > deadline:
                print("the time is up; call again to go on", flush=True)
                return
            begun = time.monotonic()
            record = {"run": name, **run(), "seconds": time.monotonic() - begun}
            file.write(json.dumps(record) + "\n")
            file.flush()
            print(f"{name}: {record['seconds']:.0f} s", flush=True)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench audits")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "audits.jsonl", help="results, a line each")
    parser.add_argument("--report", type=Path, help="train nothing; write audits.json and a plot there")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--steady-rounds", type=int, default=40, help="counted after the warm-up")
    parser.add_argument("--rounds", type=int, default=25, help="of each run with cheats")
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--only", default="", help="runs whose name begins so")
    return parser.parse_args(arguments)
