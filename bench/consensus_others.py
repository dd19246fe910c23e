"""Figures of other benchmarks that belong into the record of consensus: each run as a program of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.consensus_live import Add

ROOT = Path(__file__).parents[1]


def _said(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", *words], stdout=subprocess.PIPE, check=True, text=True, cwd=ROOT)
    return done.stdout


def simulator(add: Add) -> None:
    """How fast the simulator of the tests is, without faults, on one core."""
    found: dict[str, Any] = json.loads(_said("tests.simulator", "--bench"))
    note = f"4 validators, no faults, {found['views']} views, processor time of one core"
    add("simulator_views_per_s", found["views_per_s"], "views/s", None, note)


def sync(blocks: int, accounts: int, add: Add) -> None:
    """Catching up with 10,000 blocks, and with a snapshot of 100,000 accounts."""
    lines = _said("bench", "sync", "--blocks", str(blocks), "--accounts", str(accounts)).splitlines()
    found = {each["name"]: each for each in map(json.loads, lines)}
    for name, theirs in (
        (f"sync_{blocks}_blocks_s", "sync_blocks_disk_s"),
        (f"restore_{accounts // 1000}k_accounts_s", "sync_snapshot_s"),
    ):
        line = found[theirs]
        add(name, line["value"], line["unit"], line["reference"], line["note"])
