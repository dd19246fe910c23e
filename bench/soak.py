"""A node for an hour as `make run` starts it: loss, memory, file descriptors, and disk by kind.

.venv/bin/python -m bench soak --minutes 60 --record docs/results/soak     writes soak.jsonl, soak.md, soak.png
Samples are written as they come, so that an end in the middle loses nothing. The plot needs `make bench`.
"""

import argparse
import json
import signal
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.figure import report
from node.commands.status import ask
from node.errors import NodeError

SAMPLE_SECONDS = 10
# The corpus is read, the first model saved and every table of the program filled before growth is looked at.
SETTLED_SECONDS = 600
DAY_SECONDS = 86_400
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Sample:
    """What a running node takes, `seconds` after its start. Sizes in bytes."""

    seconds: float
    height: int
    rounds: int
    tokens: int
    validation_loss: float | None
    minted_nanos: str
    rss_node: int
    rss_trainer: int
    descriptors: int
    cpu_seconds: float
    disk: dict[str, int]


def disk_by_kind(directory: Path) -> dict[str, int]:
    """Bytes under each entry of a data directory."""
    return {entry.name: _bytes(entry) for entry in sorted(directory.iterdir())}


def _bytes(path: Path) -> int:
    total = 0
    for file in [path, *path.rglob("*")] if path.is_dir() else [path]:
        try:
            total += file.stat().st_size if file.is_file() else 0
        except OSError:
            continue  # replaced meanwhile
    return total


def take(node: psutil.Process, directory: Path, begun: float) -> Sample | None:
    """A sample, None if the node does not answer."""
    try:
        status = ask(directory)
        trainers = [child for child in node.children() if any("trainer_main" in part for part in child.cmdline())]
        processes = [node, *trainers]
        return Sample(
            seconds=round(time.monotonic() - begun, 1),
            height=status["height"],
            rounds=status["closed_rounds"],
            tokens=status["tokens_trained"],
            validation_loss=status["validation_loss"],
            minted_nanos=status["minted_nanos"],
            rss_node=node.memory_info().rss,
            rss_trainer=sum(child.memory_info().rss for child in trainers),
            descriptors=sum(process.num_fds() for process in processes),
            cpu_seconds=round(sum(sum(process.cpu_times()[:2]) for process in processes), 1),
            disk=disk_by_kind(directory),
        )
    except (NodeError, psutil.Error):
        return None


