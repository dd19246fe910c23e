"""A network of real node processes for benchmarks, watched over their API. Start reading at `running`.

All processes share this machine's clock, so the time that a block carries (its leader's clock, when it began to build
it) can be compared with the time at which another process tells that the block is final.
"""

import asyncio
import json
import os
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from bench.ledger_disk import fund
from chain.block import Header
from chain.genesis import Network
from node.key_value import open_key_value
from node.localnet.crew import Crew, Member
from node.localnet.hosts import Place
from node.localnet.plan import Plan, Wishes, prepared
from node.network_file import kept_network
from node.store import Store

START_SECONDS = 300.0
BENCH = "bench"  # agent of peers that are no nodes
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Seen:
    """A final block, as one node told it."""

    height: int
    time_ms: int  # that the block carries
    told_ms: int  # when the node's event arrived here
    transactions: int

    @property
    def finality_ms(self) -> int:
        return self.told_ms - self.time_ms


@dataclass(slots=True)
class Watch:
    """What one node says of its blocks, from its event stream."""

    blocks: dict[int, Seen] = field(default_factory=dict)
    transactions: int = 0

    def add(self, block: Mapping[str, Any]) -> None:
        seen = Seen(block["height"], block["time_ms"], time.time_ns() // 1_000_000, block["transactions"])
        self.blocks[seen.height] = seen
        self.transactions += seen.transactions


class Net:
    """The processes and what is known of them."""

    def __init__(self, crew: Crew, network: Network, session: aiohttp.ClientSession) -> None:
        self.crew, self.network, self.session = crew, network, session
        self.watches = [Watch() for _ in crew.members]
        self._listening: list[asyncio.Task[None]] = []

    @property
    def running(self) -> list[Member]:
        return [member for member in self.crew.members if member.runs]

    async def ask(self, member: Member, path: str) -> Any:
        """The JSON at a path of a node's API. Raises OSError, aiohttp.ClientError or TimeoutError."""
        url = f"http://{member.place.api}{path}"
        async with self.session.get(url, timeout=aiohttp.ClientTimeout(10)) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def until_ready(self, height: int = 3) -> None:
        """Wait until all know each other and blocks become final."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if len(self.running) < len(self.crew.members):
                ended = next(member for member in self.crew.members if not member.runs)
                raise SystemExit(f"node {ended.number} {ended.end}")
            with suppress(OSError, TimeoutError, aiohttp.ClientError):
                found = [await self.ask(member, "/v1/status") for member in self.running]
                others = len(self.crew.members) - 1
                if all(each["peers"] >= others and each["height"] >= height for each in found):
                    return
            await asyncio.sleep(0.2)
        root = self.crew.plan.root
        raise SystemExit(f"no blocks within {START_SECONDS:.0f} s: the machine is too busy, or see {root}")

    def listen(self) -> None:
        """Follow the event streams of all nodes."""
        for member, watch in zip(self.crew.members, self.watches, strict=True):
            self._listening.append(asyncio.create_task(self._follow(member, watch)))

    async def _follow(self, member: Member, watch: Watch) -> None:
        url = f"http://{member.place.api}/v1/events"
        with suppress(OSError, aiohttp.ClientError):  # A node that is killed ends its stream so.
            async with self.session.get(url, timeout=aiohttp.ClientTimeout(None)) as answer:
                kind = b""
                async for line in answer.content:
                    if line.startswith(b"event: "):
                        kind = line[7:].strip()
                        if kind == b"dropped":
                            raise SystemExit("this benchmark did not keep up with the events of a node")
                    elif line.startswith(b"data: ") and kind == b"block":
                        watch.add(json.loads(line[6:]))

    async def headers(self, heights: Iterable[int]) -> list[Header]:
        """Final blocks' headers, of a node that runs."""
        found = []
        for height in heights:
            block = await self.ask(self.running[0], f"/v1/blocks/{height}")
            found.append(Header.decode(bytes.fromhex(block["header"])))
            await asyncio.sleep(0.025)  # The API answers fifty questions a second.
        return found

    async def traffic(self) -> list[tuple[int, int]]:
        """Messages and bytes, sent and received together, of each node with the other nodes, since they met."""
        found = []
        for member in self.running:
            peers = [each for each in (await self.ask(member, "/v1/peers"))["peers"] if each["agent"] != BENCH]
            words = ("messages_in", "messages_out"), ("bytes_in", "bytes_out")
            messages, size = (sum(peer[word] for peer in peers for word in pair) for pair in words)
            found.append((messages, size))
        return found

    def processor_seconds(self) -> list[float]:
        """Of each node that runs, since its start."""
        found = []
        for member in self.running:
            spent = psutil.Process(member.process.pid).cpu_times()
            found.append(spent.user + spent.system)
        return found

    def resident_mib(self) -> list[float]:
        return [psutil.Process(member.process.pid).memory_info().rss / MIB for member in self.running]

    async def stop(self) -> None:
        for task in self._listening:
            task.cancel()
        await asyncio.gather(*self._listening, return_exceptions=True)
        await self.crew.stop()


@contextmanager
def _environment(values: Mapping[str, str]) -> Any:
    """Environment variables for what is started within."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def give_money(plan: Plan, network: Network, addresses: Sequence[bytes]) -> None:
    """Every node's ledger begins with the same money for these addresses, counted as minted."""
    for number in range(plan.nodes):
        home = plan.home(number)
        (home / "network").write_bytes(plan.network.read_bytes())
        store = Store(open_key_value(home / "ledger"), network)
        fund(store, addresses)
        store.close()


def free_places(count: int) -> list[Place]:
    """Two ports for each node, far from those that a local network of a user takes."""
    with ExitStack() as held:  # All are held until the last is found, so that none is given twice.
        ports = []
        for _ in range(2 * count):
            stream = held.enter_context(socket.socket())
            stream.bind(("127.0.0.1", 0))
            ports.append(f"127.0.0.1:{stream.getsockname()[1]}")
    return [Place(listen, api) for listen, api in zip(ports[::2], ports[1::2], strict=True)]


@asynccontextmanager
async def running(
    numbers: Mapping[str, int],
    addresses: Any = (),
    environment: Mapping[str, str] | None = None,
    nodes: int = 4,
    arguments: Sequence[str] = (),
) -> AsyncIterator[Net]:
    """`nodes` bootstrap validators that do not train, all connected, until the block of code ends.

    `numbers` replace parameters of the profile `lab`; `addresses(network)` have money from the start.
    """
    with tempfile.TemporaryDirectory(prefix="neuroshard-net-") as folder, _environment(environment or {}):
        words = tuple(f"{name}={value}" for name, value in numbers.items())
        plan = prepared(Path(folder), Wishes(nodes, nodes, "lab", words))
        network = kept_network(plan.network)
        if addresses:
            give_money(plan, network, addresses(network))
        crew = Crew(plan, free_places(nodes), ["--no-training", *arguments], {})
        try:
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
                crew.start()
                net = Net(crew, network, session)
                await net.until_ready()
                net.listen()
                try:
                    yield net
                finally:
                    await net.stop()
        finally:
            crew.kill()
