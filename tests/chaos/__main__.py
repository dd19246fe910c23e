"""`make chaos`: seven real processes under random faults until N were killed; prints and keeps what was seen."""

import argparse
import asyncio
import json
import secrets
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

from tests.chaos.faults import WEIGHTS
from tests.chaos.run import Shape, chaos


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--out", type=Path, default=Path("chaos.json"))
    parser.add_argument("--nodes", type=int, default=7)
    parser.add_argument("--validators", type=int, default=4)
    parser.add_argument("--hosts", choices=["auto", "netns", "loopback"], default="auto")
    has_torch = find_spec("torch") is not None
    train = "node 0 trains, earns, and pays others; the default where torch is installed"
    parser.add_argument("--train", action=argparse.BooleanOptionalAction, default=has_torch, help=train)
    parser.add_argument("--faults", default=",".join(WEIGHTS), help="kinds of faults, with commas")
    options = parser.parse_args()
    seed = secrets.randbelow(1 << 32) if options.seed is None else options.seed
    faults = tuple(kind for kind in WEIGHTS if kind in options.faults.split(","))
    shape = Shape(options.nodes, options.validators, options.kills, options.hosts, options.train, faults)
    print(f"seed {seed}: the same faults again with make chaos N={options.kills} SEED={seed}", flush=True)
    # As an error ends it: processes, small disks and namespaces are taken down.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    results = asyncio.run(chaos(shape, seed, options.out))
    print(json.dumps(results.summary(), indent=1))
    return 1 if results.broken else 0


if __name__ == "__main__":
    sys.exit(main())
