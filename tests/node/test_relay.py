"""Transactions between nodes: announced once to whoever does not know them, asked for once, blamed by what they are."""

from dataclasses import dataclass, replace

import pytest

from chain.transactions import Transaction
from network.kinds import ANNOUNCE, KINDS, TRANSACTION, TRANSACTION_REQUEST
from node import relay as relay_module
from node.mempool import Caps
from node.relay import (
    AGAIN_MS,
    AGAIN_TIMES,
    ASKED_MAXIMUM,
    GATHER_MS,
    GATHER_NAMES,
    PATIENCE_MS,
    SLICE,
    Relay,
)
from node.relay_messages import NAMES_MAXIMUM, Names, Transactions, name_of
from node.runtime import INVALID, MALFORMED, UNASKED
from tests.builders import Key, a_multi_transfer
from tests.node.little_network import LATENCY_MS, LittleNetwork, LittleRuntime
from tests.node.waiting import Waiters


@dataclass
class Place:
    """One node: its mempool, and its part in the relay."""

    runtime: LittleRuntime
    waiters: Waiters

    def __post_init__(self) -> None:
        self.told = 0
        self.relay = Relay(self.runtime, self.waiters.pool, lambda: self.waiters.chain.state, self._news)
        self.runtime.runs(self.relay)

    def _news(self) -> None:
        self.told += 1

    @property
    def names(self) -> list[bytes]:
        return self.waiters.pool.names()

    def points(self, other: "Place") -> int:
        return self.runtime.points(other.runtime)


class Places:
    """Nodes with the same rich wallets, everybody connected with everybody."""

    def __init__(self, number: int, wallets: int = 4, caps: Caps | None = None) -> None:
        self.network = LittleNetwork()
        self.all = [Place(self.network.node(f"node {index}"), Waiters(caps)) for index in range(number)]
        for place in self.all:
            self.wallets = place.waiters.funded(*(f"wallet {index}" for index in range(wallets)))
        self.network.connect(*(place.runtime for place in self.all))

    def loses(self, kind: int, sender: Place | None = None) -> None:
        self.network.drop = lambda message: (
            message.kind == kind and (sender is None or message.sender == sender.runtime.key)
        )

    def hand_in(self, place: Place, *transactions: Transaction) -> None:
        for each in transactions:
            place.waiters.add(each)

    def transfers(self, number: int) -> list[Transaction]:
        return [self.all[0].waiters.transfer(key) for key in self.wallets[:number]]

    def announced(self, sender: Place) -> list[bytes]:
        return [
            name for each in self.network.sent(ANNOUNCE, sender.runtime) for name in Names.decode(each.payload).names
        ]


def a_name(transaction: Transaction) -> bytes:
    return name_of(transaction.encode())


def say(liar: Place, node: Place, kind: int, payload: bytes) -> None:
    liar.runtime.say(node.runtime, kind, payload)


def sends(liar: Place, node: Place, network: LittleNetwork, *encoded: bytes) -> None:
    """A peer announces transactions that it does not hold, is asked, and sends these."""
    say(liar, node, ANNOUNCE, Names(tuple(map(name_of, encoded))).encode())
    network.run(2 * LATENCY_MS)
    say(liar, node, TRANSACTION, Transactions(encoded).encode())
    network.run(100)


# ---- Spreading


def test_what_one_mempool_takes_reaches_all_and_each_is_sent_once_to_each_node() -> None:
    places = Places(4)
    transactions = places.transfers(4)
    places.hand_in(places.all[0], *transactions)
    places.network.run()
    names = {a_name(each) for each in transactions}
    assert all(set(place.names) == names for place in places.all)
    sent = [
        each
        for message in places.network.sent(TRANSACTION)
        for each in Transactions.decode(message.payload).transactions
    ]
    assert len(sent) == 3 * len(transactions) and all(place.told for place in places.all[1:])


def test_it_reaches_who_is_not_connected_with_its_sender() -> None:
    places = Places(3)
    places.network.disconnect(places.all[0].runtime, places.all[2].runtime)
    places.hand_in(places.all[0], *places.transfers(1))
    places.network.run()
    assert places.all[2].names == places.all[0].names != []


def test_nothing_is_announced_to_who_has_announced_it() -> None:
    places = Places(2)
    places.hand_in(places.all[0], *places.transfers(2))
    places.network.run()
    assert len(places.announced(places.all[0])) == 2 and places.announced(places.all[1]) == []


