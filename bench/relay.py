"""What a transfer costs a node on its way: into the mempool, between nodes, into a block, and in a block of others.

Microseconds of one core per transfer, as the operating system counts them, each the best of some passes.

.venv/bin/python -m bench relay
"""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, TypeVar

from bench.figure import report
from bench.ledger_chain import Ledger, Wallets, notarization, propose, the_network
from chain.block import Block
from chain.crypto import ecdsa
from chain.state import State
from chain.transactions import Transaction, check_signature
from chain.transition import apply_block, build_block
from consensus.messages import NOTARIZE, Proposal, Vote
from network.kinds import ANNOUNCE, TRANSACTION, TRANSACTION_REQUEST
from network.peer import Peer
from node.block_exchange import BlockExchange, compact
from node.mempool import Mempool
from node.producer import Producer
from node.relay import GATHER_NAMES, Relay
from node.relay_messages import Names, Transactions, name_of

COUNT, ACCOUNTS, PASSES = 1_000, 250, 3
SLICE = 32  # transfers that share a view of the state, as when they come from a peer
T = TypeVar("T")


class Silent:
    """A node that does not train."""

    def proofs(self, state: State, time_ms: int) -> list[Any]:
        return []

    def inputs(self, state: State) -> list[Any]:
        return []


class Desk:
    """A runtime whose messages go nowhere, and whose timers fire when `settle` is called."""

    def __init__(self, peers: int) -> None:
        self.random = Random(1)
        self.known = {bytes([index]) * 33: _peer(index) for index in range(peers)}
        self.actions: list[Callable[[], None]] = []

    def now_ms(self) -> int:
        return 0

    def wall_ms(self) -> int:
        return 0

    def later(self, delay_ms: int, action: Callable[[], None]) -> "Desk":
        if delay_ms < 1_000:
            self.actions.append(action)
        return self

    def cancel(self) -> None:
        """What has been gathered has been sent: firing again finds nothing."""

    def settle(self) -> None:
        while self.actions:
            self.actions.pop(0)()

    def offload(self, lane: str, work: Callable[[], T], done: Callable[[T], None]) -> None:
        done(work())

    def peers(self) -> Mapping[bytes, Peer]:
        return self.known

    def send(self, key: bytes, kind: int, payload: bytes) -> None:
        """To nobody."""

    def fail(self, error: BaseException) -> None:
        raise error

    def blame(self, key: bytes, points: int, reason: str) -> None:
        raise SystemExit(reason)

    def praise(self, key: bytes) -> None:
        """Nothing to keep."""


def _peer(index: int) -> Peer:
    return Peer(bytes([index]) * 33, "", True, 0, "", b"", "")


class Place:
    """A ledger with money, and transfers that it would take."""

    def __init__(self) -> None:
        self.network = the_network()
        self.ledger = Ledger(self.network)
        wallets = Wallets(self.network, ACCOUNTS)
        self.ledger.fund(wallets.addresses)
        self.encoded = [each.encode() for each in wallets.transfers(0, COUNT)]
        self.names = [name_of(each) for each in self.encoded]

    def decoded(self) -> list[Transaction]:
        return [Transaction.decode(each) for each in self.encoded]

    def filled(self) -> Mempool:
        pool = Mempool(self.network)
        self.admit(pool)
        return pool

    def admit(self, pool: Mempool) -> None:
        for index, each in enumerate(self.encoded):
            if index % SLICE == 0:
                state = self.ledger.state
            pool.add(Transaction.decode(each), state)


def best(make: Callable[[], T], use: Callable[[T], object], passes: int = PASSES) -> float:
    """The least microseconds of processor time per transfer that `use` takes on what `make` prepares."""
    times = []
    for _ in range(passes):
        prepared = make()
        begun = time.process_time()
        use(prepared)
        times.append(time.process_time() - begun)
    return 1e6 * min(times) / COUNT


def messages(kind: type[Names] | type[Transactions], items: Sequence[bytes]) -> list[bytes]:
    return [kind(tuple(items[at : at + GATHER_NAMES])).encode() for at in range(0, len(items), GATHER_NAMES)]


