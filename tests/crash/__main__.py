"""`make crash`: every failpoint once in each way, then N kills at random moments; prints and keeps what was seen.

It can be stopped and started again with the same seed and file: batches that are done are not done again.
"""

import argparse
import json
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from node.failpoints import NAMES
from tests.crash.kills import Seen, kill_many, spread
from tests.crash.lives import Lives
from tests.crash.promises import broken, verified
from tests.crash.strikes import go_on, is_first, is_trainers, strike

BATCH = 50
ACTIONS = ("kill", "enospc")
# What a full disk leaves undone here is only told when somebody asks for it; the node goes on.
SILENT = ("history.", "segments.prune.")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--out", type=Path, default=Path("crash.json"))
    parser.add_argument("--no-failpoints", action="store_true")
    options = parser.parse_args()
    seed = secrets.randbelow(1 << 32) if options.seed is None else options.seed
    print(f"seed {seed}: the same again with make crash N={options.kills} SEED={seed} OUT={options.out}", flush=True)
    results = _kept(options.out, seed)
    if not options.no_failpoints:
        _failpoints(results, options.out)
    _kills(results, options.kills, options.out)
    print(json.dumps(summary(results), indent=1))
    options.out.with_suffix(".partial.json").unlink(missing_ok=True)
    return 1 if results["broken"] else 0


def _kept(out: Path, seed: int) -> dict[str, Any]:
    """What an earlier run with this seed has done."""
    partial = out.with_suffix(".partial.json")
    if partial.exists():
        kept: dict[str, Any] = json.loads(partial.read_text())
        if kept["seed"] == seed:
            return kept
    empty = {"kills": {}, "to_block": [], "to_segment": [], "blocks": 0, "proofs": 0, "rounds_closed": 0, "batches": 0}
    return {"seed": seed, **empty, "failpoints": {}, "broken": [], "seconds": 0.0}


def _keep(results: dict[str, Any], out: Path) -> None:
    out.with_suffix(".partial.json").write_text(json.dumps(results))
    out.write_text(json.dumps(summary(results), indent=1) + "\n")


def summary(results: dict[str, Any]) -> dict[str, Any]:
    struck = results["failpoints"]
    return {
        "seed": results["seed"],
        "random_kills": sum(results["kills"].values()),
        "kills": dict(sorted(results["kills"].items())),
        "failpoints_killed_at": sum(key.endswith("=kill") for key in struck),
        "failpoints_with_a_failing_disk": sum(not key.endswith("=kill") for key in struck),
        "restart_to_first_block_seconds": spread(results["to_block"]),
        "restart_to_first_segment_seconds": spread(results["to_segment"]),
        "blocks_executed_again": results["blocks"],
        "proofs": results["proofs"],
        "rounds_closed": results["rounds_closed"],
        "promises_broken": results["broken"],
        "seconds": round(results["seconds"]),
    }


def _failpoints(results: dict[str, Any], out: Path) -> None:
    """Each place in each way; those of a first start on a folder of their own."""
    folder = Path(tempfile.mkdtemp(prefix="crash-"))
    lived = Lives(folder / "lived").with_cheap_wallet()
    go_on(lived, and_train=True)
    for place in (f"{name}={action}" for name in NAMES for action in ACTIONS):
        if place in results["failpoints"] or (place.startswith(SILENT) and not place.endswith("=kill")):
            continue
        began = time.monotonic()
        lives = Lives(folder / place, arguments=("--no-training",)) if is_first(place) else lived
        try:
            struck = strike(lives, place)
            _judge(results, place, struck.status, struck.words)
            go_on(lives, and_train=is_trainers(place))
        except AssertionError as error:
            results["broken"].append(f"{place}: {error}")
            lives.kill_all()
        results["broken"] += [f"{place}: {each}" for each in broken(lives)]
        results["failpoints"][place] = round(time.monotonic() - began, 2)
        results["seconds"] += time.monotonic() - began
        print(f"{place}: {results['failpoints'][place]} s, broken so far: {len(results['broken'])}", flush=True)
        _keep(results, out)
    found = verified(lived)
    results["blocks"] += found["blocks"]
    shutil.rmtree(folder)


def _judge(results: dict[str, Any], place: str, status: int, words: str) -> None:
    """A kill says nothing; a failing disk is told in a sentence that says what to do."""
    wanted = 0 if is_trainers(place) else (-9 if place.endswith("=kill") else 1)
    said = "disk" in words and "Traceback" not in words
    if status != wanted or (not place.endswith("=kill") and not said):
        results["broken"].append(f"{place}: status {status}, {words[-500:]!r}")


def _kills(results: dict[str, Any], wanted: int, out: Path) -> None:
    """Batches of kills, each on a directory of its own, with the wallet of a user."""
    while (done := sum(results["kills"].values())) < wanted:
        folder = Path(tempfile.mkdtemp(prefix="crash-"))
        lives, began = Lives(folder), time.monotonic()
        count = min(BATCH, wanted - done)
        seen = _batch(lives, results["seed"] + results["batches"], count, results)
        for name, number in seen.kills.items():
            results["kills"][name] = results["kills"].get(name, 0) + number
        results["to_block"] += seen.to_block
        results["to_segment"] += seen.to_segment
        results["batches"] += 1
        results["seconds"] += time.monotonic() - began
        _keep(results, out)
        print(f"{sum(results['kills'].values())} kills, broken so far: {len(results['broken'])}", flush=True)
        shutil.rmtree(folder)


def _batch(lives: Lives, seed: int, count: int, results: dict[str, Any]) -> Seen:
    try:
        go_on(lives, and_train=True)
        seen = kill_many(lives, seed, count)
        go_on(lives, and_train=True)
    except AssertionError as error:
        results["broken"].append(f"seed {seed}: {error}")
        seen = Seen({"unfinished": count})
        lives.kill_all()
    results["broken"] += [f"seed {seed}: {each}" for each in broken(lives)]
    found = verified(lives)
    for name in ("blocks", "proofs", "rounds_closed"):
        results[name] += found[name]
    return seen


if __name__ == "__main__":
    sys.exit(main())