@pytest.mark.parametrize(
    ("number", "messages"), [(1, 1), (GATHER_NAMES - 1, 1), (GATHER_NAMES, 1), (GATHER_NAMES + 1, 2)]
)
def test_announcements_gather_for_a_moment_or_until_there_are_enough(number: int, messages: int) -> None:
    places = Places(2, wallets=GATHER_NAMES + 1)
    places.hand_in(places.all[0], *places.transfers(number))
    assert len(places.network.sent(ANNOUNCE)) == (number >= GATHER_NAMES)
    places.network.run(GATHER_MS)
    assert len(places.network.sent(ANNOUNCE)) == messages


def test_a_newcomer_hears_of_all_that_waits() -> None:
    places = Places(1)
    places.hand_in(places.all[0], *places.transfers(3))
    newcomer = Place(places.network.node("newcomer"), Waiters())
    newcomer.waiters.funded(*(f"wallet {index}" for index in range(4)))
    places.network.connect(places.all[0].runtime, newcomer.runtime)
    places.network.run()
    assert newcomer.names == places.all[0].names and len(newcomer.names) == 3


def test_what_is_in_a_block_already_is_not_asked_for_again() -> None:
    places = Places(3)
    first, second, late = places.all
    places.network.disconnect(first.runtime, late.runtime)
    places.hand_in(first, *places.transfers(1))
    places.network.run()
    for place in places.all:
        place.waiters.fund(places.wallets[0], nonce=1)
        place.waiters.follow(places.wallets[0])
    assert second.names == []
    asked = len(places.network.sent(TRANSACTION_REQUEST))
    say(late, second, ANNOUNCE, Names(tuple(map(a_name, places.transfers(1)))).encode())
    places.network.run()
    assert len(places.network.sent(TRANSACTION_REQUEST)) == asked


# ---- Asking


def test_one_announcer_is_asked_and_another_when_it_does_not_answer() -> None:
    places = Places(3)
    silent, honest, asker = places.all
    places.loses(TRANSACTION, silent)
    [transaction] = places.transfers(1)
    name = Names((a_name(transaction),)).encode()
    places.hand_in(honest, transaction)
    say(silent, asker, ANNOUNCE, name)
    places.network.run(PATIENCE_MS)
    assert asker.names == []
    places.network.run(2 * LATENCY_MS + 50)
    assert asker.names == [a_name(transaction)] and asker.runtime.blamed == []


def test_who_leaves_is_not_waited_for() -> None:
    places = Places(3)
    leaver, honest, asker = places.all
    places.loses(TRANSACTION, leaver)
    [transaction] = places.transfers(1)
    places.hand_in(honest, transaction)
    say(leaver, asker, ANNOUNCE, Names((a_name(transaction),)).encode())
    places.network.run(GATHER_MS + 2 * LATENCY_MS)
    places.network.disconnect(leaver.runtime, asker.runtime)
    places.network.run(100)
    assert asker.names == [a_name(transaction)]


def test_a_peer_is_asked_for_so_much_at_a_time() -> None:
    places = Places(2)
    liar, asker = places.all
    names = tuple(index.to_bytes(16, "big") for index in range(ASKED_MAXIMUM + 1))
    say(liar, asker, ANNOUNCE, Names(names).encode())
    places.network.run(100)
    [request] = places.network.sent(TRANSACTION_REQUEST)
    assert Names.decode(request.payload).names == names[:-1]
    places.network.run(PATIENCE_MS)
    assert Names.decode(places.network.sent(TRANSACTION_REQUEST)[1].payload).names == names[-1:]


def test_announcements_beyond_the_backlog_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "BACKLOG_MAXIMUM", 3)
    monkeypatch.setattr(relay_module, "ASKED_MAXIMUM", 0)
    places = Places(2)
    say(*places.all, ANNOUNCE, Names(tuple(index.to_bytes(16, "big") for index in range(5))).encode())
    places.network.run(100)
    [link] = places.all[1].relay._links.values()
    assert len(link.backlog) == 3


# ---- Answering


def test_an_answer_is_cut_into_messages_of_the_allowed_size(monkeypatch: pytest.MonkeyPatch) -> None:
    places = Places(2)
    holder, asker = places.all
    transactions = places.transfers(3)
    places.hand_in(holder, *transactions)
    size = len(transactions[0].encode()) + 4
    for room, messages in ((3 * size, 1), (3 * size - 1, 2)):
        monkeypatch.setattr(relay_module, "MESSAGE_ROOM", room)
        places.network.log.clear()
        say(asker, holder, TRANSACTION_REQUEST, Names(tuple(map(a_name, transactions))).encode())
        places.network.run(LATENCY_MS)
        assert len(places.network.sent(TRANSACTION)) == messages


