"""Four validators as processes on this machine: finality, with one of them dead, and bytes. See `bench.consensus`."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from statistics import median

from bench.consensus_net import Net, Seen, running
from bench.ledger_chain import Wallets
from chain.transactions import Transaction

Add = Callable[..., None]

INTERVAL_MS = 250  # long enough for each block to be final before the next is built
SLOW_MS = 6_000  # the same with py_ecc
EPOCH = {"chain.epoch_blocks": 60}  # as in the profile `dev`; that of `lab` is short for tests
NUMBERS = EPOCH | {"chain.block_interval_ms": INTERVAL_MS, "chain.block_interval_max_ms": 1_000}
SLOW_NUMBERS = EPOCH | {"chain.block_interval_ms": SLOW_MS, "chain.block_interval_max_ms": 10_000}
FEED_SECONDS = 0.1
PAYERS = 64
GOAL_MS, GOAL_SLOW_MS = 150, 4_000
SETTLING_SECONDS = 10  # after a validator has died


def share(values: Iterable[float], percent: int) -> float:
    """The nearest-rank percentile."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def since(net: Net, start_ms: int, end_ms: int | None = None) -> list[Seen]:
    """What all nodes told of the blocks that were built in a span of time."""
    end_ms = time.time_ns() // 1_000_000 if end_ms is None else end_ms
    return [seen for watch in net.watches for seen in watch.blocks.values() if start_ms <= seen.time_ms < end_ms]


def heights(found: Sequence[Seen]) -> range:
    return range(min(each.height for each in found), max(each.height for each in found) + 1)


async def given_up(net: Net, found: Sequence[Seen]) -> int:
    """How many views between these blocks have none."""
    headers = await net.headers(heights(found))
    return sum(two.view - one.view - 1 for one, two in pairwise(headers) if one.epoch == two.epoch)


async def hand_in(net: Net, transaction: Transaction, number: int) -> None:
    """Over the API of a node that is not the last, which may be killed."""
    members = net.crew.members[:-1]
    url = f"http://{members[number % len(members)].place.api}/v1/transactions"
    async with net.session.post(url, json={"transaction": transaction.encode().hex()}) as answer:
        if answer.status != 202:
            raise SystemExit(f"a transfer was refused: {await answer.text()}")


@asynccontextmanager
async def fed(net: Net) -> AsyncIterator[None]:
    """A transfer every tenth of a second while the block of code runs: there is always something for a block."""
    wallets = Wallets(net.network, PAYERS)

    async def feed() -> None:
        number = 0
        while True:
            await hand_in(net, wallets.transfers(number, 1)[0], number)
            number += 1
            await asyncio.sleep(FEED_SECONDS)

    task = asyncio.create_task(feed())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def finality(views: int, add: Add, slow: bool = False) -> None:
    """Finality at each of four validators, over so many views."""
    interval_ms, goal = (SLOW_MS, GOAL_SLOW_MS) if slow else (INTERVAL_MS, GOAL_MS)
    library, suffix = ("py_ecc", "_py_ecc") if slow else ("pyblst", "")
    environment = {"NEUROSHARD_BLS": library}
    async with running(SLOW_NUMBERS if slow else NUMBERS, payers, environment) as net, fed(net):
        await asyncio.sleep(2 * interval_ms / 1000)
        began_ms, spent = time.time_ns() // 1_000_000, net.processor_seconds()
        await asyncio.sleep((views + 2) * interval_ms / 1000)
        ended_ms = time.time_ns() // 1_000_000 - interval_ms
        used = sum(net.processor_seconds()) - sum(spent)
        await asyncio.sleep(interval_ms / 1000)
        found = since(net, began_ms, ended_ms)
        nullified = await given_up(net, found)
        blocks = len(heights(found))
        said = [(await net.ask(member, "/v1/status"))["finality_ms"] for member in net.running]
    note = f"{library}, 4 validators, {blocks} blocks, {interval_ms} ms apart at least, {nullified} views given up"
    times = [each.finality_ms for each in found]
    add(f"finality_p50{suffix}_ms", share(times, 50), "ms", goal, note + "; reference: the goal")
    add(f"finality_p99{suffix}_ms", share(times, 99), "ms", None, note)
    last = [max(each.finality_ms for each in found if each.height == height) for height in heights(found)]
    add(f"finality_everywhere_p50{suffix}_ms", share(last, 50), "ms", None, "at the last of the four")
    add(f"finality_own_account{suffix}_ms", median(said), "ms", None, "as the nodes' status says, for comparison")
    add(f"finality_views_given_up{suffix}", nullified, "views", None, f"of {blocks + nullified}")
    each_ms = 1000 * used / blocks / 4
    add(f"finality_cpu_ms_per_block{suffix}", each_ms, "ms", None, "processor time of one validator, few transfers")


def payers(network: object) -> list[bytes]:
    return Wallets(network, PAYERS).addresses  # type: ignore[arg-type]


def gaps(found: Sequence[Seen]) -> list[int]:
    """Milliseconds between the times of blocks that follow each other."""
    times = {each.height: each.time_ms for each in found}
    return [times[height] - times[height - 1] for height in times if height - 1 in times]


async def one_dead(seconds: float, add: Add) -> None:
    """The same before and after one of the four is killed."""
    async with running(NUMBERS, payers) as net, fed(net):
        await asyncio.sleep(2)
        began_ms = time.time_ns() // 1_000_000
        await asyncio.sleep(seconds)
        killed_ms = time.time_ns() // 1_000_000
        os.kill(net.crew.members[-1].process.pid, signal.SIGKILL)
        await asyncio.sleep(SETTLING_SECONDS)
        settled_ms = time.time_ns() // 1_000_000
        await asyncio.sleep(seconds)
        net.watches.pop()
        before, after = since(net, began_ms, killed_ms - 1_000), since(net, settled_ms)
        meantime = since(net, killed_ms, settled_ms)
        nullified = await given_up(net, after)
    one, two = (share([each.finality_ms for each in found], 50) for found in (before, after))
    note = f"p50 {one:.0f} ms before and {two:.0f} ms after one of four was killed; reference: the goal"
    add("finality_one_dead_ratio", two / one, "", 2, note)
    add("finality_one_dead_p50_ms", two, "ms", None, f"{len(heights(after))} blocks, {nullified} views given up")
    add("finality_one_dead_p99_ms", share([each.finality_ms for each in after], 99), "ms")
    before_gap, after_gap = (share(gaps(found), 50) for found in (before, after))
    times = f"{before_gap:.0f} ms before and {after_gap:.0f} ms after"
    note = f"p50 of the time between blocks, {times}; reference: the goal"
    add("blocks_one_dead_ratio", after_gap / before_gap, "", 2, note)
    mean = [sum(gaps(found)) / len(gaps(found)) for found in (before, after)]
    add("blocks_one_dead_mean_ratio", mean[1] / mean[0], "", None, f"means {mean[0]:.0f} and {mean[1]:.0f} ms")
    add("blocks_longest_gap_at_death_ms", max(gaps(meantime)), "ms", None, "in the ten seconds after the kill")
