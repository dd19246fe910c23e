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
import os
from pathlib import Path

from bench import diloco_bytes, diloco_idle, diloco_parts, diloco_peers
from bench.diloco_net import Seen, Wish, observe
from bench.figure import report

PARTS = ("bytes", "idle", "killed", "parts", "peers")
UP_MBIT, DOWN_MBIT = 100, 500


def watch(options: argparse.Namespace, throttled: bool) -> Seen:
    lines = {"up": UP_MBIT, "down": DOWN_MBIT} if throttled else {}
    wish = Wish(options.nodes, options.validators, options.profile, tuple(options.set), options.rounds, **lines)
    return observe(wish, options.keep)


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
    options = parser.parse_args(arguments)
    chosen = options.only.split(",")
    if unknown := set(chosen) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    report("load_average", os.getloadavg()[0], "", note=f"of {os.cpu_count()} processors, at the start")
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
