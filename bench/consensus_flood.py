"""Four validators under a flood: more valid transactions than blocks take, and junk from ever new peers.

`python -m bench.consensus_flood` is the peer that sends junk: it connects with a new key as soon as it has been banned.
"""

import argparse
import asyncio
import itertools
import random
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from bench.consensus_live import Add, gaps, since
from bench.consensus_net import Net, running
from bench.consensus_throughput import NUMBERS as DEV
from bench.consensus_throughput import ROOT, loaded
from bench.ledger_chain import Wallets, address_without_key
from chain.crypto import ecdsa
from chain.transactions import Transaction, Transfer
from network.kinds import ANNOUNCE, KINDS, TRANSACTION, TRANSACTION_REQUEST
from network.peer import NodeKey, Peer
from network.switch import Switch
from network.switch_config import SwitchConfig
from node.network_file import kept_network
from node.relay_messages import Names, Transactions, name_of

# Of a block's gas there is little left for those who pay, so that the mempool fills up and stays full.
NUMBERS = DEV | {"chain.block_gas_maximum": 5_500_000}
SENDERS, RATE, LARGE_EVERY = 30_000, 1_250, 10
GOAL_MIB = 400
STAY_SECONDS = 2.0
JUNK_NAMES = 500


@dataclass
class Junk:
    """One life of a junk peer: it announces what is badly signed, gives it, and sends frames of every kind."""

    transactions: dict[bytes, bytes]
    random: random.Random
    switch: Switch | None = None
    keys: list[bytes] = field(default_factory=list)
    given: int = 0

    def joined(self, peer: Peer) -> None:
        self.keys.append(peer.key)
        assert self.switch is not None
        self.switch.send(peer.key, ANNOUNCE, Names(tuple(self.transactions)).encode())

    def left(self, key: bytes) -> None:
        self.keys.remove(key)

    def received(self, key: bytes, kind: int, payload: bytes) -> None:
        if kind == TRANSACTION_REQUEST and self.switch is not None:
            wanted = [self.transactions[name] for name in Names.decode(payload).names if name in self.transactions]
            self.given += len(wanted)
            self.switch.send(key, TRANSACTION, Transactions(tuple(wanted)).encode())

    def throw(self) -> None:
        """Bytes that mean nothing, and kinds that nobody knows."""
        assert self.switch is not None
        for key in self.keys:
            kind = self.random.choice(tuple(KINDS))
            self.switch.send(key, kind, self.random.randbytes(min(KINDS[kind].bytes_maximum, 20_000)))


async def throw_junk(options: argparse.Namespace) -> None:
    network = kept_network(options.network)
    for life in itertools.count():
        secret = sha256(b"junk %d" % life).digest()
        public_key = ecdsa.public_key(secret)
        action = [Transfer(address_without_key(life), number + 1) for number in range(JUNK_NAMES)]
        encoded = [Transaction(public_key, 0, 10**6, 1, each, bytes([1]) * 64).encode() for each in action]
        junk = Junk({name_of(each): each for each in encoded}, random.Random(life))
        key = NodeKey(public_key, lambda digest, secret=secret: ecdsa.sign(secret, digest), ecdsa.verify)
        with tempfile.TemporaryDirectory(prefix="neuroshard-junk-") as folder:
            config = SwitchConfig(
                network.chain_id, Path(folder) / "peers", _end, seeds=tuple(options.peers), allow_local=True
            )
            junk.switch = Switch(config, key, junk)
            await junk.switch.start()
            for _ in range(int(STAY_SECONDS / 0.1)):
                await asyncio.sleep(0.1)
                if life % 2:
                    junk.throw()
            await junk.switch.stop()


def _end(error: BaseException) -> None:
    sys.exit(f"the junk peer failed: {error}")


@dataclass
class Peaks:
    """The most that each node's memory and mempool ever were."""

    resident: list[float]
    waiting: int = 0
    bans: int = 0


async def sample(net: Net, peaks: Peaks) -> None:
    while True:
        peaks.resident = [max(pair) for pair in zip(peaks.resident, net.resident_mib(), strict=True)]
        with suppress(OSError, TimeoutError):
            peaks.waiting = max(peaks.waiting, (await net.ask(net.running[0], "/v1/status"))["waiting_transactions"])
            peaks.bans = max(peaks.bans, (await net.ask(net.running[0], "/v1/peers"))["banned"])
        await asyncio.sleep(0.5)


def senders(network: object) -> list[bytes]:
    return Wallets(network, SENDERS).addresses  # type: ignore[arg-type]


async def flood(seconds: float, add: Add) -> None:
    """Memory while more comes in than blocks can take, and whether blocks go on."""
    async with running(NUMBERS, senders) as net:
        before = net.resident_mib()
        words = ["--network", str(net.crew.plan.network), "--peers", *(m.place.listen for m in net.crew.members)]
        count = int(RATE * (seconds + 10))
        mixed = {"senders": SENDERS, "window": count, "rate": RATE, "large_every": LARGE_EVERY, "rising": True}
        async with loaded(net, count, **mixed) as load:
            junk = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.consensus_flood", *words, cwd=ROOT)
            peaks = Peaks(before)
            sampling = asyncio.create_task(sample(net, peaks))
            began_ms = time.time_ns() // 1_000_000
            try:
                await asyncio.sleep(seconds)
            finally:
                sampling.cancel()
                with suppress(ProcessLookupError):
                    junk.kill()
                await junk.wait()
            found = since(net, began_ms)
            settled = net.resident_mib()
        answer = load.answer
    heights = {each.height for each in found}
    note = (
        f"the most of 4 validators in {seconds:.0f} s; {answer['asked'] / seconds:.0f} valid transactions a second "
        f"asked for, every tenth a payment to 256; {peaks.waiting} waited at most; reference: the goal"
    )
    add("flood_rss_mib", max(peaks.resident), "MiB", GOAL_MIB, note)
    add("flood_rss_before_mib", max(before), "MiB")
    add("flood_rss_after_mib", max(settled), "MiB")
    add("flood_blocks_per_s", len(heights) / seconds, "blocks/s", None, "final at all while it lasted")
    add("flood_longest_gap_ms", max(gaps(found)), "ms", None, "between the times of two blocks")
    add("flood_banned", peaks.bans, "keys", None, "of junk peers, as one node's API tells")


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.consensus_flood")
    parser.add_argument("--network", type=Path, required=True)
    parser.add_argument("--peers", nargs="+", required=True)
    asyncio.run(throw_junk(parser.parse_args()))


if __name__ == "__main__":
    main()
