"""What a network of validators can do: finality, transfers, memory, bytes, and how it grows. Parts may be run alone.

make bench && .venv/bin/python -m bench consensus [--record docs/results/consensus.json] [--only finality one_dead …]

Finality is counted from the time that a block carries (its leader's clock, when it began to build it) until a client of
each validator's API hears that it is final there. What is measured is written down after each part.
"""

import argparse
import asyncio
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from bench import (
    consensus_flood,
    consensus_growth,
    consensus_live,
    consensus_others,
    consensus_regions,
    consensus_throughput,
)
from bench.figure import report
from bench.ledger import processor
from chain.crypto import bls, ecdsa

Add = Callable[..., None]
COMMAND = ".venv/bin/python -m bench consensus --only "


class Figures:
    """What was measured, printed at once and kept for the record."""

    def __init__(self, record: Path | None, part: str) -> None:
        self.record, self.part = record, part
        self.found: dict[str, dict[str, Any]] = {}
        self.load_before = os.getloadavg()[0]

    def add(self, name: str, value: float, unit: str, reference: float | None = None, note: str = "") -> None:
        report(name, value, unit, reference, note)
        self.found[name] = {
            "value": float(f"{value:.6g}"),
            "unit": unit,
            "reference": reference,
            "ratio": float(f"{value / reference:.4g}") if reference else None,
            "note": note,
            "command": COMMAND + self.part,
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "load_before": round(self.load_before, 1),
        }

    def write(self) -> None:
        """Into the record; what other parts have found stays there."""
        if self.record is None:
            return
        before = json.loads(self.record.read_text())["figures"] if self.record.exists() else {}
        content = {**machine(), "figures": before | self.found}
        self.record.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def machine() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "bls": bls.back_end(),
        "ecdsa": ecdsa.back_end(),
    }


def sections(options: argparse.Namespace) -> dict[str, Callable[[Add], None]]:
    """What each part does, in the order in which all are run."""
    seconds = options.seconds
    return {
        "finality": lambda add: asyncio.run(consensus_live.finality(options.views, add)),
        "one_dead": lambda add: asyncio.run(consensus_live.one_dead(seconds, add)),
        "throughput": lambda add: asyncio.run(consensus_throughput.throughput(seconds, add)),
        "throughput_at_goal": lambda add: asyncio.run(consensus_throughput.throughput_at_goal(seconds, add)),
        "throughput_api": lambda add: asyncio.run(consensus_throughput.throughput_api(seconds, add)),
        "bytes": lambda add: asyncio.run(consensus_throughput.traffic(seconds, add)),
        "flood": lambda add: asyncio.run(consensus_flood.flood(seconds, add)),
        "finality_py_ecc": lambda add: asyncio.run(consensus_live.finality(options.slow_views, add, slow=True)),
        "regions_25": lambda add: consensus_regions.regions(25, options.blocks, add),
        "regions_100": lambda add: consensus_regions.regions(100, options.blocks, add),
        "growth": consensus_growth.growth,
        "simulator": consensus_others.simulator,
        "sync": lambda add: consensus_others.sync(10_000, 100_000, add),
    }


PARTS = (
    *("finality", "one_dead", "throughput", "throughput_at_goal", "throughput_api", "bytes", "flood"),
    *("finality_py_ecc", "regions_25", "regions_100", "growth", "simulator", "sync"),
)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench consensus")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--seconds", type=float, default=60, help="of each measurement under load")
    parser.add_argument("--views", type=int, default=400, help="over which finality is measured")
    parser.add_argument("--slow-views", type=int, default=100, help="the same with py_ecc")
    parser.add_argument("--blocks", type=int, default=40, help="among validators in ten regions")
    parser.add_argument("--record", type=Path, help="write all figures there; those not measured now are kept")
    options = parser.parse_args(arguments)
    parts = sections(options)
    for name in options.only:
        figures = Figures(options.record, name)
        parts[name](figures.add)
        figures.write()
    if options.record and "growth" in options.only:
        consensus_growth.draw(options.record)
