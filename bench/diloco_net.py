"""A local network that trains, metered: started, watched until it has closed some rounds, ended. Start at `observe`."""

import asyncio
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from node.localnet.crew import Crew, Member
from node.localnet.hosts import Loopback, Namespaces, Place
from node.localnet.plan import Plan, Wishes, prepared
from node.network_file import kept_network
from node.template import Learning

LOOK_SECONDS = 0.5
BURST_BYTES = 262_144  # of a token bucket: more than a timer tick of the fastest line carries
QUEUE_MS = 200
KILLED_ROUND = 3
STEPS_SEEN = 2  # reports of progress in the round after the last
METER, NOTE = "meter-{}.jsonl", "seen.json"
Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wish:
    """A network to observe. Rates in Mbit/s, None: as fast as the machine; they need root and `tc`."""

    nodes: int = 4
    founders: int = 4
    profile: str = "dev"
    numbers: tuple[str, ...] = ()
    rounds: int = 3
    up: int | None = None
    down: int | None = None
    patience_s: int = 900
    killed: int | None = None  # this node, in the middle of round KILLED_ROUND


class MeteredCrew(Crew):
    """Nodes with a meter, see `bench.diloco_member`."""

    program = "bench.diloco_member"

    def spawn(self, number: int, environment: Mapping[str, str] | None = None) -> Member:
        return super().spawn(number, {"BENCH_METER": str(meter_of(self.plan, number)), **(environment or {})})


@dataclass(frozen=True, slots=True)
class Seen:
    """What the meters of all nodes wrote, by node."""

    wish: Wish
    lines: list[list[Line]]
    fragment_sizes: tuple[int, ...]
    inner_steps: int
    batch_tokens: int
    load: tuple[float, float]  # of the machine, at the start and at the end
    hosts: str

    @property
    def parameters(self) -> int:
        return sum(self.fragment_sizes)

    def of(self, number: int, kind: str, what: str = "") -> Iterator[Line]:
        return (each for each in self.lines[number] if each["kind"] == kind and what in ("", each.get("what")))


def meter_of(plan: Plan, number: int) -> Path:
    return plan.root / "output" / METER.format(number)


def read(path: Path) -> list[Line]:
    """All whole lines."""
    if not path.exists():
        return []
    text = path.read_text("ascii")
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def closed_rounds(lines: Sequence[Line]) -> int:
    return sum(each["kind"] == "block" and "RoundClosed" in each["receipts"] for each in lines)


def is_enough(lines: Sequence[Line], wish: Wish) -> bool:
    """Whether the wanted rounds have closed, and training of the one after them has begun."""
    if closed_rounds(lines) < wish.rounds:
        return False
    places = [each["round"] for each in lines if each["kind"] == "block" and each["round"] is not None]
    number = max(number for number, _ in places)
    steps = [each for each in lines if each.get("what") == "Stepped" and each["round"] == number]
    return len(steps) >= STEPS_SEEN


def is_halfway(lines: Sequence[Line], steps: int) -> bool:
    """Whether this node is in the middle of round KILLED_ROUND, or further."""
    return any(
        each.get("what") == "Stepped" and each["round"] == KILLED_ROUND and 2 * each["step"] >= steps for each in lines
    )


@contextmanager
def _places(wish: Wish, root: Path) -> Iterator[tuple[list[Place], str]]:
    if wish.up is None:
        with Loopback().places(wish.nodes) as places:
            yield places, "loopback"
        return
    hosts = Namespaces(root)
    with hosts.places(wish.nodes) as places:
        for number in range(wish.nodes):
            _limit(["-n", hosts.name(number)], "eth0", wish.up)
            _limit([], f"{hosts.bridge}-{number}", wish.down or wish.up)
        yield places, f"network namespaces, {wish.up} Mbit/s up, {wish.down} Mbit/s down (token buckets)"


def _limit(where: list[str], device: str, mbit: int) -> None:
    bucket = f"root tbf rate {mbit}mbit burst {BURST_BYTES} latency {QUEUE_MS}ms"
    subprocess.run(["tc", *where, "qdisc", "replace", "dev", device, *bucket.split()], check=True)


async def _watch(crew: Crew, wish: Wish) -> None:
    deadline = time.monotonic() + wish.patience_s
    steps = kept_network(crew.plan.network).params.inner_steps
    crew.start()
    left = list(crew.members)
    while time.monotonic() < deadline:
        await asyncio.sleep(LOOK_SECONDS)
        for member in left:
            if not member.runs:
                raise SystemExit(f"node {member.number} {member.end}")
        lines = [read(meter_of(crew.plan, number)) for number in range(wish.nodes)]
        if wish.killed is not None and len(left) == wish.nodes and is_halfway(lines[wish.killed], steps):
            os.killpg(left.pop(wish.killed).process.pid, signal.SIGKILL)
        if all(is_enough(lines[member.number], wish) for member in left):
            break
    await crew.stop()


def observe(wish: Wish, folder: Path | None = None) -> Seen:
    """Run the network in `folder` (else in one that is removed) and return what was seen."""
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="neuroshard-diloco-") as made:
            return observe(wish, Path(made) / "net")
    load = os.getloadavg()[0]
    folder.mkdir(parents=True, exist_ok=True)
    plan = prepared(folder, Wishes(wish.nodes, wish.founders, wish.profile, wish.numbers))
    threads = max(1, (os.cpu_count() or 1) // wish.nodes)
    with _places(wish, folder) as (places, hosts):
        crew = MeteredCrew(plan, places, ["--training", "--threads", str(threads)], {})
        try:
            asyncio.run(_watch(crew, wish))
        finally:
            crew.kill()
    note = {"wish": asdict(wish), "load": (load, os.getloadavg()[0]), "hosts": hosts}
    (folder / "output" / NOTE).write_text(json.dumps(note))
    return seen_in(folder)


def seen_in(folder: Path) -> Seen:
    """What was seen in the network of a folder."""
    note = json.loads((folder / "output" / NOTE).read_text())
    wish = Wish(**{**note["wish"], "numbers": tuple(note["wish"]["numbers"])})
    network = kept_network(folder / "network")
    lines = [read(folder / "output" / METER.format(number)) for number in range(wish.nodes)]
    params, sizes = network.params, Learning.of(network).fragment_sizes
    return Seen(wish, lines, sizes, params.inner_steps, params.batch_tokens, tuple(note["load"]), note["hosts"])
