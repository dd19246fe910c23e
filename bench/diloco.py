"""What DiLoCo between nodes costs: bytes of the outer step on sockets, time without training, beside hivemind.

.venv/bin/python -m bench diloco [--only bytes,idle,killed,parts,peers] [--hivemind PYTHON]
.venv/bin/python -m bench diloco --only bytes --set chain.inner_steps=500 --set chain.segment_steps=25

bytes    a network of four that trains, one of them no validator: bytes of payload, aggregate and messages by class
idle     the same network on lines of 100 Mbit/s up and 500 down (root, `tc`): what happens between two rounds
killed   the lab profile, and a trainer that is killed in the middle of a round: how long that round takes
parts    seconds of each part of an outer step, and the share of time without training by calculation from them
peers    averaging a vector among 4 and 8 peers, with a liar and with one that is killed; --hivemind: the Python of an
         environment with hivemind, which does the same with the same vectors
Seconds and memory of the aggregation itself: python -m bench aggregate.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import diloco_bytes, diloco_idle, diloco_parts, diloco_peers
from bench.consensus import machine
from bench.diloco_net import Seen, Wish, observe, seen_in

PARTS = ("bytes", "idle", "killed", "parts", "peers")
UP_MBIT, DOWN_MBIT = 100, 500


def watch(options: argparse.Namespace, throttled: bool) -> Seen:
    if options.seen:
        return seen_in(options.seen)
    lines = {"up": UP_MBIT, "down": DOWN_MBIT} if throttled else {}
    wish = Wish(options.nodes, options.validators, options.profile, tuple(options.set), options.rounds, **lines)
    return observe(wish, options.keep)


def measure(options: argparse.Namespace) -> None:
    chosen = options.only.split(",")
    if {"bytes", "idle"} & set(chosen):
        seen = watch(options, throttled="idle" in chosen)
        if "bytes" in chosen:
            diloco_bytes.tell(seen)
        if "idle" in chosen:
            diloco_idle.tell(seen)
    if "killed" in chosen:
        last = options.nodes - 1
        diloco_idle.tell_killed(observe(Wish(options.nodes, options.validators, "lab", rounds=6, killed=last)))
    if "parts" in chosen:
        diloco_parts.tell()
    if "peers" in chosen:
        diloco_peers.tell(options.hivemind)


def keep(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    """Do it in a process of its own, whose figures are shown and kept; others in the record stay."""
    words = [word for word in arguments if word not in ("--record", str(options.record))]
    load, found = os.getloadavg()[0], {}
    command = [sys.executable, "-m", "bench", "diloco", *words]
    # Threads of BLAS that wait in a loop would count as work.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            figure: dict[str, Any] = json.loads(line)
            about = {"command": shown(words), "date": time.strftime("%Y-%m-%d", time.gmtime())}
            name = figure.pop("name") + options.label
            found[name] = figure | about | {"load_before": round(load, 1)}
    before = json.loads(options.record.read_text())["figures"] if options.record.exists() else {}
    content = {**machine(), "figures": before | found}
    options.record.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    if process.returncode:
        raise SystemExit(process.returncode)


def shown(words: Sequence[str]) -> str:
    """The command without this machine's paths."""
    return " ".join([".venv/bin/python -m bench diloco", *("PATH" if word.startswith("/") else word for word in words)])


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench diloco")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between them")
    parser.add_argument("--profile", default="dev")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=N", help="a number of the profile")
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--validators", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3, help="that must close")
    parser.add_argument("--hivemind", type=Path, help="the Python of an environment that has hivemind")
    parser.add_argument("--keep", type=Path, help="folder for the network, which is then kept")
    parser.add_argument("--seen", type=Path, help="a folder that was kept: its network is not run again")
    parser.add_argument("--record", type=Path, help="write all figures there; those not measured now are kept")
    parser.add_argument("--label", default="", help="behind the names of the figures in the record")
    options = parser.parse_args(arguments)
    if unknown := set(options.only.split(",")) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if options.record is not None:
        keep(options, arguments)
    else:
        measure(options)
