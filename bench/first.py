"""A fresh node on an empty directory: how soon it has a block, has earned, and knows more than a bigram.

.venv/bin/python -m bench first --minutes 5 [--record docs/results/first_minutes.json]
"""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.figure import report
from node.commands.status import ask
from node.errors import NodeError

POLL_SECONDS = 1.0


def resident_mib(process: int) -> float:
    """Resident memory of a process and its children, MiB."""
    total = 0.0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "status").read_text()
        except OSError:
            continue
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        if folder.name == str(process) or fields["PPid"].strip() == str(process):
            total += int(fields.get("VmRSS", "0 kB").split()[0]) / 1024
    return total


def watch(process: subprocess.Popen[bytes], directory: Path, seconds: float) -> list[dict[str, Any]]:
    """Samples of a running node's status, with the time since its start and its memory."""
    begun, samples = time.monotonic(), []
    while time.monotonic() - begun < seconds and process.poll() is None:
        time.sleep(POLL_SECONDS)
        try:
            status = ask(directory)
        except NodeError:
            continue
        samples.append({**status, "seconds": time.monotonic() - begun, "rss_mib": resident_mib(process.pid)})
    return samples


def first(samples: list[dict[str, Any]], reached: Callable[[dict[str, Any]], bool]) -> float | None:
    """Seconds until the first sample that has reached a mark, None if none has."""
    return next((sample["seconds"] for sample in samples if reached(sample)), None)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench first")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--record", type=Path, help="write all figures and the loss curve there")
    options = parser.parse_args(arguments)
    directory = Path(tempfile.mkdtemp(prefix="neuroshard-first-"))
    command = [sys.executable, "-m", "node", "--data-dir", str(directory)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    try:
        samples = watch(process, directory, options.minutes * 60)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        shutil.rmtree(directory)
    if not samples:
        sys.exit("the node never answered")
    marks = figures(samples, options.minutes * 60)
    if options.record:
        content = {"bigram_loss": samples[-1]["bigram_loss"], **marks, "curve": curve(samples)}
        options.record.write_text(json.dumps(content, indent=1) + "\n")


MARKS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "seconds_to_first_block": lambda s: s["height"] > 0,
    "seconds_to_first_proof": lambda s: s["tokens_trained"] > 0,
    "seconds_to_first_reward": lambda s: int(s["minted_nanos"]) > 0,
    "seconds_below_bigram": lambda s: (s["validation_loss"] or 99) < (s["bigram_loss"] or 0),
}


def figures(samples: list[dict[str, Any]], limit: float) -> dict[str, float | None]:
    """Report every figure, and return it under the name that it was reported by."""
    last = samples[-1]
    found: dict[str, float | None] = {}
    for name, reached in MARKS.items():
        at = found[name] = first(samples, reached)
        report(name, at, "s", limit, "not reached within the reference" if at is None else "")
    loss = found["validation_loss"] = last["validation_loss"]
    note = "not measured yet" if loss is None else "reference: the bigram"
    report("validation_loss", loss, "nats/token", last["bigram_loss"], note)
    speed = found["tokens_per_second"] = last["tokens_trained"] / last["seconds"]
    report("tokens_per_second", speed, "tokens/s", None, "of the whole run, start-up included")
    memory = found["rss_total_mib"] = max(sample["rss_mib"] for sample in samples)
    report("rss_total_mib", memory, "MiB", 2048, "node and trainer; a 2 GB machine")
    return found


def curve(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One point for each change of the validation loss."""
    points: list[dict[str, Any]] = []
    for sample in samples:
        loss = sample["validation_loss"]
        if loss is not None and (not points or points[-1]["validation_loss"] != loss):
            points.append(
                {"seconds": round(sample["seconds"], 1), "tokens": sample["tokens_trained"], "validation_loss": loss}
            )
    return points