def receiving(place: Place, peers: int) -> float:
    """One peer announces and sends; what came in is announced to the others, and they announce it too."""
    announced, sent = messages(Names, place.names), messages(Transactions, place.encoded)

    def make() -> tuple[Desk, Relay]:
        desk = Desk(peers)
        relay = Relay(desk, Mempool(place.network), lambda: place.ledger.state)
        for peer in desk.known.values():
            relay.joined(peer)
        return desk, relay

    def use(made: tuple[Desk, Relay]) -> None:
        desk, relay = made
        first, *others = desk.known
        handlers = relay.handlers()
        for names, transactions in zip(announced, sent, strict=True):
            handlers[ANNOUNCE](first, names)
            handlers[TRANSACTION](first, transactions)
            desk.settle()
            for other in others:
                handlers[ANNOUNCE](other, names)

    return best(make, use)


def sending(place: Place, peers: int) -> float:
    """A peer is told of what waits here, asks for it, and gets it."""
    asked = messages(Names, place.names)

    def make() -> tuple[Desk, Relay]:
        desk = Desk(peers)
        return desk, Relay(desk, place.filled(), lambda: place.ledger.state)

    def use(made: tuple[Desk, Relay]) -> None:
        desk, relay = made
        for peer in desk.known.values():
            relay.joined(peer)
        desk.settle()
        for key in desk.known:
            for names in asked:
                relay.handlers()[TRANSACTION_REQUEST](key, names)

    return best(make, use) / peers


def building(place: Place) -> tuple[float, float, Block]:
    """Choosing the transfers of a block, and making it."""
    ledger = place.ledger
    state, parent = ledger.state, ledger.parent
    chosen = propose(state, place.network, parent)
    certificate = notarization(state, place.network, parent)
    blocks: list[Block] = []

    def make() -> Producer:
        return Producer(place.network, Silent(), place.filled())  # type: ignore[arg-type]

    def fill(producer: Producer) -> object:
        return producer.body(ledger.state, parent, chosen, certificate)

    def build(producer: Producer) -> None:
        body = producer.body(ledger.state, parent, chosen, certificate)
        blocks.append(build_block(ledger.state, parent, chosen, body, place.network, ledger.nodes.get).block)

    filling, both = best(make, fill), best(make, build)
    if len(blocks[-1].body.transactions) != COUNT:
        raise SystemExit("not all transfers are in the block")
    return filling, both, blocks[-1]


def judge(place: Place, block: Block) -> None:
    ledger = place.ledger
    apply_block(ledger.state, ledger.parent, block, place.network, ledger.nodes.get, True)


def judging(place: Place, block: Block) -> tuple[float, float, float]:
    """A block of others: putting it together from names, and executing it; and executing it from its bytes."""
    header = block.header
    vote = Vote(NOTARIZE, header.epoch, header.view, header.hash(), header.proposer, bytes(96))
    proposal = Proposal(header.epoch, header.view, 0, header.parent_hash, header.hash(), header.height, vote)
    payload, encoded, pool = compact(proposal, block).encode(), block.encode(), place.filled()
    found: list[Block] = []

    def make() -> BlockExchange:
        exchange = BlockExchange(Desk(1), place.network, lambda block_hash: None, pool.find_transaction)
        exchange.on_proposal = lambda key, offer, whole: found.append(whole)
        return exchange

    def assemble(exchange: BlockExchange) -> None:
        exchange._proposal(b"\0" * 33, payload)

    def both(exchange: BlockExchange) -> None:
        assemble(exchange)
        judge(place, found.pop())

    assembling = best(make, assemble)
    found.clear()
    return assembling, best(make, both), best(lambda: None, lambda _: judge(place, Block.decode(encoded)))


def main(arguments: list[str]) -> None:
    argparse.ArgumentParser(prog="bench relay").parse_args(arguments)
    place = Place()
    chain_id = place.network.chain_id

    def check(transactions: Sequence[Transaction]) -> None:
        for each in transactions:
            check_signature(each, chain_id)

    signature = best(place.decoded, check)
    note = f"{ecdsa.back_end()}; reference: checking the signature alone"
    admission = best(lambda: Mempool(place.network), place.admit)
    report("relay_admission_us", admission, "us", signature, note)
    report(
        "relay_received_us", receiving(place, 3) - admission, "us", None, "of 3 peers, one sends it; admission apart"
    )
    report("relay_sent_us", sending(place, 3), "us", None, "to one peer that asks for it")
    filling, both, block = building(place)
    report("relay_fill_us", filling, "us", signature, f"choosing {COUNT} transfers for a block; reference as above")
    report("relay_build_us", both, "us", signature, "choosing them and making the block")
    assembling, whole, alone = judging(place, block)
    report("relay_assemble_us", assembling, "us", None, "a block out of names")
    report(
        "relay_judge_us", whole, "us", alone, "out of names and executed; reference: decoded, executed and all checked"
    )


if __name__ == "__main__":
    main([])
