"""One run of the chaos test: episodes of faults, healing after each, and all promises looked up."""

import asyncio
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from node.errors import NodeError
from node.identity import Identity
from node.localnet.hosts import Loopback, Namespaces
from node.localnet.plan import Plan, Wishes, prepared
from node.network_file import kept_network
from tests.chaos.client import Client
from tests.chaos.faults import WEIGHTS, Striker
from tests.chaos.fleet import Broken, Fleet, mounted
from tests.chaos.links import Blackholes, Links, Proxies
from tests.chaos.promises import Chain, recovered
from tests.crash.kills import spread
from wallet.keys import Wallet

# Blocks come fast, so that many faults meet many blocks.
NUMBERS = ("chain.block_interval_ms=100", "chain.block_interval_max_ms=200")
# A trainer earns fast enough to pay others within the run. Rounds do not wait long for the wallets that the client
# registers, which never train.
EARNING = ("chain.rate_batch_nanos=2000000000", "chain.base_work_batches=100", "chain.vest_rounds=1")
EARNING += ("chain.train_blocks=60",)
LATE_EPISODE = 3


@dataclass(frozen=True)
class Shape:
    """What is run: how many processes, for how many kills, and how their lines are cut."""

    nodes: int = 7
    founders: int = 4
    kills: int = 200
    hosts: str = "auto"
    train: bool = False
    faults: tuple[str, ...] = tuple(WEIGHTS)


@dataclass
class Results:
    """What has been seen; kept in a file as it goes on."""

    seed: int
    shape: Shape
    hosts: str = ""
    episodes: int = 0
    recoveries: list[tuple[float, str]] = field(default_factory=list)  # seconds, and after which faults
    broken: list[str] = field(default_factory=list)
    seconds: float = 0.0
    more: dict[str, Any] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "nodes": self.shape.nodes,
            "validators": self.shape.founders,
            "lines": self.hosts,
            "episodes": self.episodes,
            "recovery_seconds": spread([seconds for seconds, _ in self.recoveries]),
            "slowest_recoveries": [[round(seconds, 1), after] for seconds, after in sorted(self.recoveries)[:-6:-1]],
            **self.more,
            "promises_broken": self.broken,
            "seconds": round(self.seconds),
        }


@asynccontextmanager
async def fleet_of(shape: Shape, root: Path, results: Results) -> AsyncIterator[Fleet]:
    """The processes and their lines; all is taken down at the end."""
    small = tuple(n for n in (shape.founders - 1, shape.nodes - 2) if "full disk" in shape.faults and _disk(root, n))
    plan = prepared(root, Wishes(shape.nodes, shape.founders, "lab", NUMBERS + EARNING * shape.train))
    with ExitStack() as stack:
        links: Links
        places, links, results.hosts = _lines(shape, root, stack, plan)
        if isinstance(links, Proxies):
            places = await links.start(places)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            trains = {0: ["--training", "--threads", "1", "--device", "cpu"]} if shape.train else {}
            fleet = Fleet(plan, places, links, session, ["--no-training", "--log-level", "debug"], trains, small)
            try:
                yield fleet
            finally:
                fleet.end()
                if isinstance(links, Proxies):
                    await links.stop()


def _disk(root: Path, number: int) -> bool:
    return mounted(root / f"node-{number}")


def _lines(shape: Shape, root: Path, stack: ExitStack, plan: Plan) -> tuple[list[Any], Links, str]:
    if shape.hosts in ("auto", "netns"):
        hosts = Namespaces(root)
        try:
            places = stack.enter_context(hosts.places(plan.nodes))
            return places, Blackholes(hosts, places), "network namespaces"
        except NodeError:
            if shape.hosts == "netns":
                raise
    places = stack.enter_context(Loopback().places(plan.nodes))
    return places, Proxies(places), "dropping proxies"


