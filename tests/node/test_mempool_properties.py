"""Whatever wallets, blocks and clocks do to it, the mempool keeps its caps, has no gap and adds up."""

from collections import Counter
from itertools import groupby

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chain.address import address_of
from chain.errors import BadSignature
from chain.fees import transaction_gas
from chain.transactions import RegisterNode, Transaction
from node.errors import RefusedForNow
from node.mempool import Caps
from node.mempool_checks import NONCE_WINDOW
from node.mempool_queue import EVIDENCE, PAYING, REGISTRATION, lane_of, maximum_cost
from tests.builders import a_key, a_registration, a_transaction
from tests.node.waiting import Waiters, an_accusation

KEYS = [a_key(f"wallet {number}") for number in range(6)]
# The fees that a base fee can sink under or rise over, and room for few.
FEES = st.integers(60, 140)
CAPS = Caps(transactions=7, bytes=1_500, registrations=2, evidence=1, time_to_live_ms=1_000, refused=4)
RICH = 2 * 10**7  # enough for the gas of evidence
wallets = st.sampled_from(KEYS)


class Life(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.world = Waiters(CAPS)
        self.pool = self.world.pool
        for key in KEYS:
            self.world.fund(key, RICH if key in KEYS[:3] else 10**6)

    def next_nonce(self, key: object) -> int:
        return self.world.chain.state.account(key.address).nonce  # type: ignore[attr-defined]

    def offer(self, transaction: Transaction) -> None:
        """Hand it in. What is refused changes nothing but what has had its time."""
        self.pool.follow(self.world.chain.state, ())
        before = self.waiting()
        try:
            identity = self.pool.add(transaction, self.world.chain.state)
        except (RefusedForNow, BadSignature):
            # Its own queue may have been cut to what its account allows: what is left was there before.
            assert [each for each in before if each in self.waiting()] == self.waiting()
        else:
            assert self.pool.find(identity) == transaction

    def waiting(self) -> list[Transaction]:
        return [item.transaction for queue in self.pool._held.queues.values() for item in queue.items]

    @rule(key=wallets, ahead=st.integers(-1, 3), fee=FEES, tip=st.integers(0, 30), amount=st.integers(0, 600_000))
    def transfer(self, key, ahead, fee, tip, amount) -> None:
        nonce = max(0, self.next_nonce(key) + ahead)
        self.offer(self.world.transfer(key, nonce, amount, max_fee=fee, tip=tip))

    @rule(key=wallets, fee=FEES, tip=st.integers(0, 30))
    def transfer_behind(self, key, fee, tip) -> None:
        queue = self.pool._held.queues.get(key.address)
        self.offer(self.world.transfer(key, queue.end if queue else self.next_nonce(key), max_fee=fee, tip=tip))

    @rule(key=wallets)
    def badly_signed(self, key) -> None:
        self.offer(self.world.transfer(key, self.next_nonce(key), signature=bytes(64), max_fee=140))

    @rule(key=wallets, ahead=st.integers(0, 2))
    def register(self, key, ahead) -> None:
        nonce = self.next_nonce(key) + ahead
        self.offer(a_registration(self.world.chain, wallet=key, node=key, nonce=nonce))

    @rule(key=wallets, signer=st.integers(0, 3), ahead=st.integers(0, 1), fee=FEES)
    def accuse(self, key, signer, ahead, fee) -> None:
        evidence = an_accusation(self.world.chain.network.chain_id, signer)
        nonce = self.next_nonce(key) + ahead
        self.offer(a_transaction(self.world.chain, evidence, sender=key, nonce=nonce, max_fee=fee))

    @rule(number=st.integers(0, 4), fee=st.integers(60, 120), announced=st.booleans())
    def block(self, number, fee, announced) -> None:
        """A block of the first few that are ready. The state may be new before the mempool has heard of it."""
        touched = []
        for transaction in self.pool.ready()[:number]:
            key = next(key for key in KEYS if key.public == transaction.sender)
            account = self.world.chain.state.account(key.address)
            assert account.nonce == transaction.nonce
            cost = maximum_cost(transaction, transaction_gas(transaction))
            self.world.fund(key, account.balance - cost, account.nonce + 1)
            touched.append(key)
        self.world.set_base_fee(fee)
        if announced:
            self.world.follow(*touched)
        else:
            for key in touched:
                self.offer(self.world.transfer(key, self.next_nonce(key), max_fee=140))
            self.world.follow(*touched)

    @rule(key=wallets, balance=st.integers(0, 10**6) | st.just(RICH), used=st.integers(0, 3))
    def spend_elsewhere(self, key, balance, used) -> None:
        """A block holds other transactions of a sender than those that wait here."""
        self.world.fund(key, balance, self.next_nonce(key) + used)
        self.world.follow(key)

    @rule(place=st.integers(0, 6))
    def fail_in_a_block(self, place) -> None:
        items = [item for queue in self.pool._held.queues.values() for item in queue.items]
        if items:
            self.pool.drop(items[place % len(items)])

    @rule(difference=st.sampled_from([1, 400, 999, 1_000, -(10**9)]))
    def time_passes(self, difference) -> None:
        self.world.clock.ms += difference
        self.world.follow()

    # ---- Always

    @invariant()
    def caps_hold(self) -> None:
        lanes = Counter(map(lane_of, self.waiting()))
        assert lanes[PAYING] <= CAPS.transactions and self.pool.size <= CAPS.bytes
        assert lanes[REGISTRATION] <= CAPS.registrations and lanes[EVIDENCE] <= CAPS.evidence
        assert len(self.pool._refused) <= CAPS.refused

    @invariant()
    def totals_are_sums(self) -> None:
        held, waiting = self.pool._held, self.waiting()
        assert len(self.pool) == len(waiting) == sum(held.counts)
        assert held.counts == [Counter(map(lane_of, waiting))[lane] for lane in (EVIDENCE, REGISTRATION, PAYING)]
        assert self.pool.size == sum(len(each.encode()) for each in waiting if lane_of(each) == PAYING)
        assert len(held.accused) == held.counts[EVIDENCE] and all(held.queues.values())

    @invariant()
    def each_sender_has_one_unbroken_run_from_its_next_nonce_which_it_can_pay(self) -> None:
        for address, queue in self.pool._held.queues.items():
            account = self.world.chain.state.account(address)
            following = range(account.nonce, account.nonce + len(queue.items))
            assert [item.nonce for item in queue.items] == list(following) and 0 < len(following) <= NONCE_WINDOW
            assert queue.cost <= account.balance
            assert all(item.lane != EVIDENCE for item in queue.items[1:])

    @invariant()
    def what_is_ready_is_in_order(self) -> None:
        ready = self.pool.ready()
        base_fee = self.world.chain.state.ledger.base_fee
        assert len(set(map(Transaction.encode, ready))) == len(ready)
        by_sender = sorted(ready, key=lambda each: each.sender)
        for sender, run in groupby(by_sender, key=lambda each: each.sender):
            first = self.world.chain.state.account(address_of(sender)).nonce
            assert [each.nonce for each in run] == list(range(first, first + by_sender_count(ready, sender)))
        lanes = [lane_of(each) for each in ready]
        assert lanes[: lanes.count(EVIDENCE)] == [EVIDENCE] * lanes.count(EVIDENCE)
        for each in ready:
            assert isinstance(each.action, RegisterNode) or each.max_fee >= base_fee


def by_sender_count(ready: list[Transaction], sender: bytes) -> int:
    return sum(each.sender == sender for each in ready)


class LongLife(Life):
    """The same for longer."""


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
TestLongLife = pytest.mark.soak(pytest.mark.timeout(1_800)(LongLife.TestCase))
TestLongLife.settings = settings(max_examples=2_000, stateful_step_count=60, deadline=None)
