"""How fast a node trains: the running node against a bare loop on the same threads, that against a textbook model.

.venv/bin/python -m bench training [--threads 2] [--repeats 3] [--record docs/results/training_speed.json]
.venv/bin/python -m bench training --explore     what threads, a busy neighbour, wait policy and compilation do
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.figure import report
from bench.first import resident_mib
from node.trainer import ENVIRONMENT

ROUNDS = 3
POLL_SECONDS = 1
RSS_LIMIT_MIB = 1200


def bare(threads: int, kinds: str, **environment: str) -> dict[str, float]:
    """Tokens per second of loops that only train, measured by turns in one fresh process."""
    command = [sys.executable, "-m", "bench.bare_loop", str(threads), kinds]
    variables = {**os.environ, **ENVIRONMENT, "OMP_NUM_THREADS": str(threads), **environment}
    output = subprocess.run(command, env=variables, check=True, capture_output=True, text=True).stdout
    speeds: dict[str, float] = json.loads(output.splitlines()[-1])
    return speeds


def node(threads: int) -> tuple[float, float]:
    """Tokens per second from the end of the first round to the end of the last, and peak memory in MiB.

    The times are those that the node writes down for each round: asking it would cost what is to be measured.
    """
    directory = Path(tempfile.mkdtemp(prefix="neuroshard-training-"))
    command = [sys.executable, "-m", "node", "--data-dir", str(directory), "--threads", str(threads)]
    process = subprocess.Popen(
        [*command, "--device", "cpu", "--api", "127.0.0.1:0"], stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )
    ends: list[dict[str, Any]] = []
    memory = 0.0
    try:
        while len(ends) < ROUNDS + 1 and process.poll() is None:
            time.sleep(POLL_SECONDS)
            found = _rounds(directory)
            if len(found) > len(ends):
                memory = max(memory, resident_mib(process.pid))
            ends = found
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        shutil.rmtree(directory, ignore_errors=True)
    first, last = ends[0], ends[ROUNDS]
    return (last["tokens"] - first["tokens"]) * 1000 / (last["time_ms"] - first["time_ms"]), memory


def _rounds(directory: Path) -> list[dict[str, Any]]:
    """What the node has written down of its closed rounds."""
    path = directory / "rounds.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [entry for entry in map(json.loads, lines) if entry["round"] > 0]


def compare(threads: int, repeats: int) -> dict[str, Any]:
    """Bare, node, bare, node …, bare: each node run is compared with the loops right before and after it."""
    loops, ratios, memories, speeds = [bare(threads, "ours,textbook")], [], [], []
    for _ in range(repeats):
        speed, memory = node(threads)
        loops.append(bare(threads, "ours,textbook"))
        ratios.append(speed / statistics.mean(loop["ours"] for loop in loops[-2:]))
        speeds.append(speed)
        memories.append(memory)
    ours, textbook = (statistics.median(loop[name] for loop in loops) for name in ("ours", "textbook"))
    report("tokens_per_second", statistics.median(speeds), "tokens/s", None, f"the running node, {threads} threads")
    report("node_vs_bare_loop", statistics.median(ratios), "", 0.95, f"median of {repeats}")
    report("bare_vs_reference", ours / textbook, "", 1.0, f"{ours:.0f} against {textbook:.0f} tokens/s")
    report("rss_total_mib", max(memories), "MiB", RSS_LIMIT_MIB, "node and trainer")
    return {"threads": threads, "loops": loops, "node": speeds, "ratios": ratios, "rss_mib": memories}


@contextmanager
def busy_neighbour() -> Iterator[None]:
    """Another program that wants one core all the time."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def explore() -> list[dict[str, Any]]:
    """What changes the speed of the bare loop here."""
    found = []
    for threads in range(1, (os.cpu_count() or 1) + 1):
        for neighbour in (False, True):
            for policy in ("PASSIVE", "ACTIVE"):
                if neighbour:
                    with busy_neighbour():
                        speeds = bare(threads, "ours,textbook", OMP_WAIT_POLICY=policy)
                else:
                    speeds = bare(threads, "ours,textbook", OMP_WAIT_POLICY=policy)
                entry = {"threads": threads, "busy_neighbour": neighbour, "wait_policy": policy, **speeds}
                print(json.dumps(entry), flush=True)
                found.append(entry)
    compiled = {"threads": 1, "compiled": True, **bare(1, "textbook,compiled")}
    print(json.dumps(compiled), flush=True)
    return [*found, compiled]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench training")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--explore", action="store_true")
    parser.add_argument("--record", type=Path, help="write everything that was measured there")
    options = parser.parse_args(arguments)
    found = explore() if options.explore else compare(options.threads, options.repeats)
    if options.record:
        options.record.write_text(json.dumps(found, indent=1) + "\n")