class Run:
    """Start reading at `whole`."""

    def __init__(self, shape: Shape, results: Results, fleet: Fleet, told: Callable[[], None]) -> None:
        self.shape, self.results, self.fleet, self.told = shape, results, fleet, told
        self.chance = random.Random(results.seed)
        self.chain = Chain(fleet)
        self.striker = Striker(fleet, self.chain, self.chance)
        network = kept_network(fleet.plan.network)
        self.client = Client(fleet, network, random.Random(results.seed + 1))
        if shape.train:
            home = fleet.plan.home(0)
            wallet = Wallet.load(home / "keystore.json", (home / "keystore.password").read_text())
            self.client.payer = Identity.of(wallet)
        self.closed_rounds = 0
        self.late = [shape.nodes - 1] if shape.nodes > shape.founders else []

    async def whole(self) -> None:
        """Begin, strike until enough were killed, end in peace, look everything up."""
        began = time.monotonic()
        client: asyncio.Task[None] | None = None
        try:
            first = [number for number in range(self.shape.nodes) if number not in self.late]
            await self._rise(first)
            await self._heal()
            client = asyncio.create_task(self.client.run())
            while self.fleet.kills < self.shape.kills:
                await self._episode()
                self.results.seconds = time.monotonic() - began
                self._note()
                if client.done():
                    client.result()
            await self._peace(client)
        except Broken as broken:
            self.results.broken.append(broken.words)
        finally:
            if client is not None:
                client.cancel()
                with suppress(asyncio.CancelledError):
                    await client
            self.results.seconds = time.monotonic() - began
            self._note()

    async def _rise(self, numbers: list[int]) -> None:
        for number in numbers:
            self.fleet.start(number)
        await asyncio.gather(*(self.fleet.up(number) for number in numbers))

    async def _episode(self) -> None:
        """A few faults at the same time, then none until the chain goes on everywhere."""
        self.results.episodes += 1
        if self.results.episodes >= LATE_EPISODE and self.late:
            await self._rise(self.late)
            self.late = []
        kinds = [kind for kind in WEIGHTS if kind in self.shape.faults]
        chosen = self.chance.choices(kinds, [WEIGHTS[kind] for kind in kinds], k=self.chance.randint(1, 3))
        async with asyncio.TaskGroup() as group:
            for kind in chosen:
                group.create_task(self._strike(kind))
        if self.results.broken:
            raise Broken(f"in episode {self.results.episodes}: {chosen}")
        await self._heal(chosen)

    async def _strike(self, kind: str) -> None:
        await asyncio.sleep(self.chance.uniform(0, 1.5))
        try:
            await self.striker.strike(kind)
        except Broken as broken:
            self.results.broken.append(f"{kind}: {broken.words}")

    async def _heal(self, after: list[str] | None = None) -> None:
        """Everything is whole: measure how long it takes until all nodes have new blocks, and compare them."""
        if fell := self.fleet.fell():
            raise Broken(f"ended without being struck: {fell}")
        try:
            seconds = await recovered(self.fleet)
        except Broken as broken:
            raise Broken(f"after {after}: {broken.words}") from broken
        self.results.recoveries.append((seconds, ", ".join(after or ["a start of all"])))
        for number in self.fleet.numbers:
            await self.chain.compare(number)
        if self.chain.forks:
            raise Broken(f"after {after}: {self.chain.forks[:5]}")

    async def _peace(self, client: asyncio.Task[None]) -> None:
        """All nodes are started once more; then every height of every node and every transaction is looked up."""
        client.cancel()
        with suppress(asyncio.CancelledError):
            await client
        for number in self.fleet.numbers:
            self.fleet.kill(number)
        await self._rise(self.fleet.numbers)
        await self._heal()
        for number in self.fleet.numbers:
            if not await self.chain.compare(number, again=True):
                raise Broken(f"node {number} does not show its blocks")
        self.results.broken += self.chain.forks
        self.results.broken += await self.client.lost(self.chance.choice(self.fleet.numbers))
        status = await self.fleet.get(0, "/v1/status") or {}
        self.closed_rounds = int(status.get("closed_rounds", 0))

    def _note(self) -> None:
        self.results.more = {
            "kills": self.fleet.kills,
            "strikes": dict(sorted(self.striker.strikes.items())),
            "restart_seconds": spread(self.fleet.up_seconds),
            "height": max(self.chain.hashes, default=0),
            "blocks_compared": sum(self.chain.compared.values()),
            "transactions_acknowledged": len(self.client.acknowledged),
            "transfers_among_them": self.client.transfers,
            "rounds_closed": self.closed_rounds,
            "seconds_to_finality_of_a_transaction": spread(self.client.seconds),
            "notes": self.striker.notes,
        }
        self.told()


async def chaos(shape: Shape, seed: int, out: Path | None, folder: Path | None = None) -> Results:
    """One run; results are written to `out` as it goes on. The nodes' folder stays if a promise was broken."""
    results = Results(seed, shape)
    root = folder or Path(tempfile.mkdtemp(prefix="chaos-"))

    def told() -> None:
        if out is not None:
            out.write_text(json.dumps(results.summary(), indent=1) + "\n")
            print(
                f"episode {results.episodes}: {results.more['kills']} kills, height {results.more['height']}, "
                f"{results.more['transactions_acknowledged']} transactions, broken: {len(results.broken)}",
                flush=True,
            )

    async with fleet_of(shape, root, results) as fleet:
        await Run(shape, results, fleet, told).whole()
    if results.broken:
        print(f"what the nodes wrote is in {root}", file=sys.stderr)
    elif folder is None:
        shutil.rmtree(root, ignore_errors=True)
    return results