def watch(directory: Path, seconds: float, log: Path) -> list[Sample]:
    """Run `make run` for that long."""
    begun, samples = time.monotonic(), []
    arguments = f"ARGS=--data-dir {directory} --api 127.0.0.1:0"
    make = subprocess.Popen(["make", "run", arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    node: psutil.Process | None = None
    with log.open("w") as lines:
        while time.monotonic() - begun < seconds and make.poll() is None:
            time.sleep(SAMPLE_SECONDS)
            node = node or _node_of(make.pid)
            sample = node and take(node, directory, begun)
            if sample:
                samples.append(sample)
                lines.write(json.dumps(asdict(sample)) + "\n")
                lines.flush()
    if node is not None and node.is_running():
        node.send_signal(signal.SIGINT)
    make.wait(60)
    return samples


def _node_of(make: int) -> psutil.Process | None:
    """The node among the processes that make has started."""
    for child in psutil.Process(make).children(recursive=True):
        command = child.cmdline()
        if any(part.endswith("neuroshard") for part in command):
            return child
    return None


def slope(samples: list[Sample], value: Any) -> float:
    """Growth per second once settled: a line through the samples by least squares."""
    settled = [sample for sample in samples if sample.seconds >= SETTLED_SECONDS] or samples
    times = [sample.seconds for sample in settled]
    values = [value(sample) for sample in settled]
    middle, height = sum(times) / len(times), sum(values) / len(values)
    spread = sum((at - middle) ** 2 for at in times)
    return sum((at - middle) * (v - height) for at, v in zip(times, values, strict=True)) / spread if spread else 0.0


def table(samples: list[Sample]) -> str:
    """The hour in figures, as Markdown."""
    first, last = samples[0], samples[-1]
    settled = next((sample for sample in samples if sample.seconds >= SETTLED_SECONDS), first)
    rows = [
        ("validation loss", f"{first.validation_loss} → {last.validation_loss}"),
        ("tokens trained", f"{last.tokens:,} ({last.tokens / last.seconds:,.0f} a second)"),
        ("blocks, rounds", f"{last.height:,}, {last.rounds}"),
        ("minted, nanos", last.minted_nanos),
        ("processor time, cores used", f"{last.cpu_seconds / last.seconds:.2f}"),
    ]
    for name, value in (("node", lambda s: s.rss_node), ("trainer", lambda s: s.rss_trainer)):
        per_hour = slope(samples, value) * 3600 / MIB
        rows.append(
            (
                f"memory of the {name}",
                f"{value(settled) / MIB:.0f} → {value(last) / MIB:.0f} MiB ({per_hour:+.1f} MiB an hour)",
            )
        )
    per_hour = slope(samples, lambda s: s.descriptors) * 3600
    rows.append(("file descriptors", f"{settled.descriptors} → {last.descriptors} ({per_hour:+.1f} an hour)"))
    for kind in sorted(last.disk, key=lambda name: -last.disk[name]):
        grown = slope(samples, lambda s, kind=kind: s.disk.get(kind, 0)) * DAY_SECONDS / MIB
        rows.append((f"disk: {kind}", f"{last.disk[kind] / MIB:.2f} MiB, {grown:+.1f} MiB a day"))
    lines = [f"After {last.seconds / 60:.0f} minutes; growth is taken from minute {SETTLED_SECONDS // 60} on.", ""]
    return "\n".join([*lines, "| Kind | Seen |", "|---|---|", *(f"| {name} | {seen} |" for name, seen in rows)]) + "\n"


def plot(samples: list[Sample], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    minutes = [sample.seconds / 60 for sample in samples]
    figure, axes = pyplot.subplots(2, 2, figsize=(11, 7), layout="constrained")
    axes[0][0].plot(minutes, [sample.validation_loss for sample in samples])
    axes[0][0].set_title("validation loss, nats per token")
    axes[0][1].plot(minutes, [sample.rss_node / MIB for sample in samples], label="node")
    axes[0][1].plot(minutes, [sample.rss_trainer / MIB for sample in samples], label="trainer")
    axes[0][1].set_ylim(bottom=0)
    axes[0][1].set_title("resident memory, MiB")
    axes[0][1].legend()
    axes[1][0].plot(minutes, [sample.descriptors for sample in samples])
    axes[1][0].set_ylim(bottom=0)
    axes[1][0].set_title("open file descriptors, both processes")
    kinds = sorted(samples[-1].disk, key=lambda name: -samples[-1].disk[name])[:6]
    for kind in kinds:
        axes[1][1].plot(minutes, [sample.disk.get(kind, 0) / MIB for sample in samples], label=kind)
    axes[1][1].set_title("disk by kind, MiB")
    axes[1][1].legend()
    for axis in axes.flat:
        axis.set_xlabel("minutes")
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench soak")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--record", type=Path, default=Path("soak"))
    parser.add_argument("--draw", action="store_true", help="draw an earlier record's table and plot again")
    options = parser.parse_args(arguments)
    log = options.record.with_suffix(".jsonl")
    if options.draw:
        samples = [Sample(**json.loads(line)) for line in log.read_text().splitlines()]
    else:
        with tempfile.TemporaryDirectory(prefix="neuroshard-soak-") as directory:
            samples = watch(Path(directory) / "node", options.minutes * 60, log)
    options.record.with_suffix(".md").write_text(table(samples))
    plot(samples, options.record.with_suffix(".png"))
    memory = max((sample.rss_node + sample.rss_trainer) / MIB for sample in samples)
    report("rss_total_mib", memory, "MiB", 1200, f"peak of {len(samples)} samples")
    report("validation_loss", samples[-1].validation_loss, "nats/token")
