"""A peer that hands transfers in over the peer protocol: a process of its own, so that nothing else is measured.

It signs all transfers before it begins, announces them, each to one node, and gives them to who asks, as the node of
a wallet does. Its parent tells it on stdin how many are final; so many more may be under way as `--window` says.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from bench.consensus_net import BENCH
from bench.ledger_chain import FEE, Wallets, address_without_key, payments, secret_of
from chain.crypto import ecdsa
from chain.genesis import Network
from chain.transactions import PAYMENTS_MAXIMUM, MultiTransfer, Payment, Transaction, Transfer
from network.kinds import ANNOUNCE, KINDS, TRANSACTION, TRANSACTION_REQUEST
from network.peer import NodeKey, Peer
from network.switch import Switch
from network.switch_config import SwitchConfig
from node.network_file import kept_network
from node.relay_messages import Names, Transactions, name_of

TICK_SECONDS = 0.02
NAMES_AT_ONCE = 256
ROOM = KINDS[TRANSACTION].bytes_maximum - 4
SECRET = sha256(b"bench load peer").digest()


class Load:
    """What is left to hand in, and what was. A `network.peer.Listener`."""

    def __init__(self, transfers: Sequence[bytes], senders: int) -> None:
        self.names = [name_of(each) for each in transfers]
        self.by_name = dict(zip(self.names, transfers, strict=True))
        self.senders = senders
        self.peers: list[bytes] = []
        self.announced = self.final = 0
        self.asked: Counter[bytes] = Counter()  # by peer
        self.switch: Switch | None = None

    def joined(self, peer: Peer) -> None:
        self.peers = sorted([*self.peers, peer.key])

    def left(self, key: bytes) -> None:
        self.peers.remove(key)

    def received(self, key: bytes, kind: int, payload: bytes) -> None:
        if kind == TRANSACTION_REQUEST:
            self._give(key, [self.by_name[name] for name in Names.decode(payload).names if name in self.by_name])

    def _give(self, key: bytes, wanted: Sequence[bytes]) -> None:
        self.asked[key] += len(wanted)
        for batch in _batches(wanted):
            self._send(key, TRANSACTION, Transactions(tuple(batch)).encode())

    def announce(self, count: int) -> None:
        """Name the next transfers. One sender's all go to one node, in the order of their nonces."""
        last = min(len(self.names), self.announced + count)
        for place, key in enumerate(self.peers):
            chosen = [i for i in range(self.announced, last) if i % self.senders % len(self.peers) == place]
            for at in range(0, len(chosen), NAMES_AT_ONCE):
                names = tuple(self.names[i] for i in chosen[at : at + NAMES_AT_ONCE])
                self._send(key, ANNOUNCE, Names(names).encode())
        self.announced = last

    def _send(self, key: bytes, kind: int, payload: bytes) -> None:
        assert self.switch is not None
        self.switch.send(key, kind, payload)


def _batches(wanted: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Cut so that each fits into one message."""
    batch: list[bytes] = []
    room = ROOM
    for each in wanted:
        if room < len(each) + 4:
            yield batch
            batch, room = [], ROOM
        batch.append(each)
        room -= len(each) + 4
    if batch:
        yield batch


async def hear(load: Load, stop: asyncio.Event) -> None:
    """What the parent says: how many transfers are final; nothing more: the end."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        load.final = int(line)
    stop.set()


async def drive(load: Load, window: int, rate: float, stop: asyncio.Event) -> None:
    """Announce more as often as there is room, at most `rate` a second."""
    began = time.monotonic()
    while not stop.is_set() and load.announced < len(load.names):
        allowed = int((time.monotonic() - began) * rate) if rate else len(load.names)
        load.announce(max(0, min(allowed - load.announced, load.final + window - load.announced)))
        await asyncio.sleep(TICK_SECONDS)
    await stop.wait()


def prepared(network: Network, options: argparse.Namespace) -> Iterator[bytes]:
    """What is handed in, signed."""
    wallets = Wallets(network, options.senders)
    payees = tuple(Payment(address_without_key(number), 1) for number in range(PAYMENTS_MAXIMUM))
    for number, payment in enumerate(payments(options.senders, 0, options.count)):
        is_large = options.large_every and number % options.large_every == 0
        action = MultiTransfer(payees) if is_large else Transfer(wallets.addresses[payment.payee], payment.amount)
        tip = number + 1 if options.rising else 1
        unsigned = Transaction(wallets.keys[payment.sender], payment.nonce, FEE, tip, action, bytes(64))
        signature = ecdsa.sign(secret_of(payment.sender), unsigned.id(network.chain_id))
        yield replace(unsigned, signature=signature).encode()


async def run(options: argparse.Namespace) -> None:
    network = kept_network(options.network)
    load = Load(list(prepared(network, options)), options.senders)
    stop: asyncio.Event = asyncio.Event()
    key = NodeKey(ecdsa.public_key(SECRET), lambda digest: ecdsa.sign(SECRET, digest), ecdsa.verify)

    def fail(error: BaseException) -> None:
        raise SystemExit(f"the load peer failed: {error}")

    with tempfile.TemporaryDirectory(prefix="neuroshard-load-") as folder:
        config = SwitchConfig(
            network.chain_id, Path(folder) / "peers", fail, seeds=tuple(options.peers), agent=BENCH, allow_local=True
        )
        load.switch = Switch(config, key, load)
        await load.switch.start()
        while len(load.peers) < len(options.peers):
            await asyncio.sleep(0.1)
        print(json.dumps({"ready": len(load.names)}), flush=True)
        hearing = asyncio.create_task(hear(load, stop))
        await asyncio.sleep(options.wait)
        await drive(load, options.window, options.rate, stop)
        hearing.cancel()
        await load.switch.stop()
    spent = time.process_time()
    print(json.dumps({"announced": load.announced, "asked": sum(load.asked.values()), "cpu_s": spent}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.consensus_load")
    parser.add_argument("--network", type=Path, required=True)
    parser.add_argument("--peers", nargs="+", required=True)
    parser.add_argument("--senders", type=int, required=True)
    parser.add_argument("--count", type=int, required=True, help="transfers that are signed before the start")
    parser.add_argument("--window", type=int, required=True, help="transfers under way at most")
    parser.add_argument("--rate", type=float, default=0, help="transfers a second at most; 0: no bound")
    parser.add_argument("--large-every", type=int, default=0, help="every so many is a payment to 256")
    parser.add_argument("--rising", action="store_true", help="each offers a higher tip than the one before")
    parser.add_argument("--wait", type=float, default=1.0, help="seconds between connecting and the first transfer")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
