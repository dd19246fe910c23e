"""Transfers a second through four validators on this machine, handed in by a peer or over the API."""

import asyncio
import itertools
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

import aiohttp

from bench.consensus_live import INTERVAL_MS, Add, share, since
from bench.consensus_net import Net, running
from bench.ledger_chain import Wallets

NUMBERS = {  # those of the profile `dev`
    "chain.block_interval_min_ms": 200,
    "chain.block_interval_ms": 1_000,
    "chain.block_interval_max_ms": 10_000,
    "chain.epoch_blocks": 60,
}
SENDERS = 6_000
WINDOW = 4_000  # transfers under way: what a second and a half of the goal is, and some more
WARM_SECONDS = 8
TICK_SECONDS = 0.05
GOAL_PER_S = 1_000
SIGNED_PER_S = 2_000  # prepared for each second of the measurement
API_CLIENTS = 40  # addresses, because the API takes fifty questions a second from each
TRANSFER_BYTES = 160
ROOT = Path(__file__).parents[1]


@dataclass(slots=True)
class LoadPeer:
    """The process of `bench.consensus_load`, which hears how many transfers are final."""

    process: asyncio.subprocess.Process
    answer: dict[str, Any] = field(default_factory=dict)

    async def said(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        if not line:
            raise SystemExit("the peer that hands transfers in has ended")
        found: dict[str, Any] = json.loads(line)
        return found

    def tell(self, final: int) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"%d\n" % final)

    async def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.answer = await self.said()
        await self.process.wait()


@asynccontextmanager
async def loaded(net: Net, count: int, **options: object) -> AsyncIterator[LoadPeer]:
    """A peer of all nodes that hands transfers in, as the options of `bench.consensus_load` say."""
    peers = [member.place.listen for member in net.crew.members]
    words = ["--network", str(net.crew.plan.network), "--peers", *peers, "--count", str(count)]
    for name, value in ({"senders": SENDERS} | options).items():
        words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.consensus_load", *words, stdin=pipe, stdout=pipe, cwd=ROOT
    )
    load = LoadPeer(process)
    try:
        await load.said()
        telling = asyncio.create_task(_tell(net, load))
        try:
            yield load
        finally:
            telling.cancel()
            with suppress(asyncio.CancelledError):
                await telling
        await load.end()
    finally:
        with suppress(ProcessLookupError):
            process.kill()


async def _tell(net: Net, load: LoadPeer) -> None:
    """How many are final on the slowest node."""
    while True:
        await asyncio.sleep(TICK_SECONDS)
        load.tell(min(watch.transactions for watch in net.watches))


def senders(network: object) -> list[bytes]:
    return Wallets(network, SENDERS).addresses  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Measured:
    """Of the time between two moments."""

    per_s: float  # transfers final on all
    blocks_per_s: float
    per_block: float
    finality_ms: list[int]
    processor: list[float]  # share of one core that each node took


async def measure(net: Net, seconds: float) -> Measured:
    """Count what is final on the slowest node, between two blocks."""
    await asyncio.sleep(WARM_SECONDS)
    began, spent, clock = time.time_ns() // 1_000_000, net.processor_seconds(), time.monotonic()
    await asyncio.sleep(seconds)
    passed = time.monotonic() - clock
    used = [(now - then) / passed for now, then in zip(net.processor_seconds(), spent, strict=True)]
    found = since(net, began)
    rates = []
    for watch in net.watches:
        blocks = sorted((each for each in watch.blocks.values() if each.time_ms >= began), key=lambda each: each.height)
        if len(blocks) < 3:
            raise SystemExit("hardly a block became final under this load")
        # From the moment at which one block was final to that of the last: what came in between is whole.
        rates.append(1000 * sum(e.transactions for e in blocks[1:]) / (blocks[-1].told_ms - blocks[0].told_ms))
    counts = {each.height: each.transactions for each in found}
    rate = len(counts) / passed
    return Measured(min(rates), rate, mean(counts.values()), [each.finality_ms for each in found], used)


def tell(measured: Measured, load_cpu: float | None, suffix: str, add: Add) -> None:
    times = measured.finality_ms
    add(f"finality_under_load_p50{suffix}_ms", share(times, 50), "ms")
    add(f"finality_under_load_p99{suffix}_ms", share(times, 99), "ms")
    add(f"blocks_under_load_per_s{suffix}", measured.blocks_per_s, "blocks/s")
    add(f"transfers_per_block{suffix}", measured.per_block, "transfers")
    note = "processor time a second of one validator, the mean of four" + (
        "" if load_cpu is None else f"; of the peer that hands in: {load_cpu:.2f}"
    )
    add(f"cores_per_validator{suffix}", mean(measured.processor), "cores", None, note)


