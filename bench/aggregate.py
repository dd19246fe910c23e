"""Combining the payloads of a round: seconds and memory of each rule, for 8 and 64 payloads.

.venv/bin/python -m bench aggregate [--record docs/results/aggregate.json] [--payloads 8 64] [--millions 1 10]

Payloads lie in files, mapped and not read whole, as a node holds them; there are eight, counted several times where 64
are wanted. Each figure is a process of its own with one thread, in processor time, as the machine may be busy. Memory
is how far the peak of the resident set exceeds what it was before, without the pages of the mapped files, which the
kernel drops when it needs them. 100 million parameters are calculated: the rule on the inner products, which does not
depend on the model, plus what the rest takes a parameter at the largest size measured.
"""

import argparse
import json
import mmap
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.figure import report
from training.gram import gram_matrix
from training.outer import Entry, merged
from training.payload import encode_payload
from training.robust import RULE_NAMES, RobustSpec, merge
from training.trust import Party

STEPS = 250
MILLION = 10**6
FILES = 8
REPEATS = 3
GOAL_SECONDS = 1.0
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench aggregate")
    parser.add_argument("--record", type=Path)
    parser.add_argument("--payloads", type=int, nargs="+", default=[8, 64])
    parser.add_argument("--millions", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        folder, *numbers = options.one
        print(json.dumps(measured(Path(folder), *map(int, numbers))))
        return
    kept: dict[str, dict[str, float]] = {}
    for millions in options.millions:
        with tempfile.TemporaryDirectory(prefix="neuroshard-aggregate-") as folder:
            write_payloads(Path(folder), millions * MILLION)
            for count in options.payloads:
                for rule, name in enumerate(RULE_NAMES):
                    key = f"{name}_{count}_payloads_{millions}m"
                    kept[key] = apart(folder, millions * MILLION, count, rule)
                    show(key, kept[key], millions == 1 and count == 8)
    largest = max(options.millions)
    for count in options.payloads:
        for name in RULE_NAMES:
            found = kept[f"{name}_{count}_payloads_{largest}m"]
            seconds = found["rule_seconds"] + (found["seconds"] - found["rule_seconds"]) * 100 / largest
            key = f"{name}_{count}_payloads_100m"
            kept[key] = {"seconds": seconds, "calculated": 1}
            report(f"{key}_seconds", seconds, "s", None, f"calculated from {largest} million")
    if options.record:
        options.record.write_text(json.dumps({"machine": f"{os.cpu_count()} cores", "figures": kept}, indent=1) + "\n")


def show(key: str, found: dict[str, float], has_goal: bool) -> None:
    """Two figures of one measurement."""
    parts = f"inner products {found['gram_seconds']:.3f} s, rule on them {found['rule_seconds']:.4f} s"
    report(f"{key}_seconds", found["seconds"], "s", GOAL_SECONDS if has_goal else None, parts)
    report(f"{key}_mib", found["mib"], "MiB", None, f"and {found['file_mib']:.0f} MiB of mapped files")


def write_payloads(folder: Path, size: int) -> None:
    """Pseudo-gradients that share a direction, as those of one round do."""
    chance = np.random.default_rng(1)
    zero = np.zeros(size, dtype=np.float32)
    common = chance.standard_normal(size, dtype=np.float32)
    for place in range(FILES):
        delta = (common + chance.standard_normal(size, dtype=np.float32)) * np.float32(0.003)
        (folder / str(place)).write_bytes(encode_payload(delta, zero, (size,)))


def apart(folder: str, size: int, count: int, rule: int) -> dict[str, float]:
    """Measured in a process of its own."""
    command = [sys.executable, "-m", "bench", "aggregate", "--one", folder, str(size), str(count), str(rule)]
    answer = subprocess.run(command, env={**os.environ, **THREADS}, stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(answer.stdout)
    return found


def measured(folder: Path, size: int, count: int, rule: int) -> dict[str, float]:
    """Seconds and MiB of one rule, here."""
    entries = opened(folder, count)
    spec = RobustSpec(rule, STEPS, 7)
    before, files_before = resident("VmRSS"), resident("RssFile")
    times = [timed(entries, size, spec) for _ in range(REPEATS if size <= MILLION else 1)]
    peak = resident("VmHWM")
    files = resident("RssFile") - files_before
    seconds, gram_seconds, rule_seconds = (min(each) for each in zip(*times, strict=True))
    return {
        "seconds": seconds,
        "gram_seconds": gram_seconds,
        "rule_seconds": rule_seconds,
        "mib": peak - before - files,
        "file_mib": files,
    }


def opened(folder: Path, count: int) -> list[Entry]:
    """Every payload mapped on its own."""
    entries = []
    for place in range(count):
        with (folder / str(place % FILES)).open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        entries.append(Entry(place.to_bytes(32, "big"), mapped, STEPS))
    return entries


def timed(entries: Sequence[Entry], size: int, spec: RobustSpec) -> tuple[float, float, float]:
    """Seconds of the whole combination, of the inner products in it, and of the rule on them."""
    payloads = [entry.payload for entry in entries]
    parties = [Party(entry.node, entry.steps) for entry in entries]
    start = time.process_time()
    gram = gram_matrix(payloads, (size,))
    multiplied = time.process_time()
    found = merge(gram, parties, (), spec)
    judged = time.process_time()
    merged(payloads, found, (size,))
    return time.process_time() - start, multiplied - start, judged - multiplied


def resident(name: str) -> float:
    """MiB of a line of /proc/self/status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise SystemExit("this benchmark reads /proc/self/status: Linux only")