def test_the_largest_messages_fit_their_kinds() -> None:
    names = Names((bytes(16),) * NAMES_MAXIMUM).encode()
    assert len(names) <= min(KINDS[ANNOUNCE].bytes_maximum, KINDS[TRANSACTION_REQUEST].bytes_maximum)
    batch = Transactions((bytes(relay_module.MESSAGE_ROOM // 32 - 4),) * 32).encode()
    assert len(batch) <= KINDS[TRANSACTION].bytes_maximum < len(batch) + 32


# ---- Blame


def test_a_refusal_for_now_is_nobodys_fault_and_tried_again_a_few_times() -> None:
    places = Places(2)
    peer, node = places.all
    key = places.wallets[0]
    early = node.waiters.transfer(key, 1)
    sends(peer, node, places.network, early.encode())
    assert node.names == [] and node.runtime.blamed == []
    node.waiters.wait(key, 0)
    places.network.run(AGAIN_MS)
    assert node.names == [a_name(node.waiters.transfer(key)), a_name(early)]
    never = node.waiters.transfer(key, 9)
    sends(peer, node, places.network, never.encode())
    places.network.run((AGAIN_TIMES + 1) * AGAIN_MS)
    assert len(node.names) == 2 and len(node.relay._again) == 0 and node.runtime.blamed == []


def forged(key: Key, node: Place) -> bytes:
    return replace(node.waiters.transfer(key), signature=bytes(64)).encode()


def test_a_bad_signature_or_rubbish_is_malformed_and_what_no_state_allows_invalid() -> None:
    places = Places(2)
    liar, node = places.all
    key = places.wallets[0]
    impossible = a_multi_transfer(node.waiters.chain, sender=key, max_fee=100).encode()
    for encoded, points in ((forged(key, node), MALFORMED), (b"rubbish", MALFORMED), (impossible, INVALID)):
        node.runtime.blamed.clear()
        sends(liar, node, places.network, encoded)
        assert node.points(liar) == points and node.names == []


def test_what_was_refused_for_good_is_not_asked_for_again() -> None:
    places = Places(2)
    liar, node = places.all
    encoded = forged(places.wallets[0], node)
    sends(liar, node, places.network, encoded)
    say(liar, node, ANNOUNCE, Names((name_of(encoded),)).encode())
    places.network.run()
    assert len(places.network.sent(TRANSACTION_REQUEST)) == 1


def test_transactions_that_nobody_asked_for_are_blamed_and_not_looked_at() -> None:
    places = Places(2)
    liar, node = places.all
    say(liar, node, TRANSACTION, Transactions((places.transfers(1)[0].encode(),)).encode())
    places.network.run()
    assert node.points(liar) == UNASKED and node.names == []


def test_an_answer_that_is_late_or_comes_twice_is_no_offence() -> None:
    places = Places(2)
    peer, node = places.all
    first, second = places.transfers(2)
    sends(peer, node, places.network, first.encode())
    say(peer, node, ANNOUNCE, Names((a_name(second),)).encode())
    places.network.run(PATIENCE_MS + 100)
    for each in (first, second):
        say(peer, node, TRANSACTION, Transactions((each.encode(),)).encode())
    places.network.run(100)
    assert node.runtime.blamed == [] and node.names == [a_name(first)]


def test_many_transactions_are_checked_in_slices() -> None:
    places = Places(2, wallets=2 * SLICE + 1)
    peer, node = places.all
    transactions = places.transfers(2 * SLICE + 1)
    say(peer, node, ANNOUNCE, Names(tuple(map(a_name, transactions))).encode())
    places.network.run(2 * LATENCY_MS)
    say(peer, node, TRANSACTION, Transactions(tuple(each.encode() for each in transactions)).encode())
    places.network.run(100)
    assert len(node.names) == len(transactions) and node.told == 3


def test_bytes_that_are_no_message_are_malformed() -> None:
    places = Places(2)
    liar, node = places.all
    for kind in (ANNOUNCE, TRANSACTION_REQUEST, TRANSACTION):
        say(liar, node, kind, b"rubbish")
    places.network.run()
    assert node.points(liar) == 3 * MALFORMED
