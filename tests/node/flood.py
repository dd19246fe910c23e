"""A mempool under a flood, in a process of its own: `python -m tests.node.flood WAITING JUNK VALID PAYMENTS`.

Prints as JSON what came of it and how much memory it took beyond what the program had before.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

import psutil

from chain.address import address_of
from chain.crypto import ecdsa
from chain.errors import NeuroError
from chain.genesis import Network, genesis_state
from chain.state import Account, Read, State, account_key
from chain.transactions import MultiTransfer, Payment, Transaction, Transfer
from node.mempool import Mempool
from tests.builders import BOB, a_network

FUNDED = Account(10**15, 0).encode()
KINDS = ("unsigned", "badly signed", "nonce gap", "low fee", "unfunded")
MIB = 1 << 20


def name(words: str) -> bytes:
    return sha256(words.encode()).digest()


PAUPER = ecdsa.public_key(name("pauper"))
PAUPER_KEY = account_key(address_of(PAUPER))
VICTIM = ecdsa.public_key(name("victim"))


def rich_ledger(network: Network) -> Read:
    """A ledger on which everybody but the pauper has money: no record takes memory."""
    known = genesis_state(network).changes

    def read(key: bytes) -> bytes | None:
        return FUNDED if key[:1] == b"a" and key != PAUPER_KEY else known.get(key)

    return read


def junk(number: int) -> Iterator[Transaction]:
    """One after the other of each kind, no two alike."""
    for index in range(number):
        kind = KINDS[index % len(KINDS)]
        noise = name(str(index))
        signature = bytes(64) if kind == "unsigned" else noise + b"\x01" + noise[1:]
        sender = PAUPER if kind == "unfunded" else VICTIM
        nonce = 1 + index % 15 if kind == "nonce gap" else 0
        max_fee = index % 80 if kind == "low fee" else 100
        yield Transaction(sender, nonce, max_fee, 0, Transfer(BOB.address, index), signature)


def valid(network: Network, number: int, first: int = 0, payments: int = 0) -> Iterator[Transaction]:
    """Of a new wallet each, every one with a tip a little higher: each drives one out of a full mempool.

    A transfer, or a multi-transfer of so many payments.
    """
    action = MultiTransfer((Payment(BOB.address, 1),) * payments) if payments else Transfer(BOB.address, 1)
    for index in range(first, first + number):
        secret = name(f"wallet {index}")
        draft = Transaction(ecdsa.public_key(secret), 0, 100_000, index, action, bytes(64))
        signature = ecdsa.sign(secret, draft.id(network.chain_id))
        yield Transaction(draft.sender, 0, draft.max_fee, draft.tip, draft.action, signature)


@dataclass
class Flood:
    """A mempool, and what its answers were."""

    def __post_init__(self) -> None:
        self.network = a_network(block_gas_maximum=1_000_000)  # room for the largest transaction
        self.read = rich_ledger(self.network)
        self.pool = Mempool(self.network)
        self.answers: Counter[str] = Counter()

    def pour(self, transactions: Iterator[Transaction]) -> None:
        for transaction in transactions:
            try:
                # A new view of the state for each, as the node takes one: a state keeps what was read through it.
                self.pool.add(transaction, State(self.read))
                self.answers["kept"] += 1
            except NeuroError as error:
                self.answers[type(error).__name__] += 1


def memory_mib() -> float:
    return psutil.Process().memory_info().rss / MIB


def main() -> None:
    waiting, rubbish, better, payments = map(int, sys.argv[1:])
    flood = Flood()
    flood.pour(junk(100))
    flood.answers.clear()
    before = memory_mib()
    flood.pour(valid(flood.network, waiting, 0, payments))
    filled = memory_mib()
    flood.pour(junk(rubbish))
    flood.pour(valid(flood.network, better, waiting, payments))
    grown = memory_mib()
    print(
        json.dumps(
            {
                "answers": flood.answers,
                "waiting": len(flood.pool),
                "bytes": flood.pool.size,
                "filling_mib": filled - before,
                "flood_mib": grown - filled,
            }
        )
    )


if __name__ == "__main__":
    main()