async def throughput(seconds: float, add: Add) -> None:
    """As fast as it goes, from a peer."""
    count = int(SIGNED_PER_S * (seconds + WARM_SECONDS))
    async with running(NUMBERS, senders) as net:
        async with loaded(net, count, window=WINDOW) as load:
            measured = await measure(net, seconds)
        answer = load.answer
    note = f"final on all of 4 validators for {seconds:.0f} s, {WINDOW} under way, from a peer; reference: the goal"
    add("sustained_tx_per_s", measured.per_s, "transfers/s", GOAL_PER_S, note)
    tell(measured, answer["cpu_s"] / (seconds + WARM_SECONDS), "", add)


async def throughput_at_goal(seconds: float, add: Add) -> None:
    """What blocks need when exactly the goal comes in."""
    count = int(GOAL_PER_S * (seconds + WARM_SECONDS + 5))
    async with running(NUMBERS, senders) as net, loaded(net, count, window=4 * WINDOW, rate=GOAL_PER_S):
        measured = await measure(net, seconds)
    note = f"of {GOAL_PER_S} a second handed in by a peer for {seconds:.0f} s; reference: what came in"
    add("final_at_goal_per_s", measured.per_s, "transfers/s", GOAL_PER_S, note)
    tell(measured, None, "_at_goal", add)


async def throughput_api(seconds: float, add: Add) -> None:
    """As fast as clients of the API can."""
    async with running(NUMBERS, senders) as net:
        numbers = itertools.count()
        wallets = Wallets(net.network, SENDERS)
        prepared = [each.encode().hex() for each in wallets.transfers(0, int(SIGNED_PER_S * (seconds + WARM_SECONDS)))]
        async with _clients(API_CLIENTS) as sessions:
            tasks = [
                asyncio.create_task(_client(net, session, place, prepared, numbers))
                for place, session in enumerate(sessions)
            ]
            measured = await measure(net, seconds)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    note = f"the same over HTTP, {API_CLIENTS} clients with one question each under way"
    add("sustained_tx_per_s_api", measured.per_s, "transfers/s", None, note)
    tell(measured, None, "_api", add)


@asynccontextmanager
async def _clients(count: int) -> AsyncIterator[Sequence[aiohttp.ClientSession]]:
    """Each from an address of its own."""
    sessions = [
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(local_addr=(f"127.0.0.{2 + place}", 0)))
        for place in range(count)
    ]
    try:
        yield sessions
    finally:
        for session in sessions:
            await session.close()


async def _client(net: Net, session: aiohttp.ClientSession, place: int, prepared: Sequence[str], numbers: Any) -> None:
    """Hand in one transfer after another: each sender's all to one node, in order."""
    while True:
        number = next(numbers)
        node = net.crew.members[number % SENDERS % len(net.crew.members)]
        url = f"http://{node.place.api}/v1/transactions"
        async with session.post(url, json={"transaction": prepared[number]}) as answer:
            await answer.read()
            if answer.status == 429:
                await asyncio.sleep(0.2)


async def traffic(seconds: float, add: Add) -> None:
    """Bytes that a validator sends and receives for a block, without transfers and with a hundred."""
    numbers = NUMBERS | {"chain.block_interval_ms": INTERVAL_MS, "chain.block_interval_max_ms": INTERVAL_MS}
    rate = 100 * 1000 / INTERVAL_MS
    async with running(numbers, senders) as net:
        empty = await _traffic(net, seconds)
        async with loaded(net, int(rate * (seconds + 15)), window=4 * WINDOW, rate=rate):
            await asyncio.sleep(3)
            full = await _traffic(net, seconds)
    note = "payloads of messages sent and received, without what WebSocket and TLS add; 4 validators, empty blocks"
    add("bytes_per_block_per_validator", empty.bytes, "bytes", None, note)
    add("messages_per_block_per_validator", empty.messages, "messages")
    note = f"{full.transfers:.0f} transfers a block; reference: their own bytes"
    add("bytes_per_block_per_validator_100tx", full.bytes, "bytes", TRANSFER_BYTES * full.transfers, note)
    add("messages_per_block_per_validator_100tx", full.messages, "messages")


@dataclass(frozen=True, slots=True)
class Traffic:
    """Of one validator, for one block, in the mean."""

    messages: float
    bytes: float
    transfers: float


async def _traffic(net: Net, seconds: float) -> Traffic:
    before = await net.traffic()
    began = [(len(watch.blocks), watch.transactions) for watch in net.watches]
    await asyncio.sleep(seconds)
    after = await net.traffic()
    blocks = sum(len(watch.blocks) - then for watch, (then, _) in zip(net.watches, began, strict=True))
    transfers = sum(watch.transactions - then for watch, (_, then) in zip(net.watches, began, strict=True))
    messages, size = (
        sum(now[place] - then[place] for now, then in zip(after, before, strict=True)) / blocks for place in (0, 1)
    )
    return Traffic(messages, size, transfers / blocks)
