"""Averaging one vector among peers on this machine: ours beside hivemind, with a liar, and with one that is killed.

Every peer is a process of its own. Bytes are those of the loopback interface of a network namespace that nobody else
is in, with all headers; without root they are those of the machine's, where others may talk too.
"""

import argparse
import json
import os
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.figure import report

PARAMETERS, SCALE = 1_000_000, 0.01
COUNTS = (4, 8)
REPEATS = 3
PATIENCE_S = 5.0  # for a peer that is gone; hivemind_peer.py has the same
STEP_S, HEAR_S = 60.0, 120.0
LIAR = 1_000  # times as large as an honest vector
LOOPBACK = Path("/sys/class/net/lo/statistics/tx_bytes")
ROOT = Path(__file__).parent.parent
COMPRESSIONS = ("none", "float16", "uniform8")


class Peer:
    """A process that answers lines with JSON objects."""

    def __init__(self, command: Sequence[str]) -> None:
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            start_new_session=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        self.address: list[str] = []

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return  # It has been killed: it will not answer either.

    def hear(self) -> dict[str, Any] | None:
        """Its answer; None if it is gone, or says nothing for HEAR_S: then it is ended."""
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], HEAR_S)[0]:
            self.kill()
        line = self.process.stdout.readline()
        return json.loads(line) if line else None

    def kill(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return


@dataclass(frozen=True, slots=True)
class Averaged:
    """One averaging: seconds until the last had its result, bytes, and what each peer that is left got."""

    seconds: float
    size: int
    results: list[NDArray[np.float32]]
    notes: str = ""


class Group:
    """Peers of one system and their vectors. `average` is one averaging of all."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self.count = count
        self.peers: list[Peer] = []
        self.killed: set[int] = set()

    def vector(self, number: int) -> Path:
        return self.folder / f"vector-{number}.npy"

    def put(self, vectors: Sequence[NDArray[np.float32]]) -> None:
        for number, vector in enumerate(vectors):
            np.save(self.vector(number), vector)

    @property
    def alive(self) -> list[int]:
        return [number for number in range(self.count) if number not in self.killed]

    def all(
        self, line: Callable[[int], str], meanwhile: Callable[[], None] = lambda: None
    ) -> dict[int, dict[str, Any]]:
        """Tell all that are alive, and what they answer."""
        asked = self.alive
        for number in asked:
            self.peers[number].tell(line(number))
        meanwhile()
        answers = {number: self.peers[number].hear() for number in asked}
        return {number: answer for number, answer in answers.items() if answer is not None}

    def results(self) -> list[NDArray[np.float32]]:
        return [np.load(f"{self.vector(number)}.average.npy") for number in self.alive]

    def kill_at(self, victim: int, size: int) -> Callable[[], None]:
        """A callback that kills a peer once so many bytes more have passed, at the latest after a second."""
        begin = passed()

        def kill() -> None:
            deadline = time.monotonic() + STEP_S
            while passed() - begin < size and time.monotonic() < deadline:
                time.sleep(0.001)
            self.peers[victim].kill()
            self.killed.add(victim)

        return kill

    def close(self) -> None:
        for peer in self.peers:
            peer.kill()
            peer.process.wait()


def passed() -> int:
    return int(LOOPBACK.read_text())


class Hivemind(Group):
    def __init__(self, folder: Path, count: int, python: Path, compression: str) -> None:
        super().__init__(folder, count)
        self.command = [str(python), str(ROOT / "bench/hivemind_peer.py")]
        self.compression = compression
        self.version = ""

    def start(self) -> None:
        def peer(number: int, known: list[str]) -> Peer:
            words = [str(self.vector(number)), str(self.count), self.compression, *known]
            return Peer([*self.command, *words])

        self.peers = [peer(0, [])]
        first = self.peers[0].hear()
        if first is None:
            raise SystemExit(f"hivemind does not run under {self.command[0]}")
        self.version = first["version"]
        self.peers += [peer(number, first["addresses"]) for number in range(1, self.count)]
        for each in self.peers[1:]:
            each.hear()

    def average(self, meanwhile: Callable[[], None] = lambda: None) -> Averaged:
        before, begun = passed(), time.monotonic()
        answers = self.all(lambda _: f"step {STEP_S}", meanwhile)
        seconds, size = time.monotonic() - begun, passed() - before
        groups = sorted(answer["group"] for answer in answers.values())
        errors = sorted({answer["error"] for answer in answers.values() if answer["error"]})
        return Averaged(seconds, size, self.results(), f"groups of {groups} {'; '.join(errors)}".strip())


class Ours(Group):
    def start(self) -> None:
        self.peers = [
            Peer([sys.executable, "-m", "bench.diloco_exchange", str(self.vector(n))]) for n in range(self.count)
        ]
        for peer in self.peers:
            found = peer.hear()
            assert found is not None, "a peer of ours did not start"
            peer.address = found["addresses"]

    def average(self, meanwhile: Callable[[], None] = lambda: None) -> Averaged:
        before, begun = passed(), time.monotonic()
        encoded = self.all(lambda _: "encode")
        names = [f"{answer['root']}@{self.peers[number].address[0]}" for number, answer in encoded.items()]
        held = self.all(lambda _: f"fetch {PATIENCE_S} {' '.join(names)}", meanwhile)
        holders = {name: [number for number, answer in held.items() if name in answer["held"]] for name in names}
        counted = [
            f"{name.partition('@')[0]}@{self.peers[numbers[0]].address[0]}"
            for name, numbers in holders.items()
            if 3 * len(numbers) > 2 * self.count
        ]
        given = self.all(lambda _: f"outer {' '.join(counted)}")
        seconds, size = time.monotonic() - begun, passed() - before
        same = len({answer["aggregate"] for answer in given.values()})
        return Averaged(seconds, size, self.results(), f"{len(counted)} payloads counted, {same} different result(s)")


def vectors(count: int, seed: int) -> list[NDArray[np.float32]]:
    """What replicas of one model might have learnt: half of it the same for all."""
    chance = np.random.default_rng(seed)
    common = chance.standard_normal(PARAMETERS)
    return [(SCALE * (common + chance.standard_normal(PARAMETERS))).astype(np.float32) for _ in range(count)]


def error(averaged: Averaged, wanted: NDArray[np.float32], but: int | None = None) -> float:
    """The largest distance of an honest peer's result from the mean of the honest vectors, over that mean's norm."""
    found = [result for number, result in enumerate(averaged.results) if number != but]
    return float(max(np.linalg.norm(result - wanted) for result in found) / np.linalg.norm(wanted))


class Scenes:
    """What is done with one group. Every averaging has vectors of its own, so that nothing is there already."""

    def __init__(self, name: str, group: Group) -> None:
        self.name = f"{name}_{group.count}"
        self.group = group
        self.words = f"{group.count} peers, {PARAMETERS} parameters"
        self.seed = 0

    def fresh(self) -> list[NDArray[np.float32]]:
        self.seed += 1
        return vectors(self.group.count, self.seed)

    def play(self) -> None:
        """The killed peer is the last scene."""
        self.group.put(self.fresh())
        self.group.start()
        self.group.average()  # The first one finds the others.
        size = self.honest()
        self.liar()
        self.killed(size)

    def honest(self) -> float:
        runs, errors = [], []
        for _ in range(REPEATS):
            honest = self.fresh()
            self.group.put(honest)
            runs.append(self.group.average())
            errors.append(error(runs[-1], np.mean(honest, axis=0)))
        seconds = [run.seconds for run in runs]
        size = statistics.median(run.size for run in runs)
        note = (
            f"{min(seconds):.2f} to {max(seconds):.2f}; {self.words}; {', '.join(sorted({run.notes for run in runs}))}"
        )
        report(f"{self.name}_seconds", statistics.median(seconds), "s", note=note)
        note = f"of each peer, all headers; {self.words}; reference: the vector in fp32"
        report(f"{self.name}_bytes", size / self.group.count, "B", 4.0 * PARAMETERS, note)
        report(f"{self.name}_error", max(errors), "", note="from the mean, over its norm")
        return size

    def liar(self) -> None:
        honest = self.fresh()[:-1]
        garbage = (LIAR * SCALE * np.random.default_rng(99).standard_normal(PARAMETERS)).astype(np.float32)
        self.group.put([*honest, garbage])
        run = self.group.average()
        note = f"one peer sends noise {LIAR} times as large; from the mean of the others; {run.notes}"
        report(f"{self.name}_liar_error", error(run, np.mean(honest, axis=0), self.group.count - 1), "", note=note)

    def killed(self, size: float) -> None:
        honest = self.fresh()
        self.group.put(honest)
        run = self.group.average(self.group.kill_at(self.group.count - 1, round(size / 2)))
        note = f"one peer is killed when half of the bytes have passed; {run.notes}"
        report(f"{self.name}_killed_seconds", run.seconds, "s", note=note)
        mean = np.mean(honest, axis=0)
        spread = max(float(np.linalg.norm(each - run.results[0])) for each in run.results) / float(np.linalg.norm(mean))
        note = f"from the mean of all; results of peers lie up to {spread:.3g} apart"
        report(f"{self.name}_killed_error", error(run, mean), "", note=note)


@contextmanager
def closing(group: Group) -> Iterator[Group]:
    try:
        yield group
    finally:
        group.close()


def run(python: Path | None) -> None:
    for count in COUNTS:
        with tempfile.TemporaryDirectory() as folder, closing(Ours(Path(folder), count)) as ours:
            Scenes("ours", ours).play()
        for compression in COMPRESSIONS if python is not None else ():
            assert python is not None
            with tempfile.TemporaryDirectory() as folder:
                group = Hivemind(Path(folder), count, python, compression)
                with closing(group):
                    Scenes(f"hivemind_{compression}", group).play()


def tell(python: Path | None) -> None:
    """The figures, in a namespace of its own if that is allowed."""
    words = ["-m", "bench.diloco_peers", *(["--hivemind", str(python)] if python else [])]
    name = f"bench-{os.getpid()}"
    if os.geteuid() == 0 and subprocess.run(["ip", "netns", "add", name], check=False).returncode == 0:
        try:
            subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
            subprocess.run(["ip", "netns", "exec", name, sys.executable, *words], cwd=ROOT, check=True)
        finally:
            subprocess.run(["ip", "netns", "del", name], check=False)
    else:
        run(python)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--hivemind", type=Path)
    run(parser.parse_args().hivemind)
