"""Reads a second that a node answers while it trains, and what that does to the finality of its blocks.

`python -m bench.people_api --seconds 20`: a node of one trains on one thread; another process reads over kept-alive
connections, 1,000 times a second and then as often as it is answered. `--url` asks a node that runs already.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, cast

from bench.figure import report

ROOT = Path(__file__).parents[1]
PATHS = ("/v1/status", "/v1/blocks", "/v1/blocks/{height}", "/v1/accounts/{address}", "/v1/rounds", "/v1/validators")
RATE_GOAL = 1_000.0  # while finality stays within 1.2 of what it is without readers
PATIENCE_S = 300.0


@dataclass(frozen=True, slots=True)
class Load:
    """How hard to ask. `rate`: reads a second of all connections together; None: as many as are answered."""

    seconds: float
    connections: int
    rate: float | None = None


class Reader(asyncio.Protocol):
    """One connection that asks the next thing when it has been answered and its turn has come."""

    def __init__(self, requests: list[bytes], first: int, load: "Load", done: asyncio.Future[None]) -> None:
        self.requests = cycle(requests[first % len(requests) :] + requests[: first % len(requests)])
        self.done = done
        self.due = time.perf_counter()
        self.end = self.due + load.seconds
        self.pause = load.connections / load.rate if load.rate else 0.0
        self.buffer = bytearray()
        self.wanted = -1
        self.times: list[float] = []
        self.statuses: Counter[int] = Counter()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.ask()

    def ask(self) -> None:
        self.asked = time.perf_counter()
        self.transport.write(next(self.requests))

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.wanted < 0:
            head = self.buffer.find(b"\r\n\r\n")
            if head < 0:
                return
            lines = bytes(self.buffer[:head]).lower().split(b"\r\n")
            length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
            self.wanted = head + 4 + length
            self.statuses[int(lines[0].split()[1])] += 1
        if len(self.buffer) >= self.wanted:
            now = time.perf_counter()
            self.times.append(now - self.asked)
            self.buffer.clear()
            self.wanted = -1
            self.due += self.pause  # who was kept waiting makes up for it
            if max(self.due, now) >= self.end:
                self.transport.close()
            elif self.due > now:
                asyncio.get_running_loop().call_later(self.due - now, self.ask)
            else:
                self.ask()

    def connection_lost(self, _: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def read_all(address: tuple[str, int], paths: list[str], wanted: Load) -> dict[str, Any]:
    host = f"{address[0]}:{address[1]}"
    requests = [f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode() for path in paths]
    loop, readers, ends = asyncio.get_running_loop(), [], []
    begun = time.perf_counter()
    for number in range(wanted.connections):
        done: asyncio.Future[None] = loop.create_future()
        reader = Reader(requests, number, wanted, done)
        await loop.create_connection(lambda reader=reader: reader, *address)
        readers.append(reader)
        ends.append(done)
    await asyncio.gather(*ends)
    lasted = time.perf_counter() - begun
    times = sorted(each for reader in readers for each in reader.times)
    statuses: Counter[int] = sum((reader.statuses for reader in readers), Counter())
    return {"count": len(times), "seconds": lasted, "times": times, "statuses": dict(statuses)}


def load(address: tuple[str, int], paths: list[str], wanted: Load) -> dict[str, Any]:
    """What a process of its own reads."""

    def work(pipe: Any) -> None:
        try:
            import uvloop

            pipe.send(uvloop.run(read_all(address, paths, wanted)))
        except ImportError:
            pipe.send(asyncio.run(read_all(address, paths, wanted)))

    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=work, args=(theirs,))
    process.start()
    found: dict[str, Any] = ours.recv()
    process.join()
    return found


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.loads(answer.read())


@contextmanager
def training_node(profile: str) -> Iterator[str]:
    """The URL of a node that has closed a round and trains on."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        command = [sys.executable, "-m", "node", "--data-dir", str(home), "--profile", profile, "--threads", "1"]
        command += ["--device", "cpu", "--api", "127.0.0.1:0", "--api-rate", "1000000"]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("NEUROSHARD_")}
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        process = subprocess.Popen(command, cwd=ROOT, env=clean, **quiet)  # type: ignore[call-overload]
        try:
            yield _url_of(home, process)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def _url_of(home: Path, process: "subprocess.Popen[bytes]") -> str:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            url = "http://" + json.loads((home / "api.json").read_text())["address"]
            status = get(f"{url}/v1/status")
            if status["closed_rounds"] >= 1 and status["step"] > 0:
                return url
        except (OSError, ValueError):
            pass
        time.sleep(0.2)
    raise SystemExit("the node did not close a round")


def finality(url: str) -> tuple[float, float]:
    """Blocks whose finality the node has measured since its start, and their milliseconds together."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:
        lines = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if not line.startswith("#"))
    return float(lines["neuroshard_block_finality_ms_count"]), float(lines["neuroshard_block_finality_ms_sum"])


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench.people_api", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--rate", type=float, default=RATE_GOAL, help="reads a second, before it reads all it can")
    parser.add_argument("--profile", default="dev")
    parser.add_argument("--paths", nargs="*", default=list(PATHS))
    parser.add_argument("--url", help="a node that runs already, with a high --api-rate")
    options = parser.parse_args(arguments)
    if options.url:
        measure(options.url, options)
        return
    with training_node(options.profile) as url:
        measure(url, options)


def measure(url: str, options: argparse.Namespace) -> None:
    status = get(f"{url}/v1/status")
    names = {"height": status["height"], "address": status["address"]}
    paths = [path.format(**names) for path in options.paths]
    host, _, port = url.removeprefix("http://").rpartition(":")
    address = (host, int(port))
    before = finality(url)
    time.sleep(options.seconds)
    quiet = told(url, before, "finality_quiet_ms", None)
    for name, rate in (("paced", options.rate), ("full", None)):
        before = finality(url)
        found = load(address, paths, Load(options.seconds, options.connections, rate))
        told(url, before, f"finality_{name}_ms", quiet)
        wrong = {status: count for status, count in found["statuses"].items() if status != 200}
        note = f"{options.connections} connections, {len(paths)} paths, {options.profile}, {wrong or 'all 200'}"
        suffix = "" if name == "full" else "_paced"
        report(f"api_reads_per_s{suffix}", found["count"] / found["seconds"], "1/s", RATE_GOAL, note)
        for share in (50, 99):
            at = found["times"][min(len(found["times"]) - 1, len(found["times"]) * share // 100)]
            report(f"api_read_p{share}_ms{suffix}", 1000 * at, "ms")


def told(url: str, before: tuple[float, float], name: str, reference: float | None) -> float:
    """The mean of the blocks since then, in milliseconds."""
    count, total = (now - then for now, then in zip(finality(url), before, strict=True))
    pace = get(f"{url}/v1/status")["tokens_per_second"]
    report(name, total / count, "ms", reference, f"mean of {count:.0f} blocks, {pace:.0f} tokens/s trained")
    return total / count


if __name__ == "__main__":
    main(sys.argv[1:])
