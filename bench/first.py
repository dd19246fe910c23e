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


def first(samples: list[dict[str, Any]], reached: Any) -> float | None:
    return next((sample["seconds"] for sample in samples if reached(sample)), None)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench first")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--record", type=Path, help="write the loss curve there")
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
    limit = options.minutes * 60
    marks = {
        "seconds_to_first_block": lambda s: s["height"] > 0,
        "seconds_to_first_proof": lambda s: s["tokens_trained"] > 0,
        "seconds_to_first_reward": lambda s: int(s["minted_nanos"]) > 0,
        "seconds_below_bigram": lambda s: (s["validation_loss"] or 99) < (s["bigram_loss"] or 0),
    }
    for name, reached in marks.items():
        at = first(samples, reached)
        report(name, limit if at is None else at, "s", limit, "not reached" if at is None else "")
    last = samples[-1]
    report("validation_loss", last["validation_loss"], "nats/token", last["bigram_loss"], "reference: the bigram")
    report(
        "tokens_per_second",
        last["tokens_trained"] / last["seconds"],
        "tokens/s",
        None,
        "of the whole run, start-up included",
    )
    report(
        "rss_total_mib", max(sample["rss_mib"] for sample in samples), "MiB", 2048, "node and trainer; a 2 GB machine"
    )
    if options.record:
        options.record.write_text(
            json.dumps({"bigram_loss": last["bigram_loss"], "curve": curve(samples)}, indent=1) + "\n"
        )


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
