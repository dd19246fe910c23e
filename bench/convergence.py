"""Learning at equal tokens: synchronous data parallel against DiLoCo, with and without compression.

    .venv/bin/python -m bench.lab.export build/lab
    .venv/bin/python -m bench convergence --hours 4 --out build/lab/convergence.jsonl
    .venv/bin/python -m bench convergence --out build/lab/convergence.jsonl --report docs/results

Every finished run is one line of the output; what is there is not trained again. Without --tune the rates that an
earlier tuning chose are taken from bench/lab/rates.json.
"""

import argparse
import json
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from bench.lab.cells import (
    BATCHES,
    REPLICAS,
    SEEDS,
    Cell,
    Rates,
    informative_order,
    reported_cells,
    tuned_from,
    tuning_cells,
)
from bench.lab.data import Tokens
from bench.lab.execute import Lab, lab_profile, train_cells

RATES = Path(__file__).parent / "lab" / "rates.json"
WINDOWS = 512


def read_records(paths: list[Path]) -> list[dict[str, Any]]:
    """All whole lines of some result files; a killed run may have left half of one."""
    records = []
    for path in paths:
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            try:
                records.append(json.loads(line))
            except ValueError:
                continue
    return records


class Session:
    """One call: trains batches of cells until the time is used up, and writes every result down at once."""

    def __init__(self, lab: Lab, out: Path, deadline: float, rows: int) -> None:
        self.lab, self.out, self.deadline, self.rows = lab, out, deadline, rows
        self.done = {Cell(**record["cell"]).key for record in read_records([out])}
        self.pace: dict[int, float] = {}  # seconds for a batch of a run, by replicas
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.exists() and not out.read_bytes().endswith(b"\n"):
            # What a kill left of a line must not swallow the next one.
            with out.open("a", encoding="utf-8") as file:
                file.write("\n")

    def train(self, cells: list[Cell]) -> bool:
        """Train what is missing of cells with one number of replicas; False if the time is up."""
        missing = [cell for cell in cells if cell.key not in self.done]
        size = max(1, self.rows // cells[0].replicas)
        for low in range(0, len(missing), size):
            part = missing[low : low + size]
            pace = self.pace.get(part[0].replicas, max(self.pace.values(), default=0))
            expected = pace * len(part) * self.lab.batches
            if time.monotonic() + expected > self.deadline:
                return False
            self._train(part)
        return True

    def _train(self, part: list[Cell]) -> None:
        began = time.monotonic()
        with self.out.open("a", encoding="utf-8") as file:
            for record in train_cells(self.lab, part):
                file.write(json.dumps({**record, "batches": self.lab.batches, "device": self.lab.device.type}) + "\n")
                self.done.add(Cell(**record["cell"]).key)
            file.flush()
            os.fsync(file.fileno())
        seconds = time.monotonic() - began
        self.pace[part[0].replicas] = seconds / len(part) / self.lab.batches
        print(f"{len(part)} runs of {part[0].replicas} replicas in {seconds:.1f} s", flush=True)


def train_all(session: Session, options: argparse.Namespace) -> bool:
    """Train all cells; False if the time was up before the end.

    Without tuning the most informative come first. With it, each number of replicas is tuned and then trained whole,
    which fills a GPU better.
    """
    seeds = SEEDS[: options.seeds]
    if not (options.tune or options.tune_only):
        content = json.loads(options.rates.read_text(encoding="utf-8"))
        tuned = {name: Rates(**rates) for name, rates in content.items()}
        return all(session.train(cells) for cells in informative_order(tuned, options.replicas, seeds))
    for replicas in options.replicas:
        if not session.train(tuning_cells(replicas)):
            return False
        if not options.tune_only:
            tuned = tuned_from(read_records([options.out]))
            ours = {name: rates for name, rates in tuned.items() if name.split("/")[1] == str(replicas)}
            print(json.dumps({name: list(asdict(rates).values()) for name, rates in ours.items()}), flush=True)
            if not all(session.train(cells) for cells in reported_cells(tuned, replicas, seeds)):
                return False
    return True


def make_lab(options: argparse.Namespace) -> Lab:
    """The lab profile on the chosen device."""
    device = torch.device(options.device)
    torch.set_num_threads(options.threads)
    torch.backends.cuda.matmul.allow_tf32 = options.tf32
    config, sequences, length = lab_profile()
    tokens = Tokens.load(options.data, device, WINDOWS, length)
    budget = 1 << (28 if device.type == "cuda" else 20)
    return Lab(config, sequences, length, tokens, device, options.batches, budget, options.compile)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench convergence")
    parser.add_argument("--data", type=Path, default=Path("build/lab"), help="folder of bench.lab.export")
    parser.add_argument("--out", type=Path, default=Path("build/lab/convergence.jsonl"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--hours", type=float, default=4.0)
    parser.add_argument("--budget-seconds", type=float, help="instead of --hours")
    parser.add_argument("--rows", type=int, help="replicas trained at a time")
    parser.add_argument("--seeds", type=int, default=len(SEEDS))
    parser.add_argument("--replicas", type=int, nargs="+", default=list(REPLICAS))
    parser.add_argument("--batches", type=int, default=BATCHES, help="of every run; fewer only to try the program")
    parser.add_argument("--tune", action="store_true", help="tune the rates first")
    parser.add_argument("--tune-only", action="store_true", help="tune the rates and end")
    parser.add_argument("--rates", type=Path, default=RATES)
    parser.add_argument("--tf32", action="store_true", help="shortened products on CUDA; for comparison only")
    parser.add_argument("--compile", action="store_true", help="let torch.compile fuse the optimizer")
    parser.add_argument("--report", type=Path, help="train nothing; write tables and plots of --out there")
    parser.add_argument("--more", type=Path, nargs="*", default=[], help="with --report: further files of results")
    parser.add_argument("--write-rates", action="store_true", help="with --report: renew --rates from the tuning")
    options = parser.parse_args(arguments)
    options.rows = options.rows or (1024 if options.device == "cuda" else 8)
    return options


def main(arguments: list[str]) -> None:
    options = parse(arguments)
    if options.report:
        from bench.lab.summary import write_report

        records = read_records([options.out, *options.more])
        write_report(records, options.report)
        if options.write_rates:
            tuned = {name: asdict(rates) for name, rates in tuned_from(records).items()}
            options.rates.write_text(json.dumps(tuned, indent=1) + "\n", encoding="utf-8")
        return
    if not (options.data / "train.npy").exists():
        from bench.lab.export import export

        export(options.data)
    seconds = options.hours * 3600 if options.budget_seconds is None else options.budget_seconds
    session = Session(make_lab(options), options.out, time.monotonic() + seconds, options.rows)
    print("all cells done" if train_all(session, options) else "the time is up; call again to go on")
