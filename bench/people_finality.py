"""What reading from a validator does to consensus: four validators as processes, one of which is asked by many.

`python -m bench.people_finality`: beside them a node trains on one thread. Spans with and without a thousand reads a
second follow each other, so that both see the same machine; a block is counted at each of the four.
"""

import argparse
import asyncio
import sys
import time
from statistics import fmean
from urllib.parse import urlsplit

from bench.consensus_live import NUMBERS, fed, payers, share, since
from bench.consensus_net import Net, running
from bench.figure import report
from bench.people_api import PATHS, RATE_GOAL, Load, load, training_node

GOAL = 1.2  # of the finality without readers
OPEN = ("--api-rate", "1000000")


async def span(net: Net, seconds: float, wanted: Load | None) -> tuple[list[int], int]:
    """Milliseconds until the blocks of a span were final, at each node, and how many answers were read meanwhile."""
    began_ms, count = time.time_ns() // 1_000_000, 0
    if wanted is None:
        await asyncio.sleep(seconds)
    else:
        member = net.crew.members[0]
        status = await net.ask(member, "/v1/status")
        paths = [path.format(height=status["height"], address=status["address"]) for path in PATHS]
        asked = urlsplit(f"http://{member.place.api}")
        assert asked.hostname is not None and asked.port is not None
        found = await asyncio.to_thread(load, (asked.hostname, asked.port), paths, wanted)
        assert set(found["statuses"]) == {200}, found["statuses"]
        count = found["count"]
    ended_ms = time.time_ns() // 1_000_000
    await asyncio.sleep(0.5)  # until the last of them has been told
    return [each.finality_ms for each in since(net, began_ms, ended_ms)], count


async def measure(options: argparse.Namespace) -> None:
    wanted = Load(options.seconds, options.connections, options.rate)
    quiet: list[int] = []
    read: list[int] = []
    count = 0
    async with running(NUMBERS, payers, arguments=OPEN) as net, fed(net):
        await asyncio.sleep(3)
        for _ in range(options.spans):
            quiet += (await span(net, options.seconds, None))[0]
            times, more = await span(net, options.seconds, wanted)
            read += times
            count += more
    note = f"4 validators, {len(quiet) // 4} and {len(read) // 4} blocks"
    rate = count / options.spans / options.seconds
    report("network_reads_per_s", rate, "1/s", RATE_GOAL, f"{options.connections} connections to one of them")
    for name, of in (("p50", lambda found: float(share(found, 50))), ("mean", fmean)):
        report(f"network_finality_quiet_{name}_ms", of(quiet), "ms", None, note)
        report(f"network_finality_read_{name}_ms", of(read), "ms", of(quiet), f"{note}; goal {GOAL}")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench.people_finality", description=__doc__)
    parser.add_argument("--seconds", type=float, default=15, help="of each span")
    parser.add_argument("--spans", type=int, default=4, help="of each kind")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--rate", type=float, default=RATE_GOAL)
    parser.add_argument("--profile", default="dev", help="of the node that trains beside")
    options = parser.parse_args(arguments)
    with training_node(options.profile):
        asyncio.run(measure(options))


if __name__ == "__main__":
    main(sys.argv[1:])
