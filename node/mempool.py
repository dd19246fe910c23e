"""Transactions that wait for a block. Start reading at `Mempool.check`; `node.mempool_order` has the order of a block.

Everything is bounded: transactions and bytes in total, per sender, per lane, and in time. What gets in is its sender's
next in turn, and can be paid for, together with all that its sender has waiting, whatever the base fee does.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from chain.address import address_of
from chain.errors import BadSignature, InvalidTransaction
from chain.fees import transaction_gas
from chain.genesis import Network
from chain.state import Account, State, account_key
from chain.transactions import TRANSACTION_BYTES_MAXIMUM, Transaction
from node.clock import wall_ms
from node.errors import RefusedForNow
from node.mempool_checks import (
    check_fee,
    check_form,
    check_funds,
    check_place,
    check_replaces,
    check_signed,
    is_settled,
)
from node.mempool_contents import Contents
from node.mempool_eviction import Missing
from node.mempool_order import BlockOrder
from node.mempool_queue import EVIDENCE, PAYING, REGISTRATION, Queue, Waiting, accused_by, lane_of, maximum_cost
from node.recent import Recent
from node.relay_messages import name_of

ACCOUNT_PREFIX = account_key(b"")


@dataclass(frozen=True, slots=True)
class Caps:
    """How much may wait. A registration has about 250 bytes and evidence 450: their number bounds their bytes."""

    transactions: int = 20_000  # of those who pay
    bytes: int = 50_000_000  # of those who pay
    registrations: int = 256
    evidence: int = 16
    time_to_live_ms: int = 3 * 3_600_000
    refused: int = 100_000  # refused transactions that are remembered


@dataclass(frozen=True, slots=True)
class Admission:
    """A checked transaction, and how much of whose queues may stay when it comes in."""

    waiting: Waiting
    kept: dict[Queue, int]
    is_new: bool = True


class Mempool:
    """What wallets have handed in and no block has taken yet. `now_ms` is the shell's clock, which may be set back."""

    def __init__(self, network: Network, now_ms: Callable[[], int] = wall_ms, caps: Caps | None = None) -> None:
        self.network = network
        self.caps = caps or Caps()
        self._held = Contents()
        self._refused = Recent(self.caps.refused)
        self._base_fee = 0
        self._arrivals = 0
        self._clock = now_ms
        self._read_ms = now_ms()
        self._set_back_ms = 0
        # Told of everything that has come in, from wallets and from peers.
        self.on_added: Callable[[Waiting], None] = lambda waiting: None

    def __len__(self) -> int:
        return len(self._held.by_id)

    @property
    def version(self) -> tuple[int, int]:
        """Another one whenever something has come in or gone."""
        return self._arrivals, len(self)

    @property
    def size(self) -> int:
        """Bytes of those who pay."""
        return self._held.bytes

    def find(self, identity: bytes) -> Transaction | None:
        waiting = self._held.by_id.get(identity)
        return None if waiting is None else waiting.transaction

    def find_transaction(self, name: bytes) -> bytes | None:
        """The bytes of what peers call so. Its signatures have been checked."""
        waiting = self._held.by_name.get(name)
        return None if waiting is None else waiting.encoded

    def names(self) -> list[bytes]:
        """What peers call all that waits, in order of arrival."""
        return [waiting.name for waiting in self._held.by_id.values()]

    def was_refused(self, name: bytes) -> bool:
        """Whether a transaction of this name was met lately whose signature does not verify."""
        return name in self._refused

    def waiting_of(self, sender: bytes) -> list[Waiting]:
        """What an address has waiting, by nonce."""
        queue = self._held.queues.get(sender)
        return list(queue.items) if queue else []

    def before(self, transaction: Transaction) -> list[Transaction]:
        """What the same sender has waiting with lower nonces, in their order."""
        queue = self._held.queues.get(address_of(transaction.sender))
        return [item.transaction for item in queue.items if item.nonce < transaction.nonce] if queue else []

    # ---- In

    def check(self, transaction: Transaction, state: State) -> None:
        """Whether `add` would keep it. Raises RefusedForNow, InvalidTransaction or BadSignature: see `node.errors`."""
        self._admission(transaction, state)

    def add(self, transaction: Transaction, state: State) -> bytes:
        """Keep a transaction and return its id. `state` is the finalized one. Raises what `check` raises.

        Whether its action can be carried out, beyond what can be paid, is not asked here: see `check_applies`.
        """
        found = self._admission(transaction, state)
        if found.is_new:
            for queue, length in found.kept.items():
                self._held.cut(queue, length)
            self._held.put(found.waiting)
            self._arrivals += 1
            self.on_added(found.waiting)
        return found.waiting.id

    def _admission(self, transaction: Transaction, state: State) -> Admission:
        """Checks in the order of their cost; a signature costs as much as all before it."""
        now_ms = self._now_ms()
        self._expire(now_ms)
        encoded = transaction.encode()
        if len(encoded) > TRANSACTION_BYTES_MAXIMUM:
            raise InvalidTransaction(f"{len(encoded)} bytes, {TRANSACTION_BYTES_MAXIMUM} are allowed")
        sender = address_of(transaction.sender)
        account = state.account(sender)
        queue = self._followed(sender, account)
        other = queue.at(transaction.nonce) if queue else None
        if other is not None and other.encoded == encoded:
            return Admission(other, {}, False)
        check_form(transaction, self.network)
        self._base_fee = state.ledger.base_fee
        check_fee(transaction, self._base_fee)
        lane = lane_of(transaction)
        check_place(transaction.nonce, lane, account.nonce, queue)
        if other is not None:
            check_replaces(transaction, other)
        gas = transaction_gas(transaction)
        cost = maximum_cost(transaction, gas)
        check_funds(cost + (queue.cost if queue else 0) - (other.cost if other else 0), account)
        # The id leaves the signature out: nobody may have a good transaction refused by spoiling a copy of it.
        name = name_of(encoded)
        self._check_remembered(name)
        place = sender, transaction.nonce
        offer = transaction.max_fee, transaction.tip, gas, cost
        times = self._arrivals, now_ms + self.caps.time_to_live_ms
        identity = transaction.id(self.network.chain_id)
        waiting = Waiting(encoded, identity, name, *place, *offer, lane, accused_by(transaction), *times)
        kept = self._room_for(waiting, queue, other)
        try:
            check_signed(transaction, state, self.network)
        except BadSignature:
            self._refused.add(name)
            raise
        return Admission(waiting, kept)

    def _check_remembered(self, name: bytes) -> None:
        if name in self._refused:
            self._refused.add(name)
            raise BadSignature("this was refused a short while ago: its signature does not verify")

    def _room_for(self, waiting: Waiting, queue: Queue | None, other: Waiting | None) -> dict[Queue, int]:
        """Whose queues have to be cut to which length for it, `other` aside. Raises RefusedForNow."""
        lane = waiting.lane
        places = self._held.counts[lane] + 1 - (other is not None and other.lane == lane)
        if lane == PAYING:
            return self._evicted_for(waiting, places, queue, other)
        if lane == REGISTRATION and places > self.caps.registrations:
            raise RefusedForNow(f"{self.caps.registrations} registrations wait already: try again after the next block")
        if lane == EVIDENCE and waiting.accused is not None:
            if self._held.accused.get(waiting.accused, other) is not other:
                raise RefusedForNow("evidence against this validator waits already: nothing is left to do")
            if places > self.caps.evidence:
                raise RefusedForNow(f"{self.caps.evidence} pieces of evidence wait already: try again after a block")
        return {}

    def _evicted_for(
        self, waiting: Waiting, places: int, queue: Queue | None, other: Waiting | None
    ) -> dict[Queue, int]:
        size = self._held.bytes + len(waiting.encoded)
        if other is not None and other.lane == PAYING:
            size -= len(other.encoded)
        tip = waiting.effective_tip(self._base_fee)
        lowest = queue.lowest_tip(self._base_fee, len(queue.items), other) if queue else None
        tip = tip if lowest is None else min(tip, lowest)
        missing = Missing(places - self.caps.transactions, size - self.caps.bytes, tip)
        if missing.places <= 0 and missing.bytes <= 0:
            return {}
        kept = self._held.victims(missing, queue, self._base_fee)
        if kept is None:
            raise RefusedForNow(
                f"{self._held.counts[PAYING]} transactions wait already, too few of them below an effective tip of "
                f"{tip} nanos per gas: offer more, or try again after the next block"
            )
        return kept

    # ---- Out

    def ready(self) -> list[Transaction]:
        """What blocks can take at the present base fee, in their order."""
        order, found = self.order(self._base_fee), []
        while (waiting := order.next()) is not None:
            found.append(waiting.transaction)
            order.advance()
        return found

    def has_ready(self, base_fee: int) -> bool:
        """Whether any sender's next transaction can pay this base fee."""
        heads = (queue.items[0] for queue in self._held.queues.values())
        return any(head.lane == REGISTRATION or head.max_fee >= base_fee for head in heads)

    def is_urgent(self) -> bool:
        """Whether evidence waits, or a registration that a block can take next: they are worth a block at once."""
        if self._held.accused:
            return True
        waits = self._held.counts[REGISTRATION] > 0
        return waits and any(queue.items[0].lane == REGISTRATION for queue in self._held.queues.values())

    def order(self, base_fee: int) -> BlockOrder:
        """What waits, in the order of a block with this base fee."""
        return BlockOrder(self._held.queues.values(), base_fee)

    def drop(self, waiting: Waiting) -> None:
        """Forget what turned out not to apply, and what its sender has behind it."""
        self._held.drop(waiting)

    def follow(self, state: State, changed: Iterable[bytes]) -> None:
        """After a block: `state` is the new finalized one, `changed` the keys of the records that the block wrote.

        Only senders whose account it wrote are looked at again: nobody else's nonce or balance is another.
        """
        self._expire(self._now_ms())
        self._base_fee = state.ledger.base_fee
        for key in changed:
            if key.startswith(ACCOUNT_PREFIX) and (sender := key[len(ACCOUNT_PREFIX) :]) in self._held.queues:
                self._followed(sender, state.account(sender))
        for accused, waiting in list(self._held.accused.items()):
            if waiting.max_fee < self._base_fee or is_settled(state, accused):
                self._held.drop(waiting)

    def _followed(self, sender: bytes, account: Account) -> Queue | None:
        """A sender's queue without what its account has used or can no longer pay for."""
        queue = self._held.queues.get(sender)
        if queue is None:
            return None
        if queue.items[0].nonce < account.nonce:
            self._held.behead(queue, account.nonce)
        payable, left = 0, account.balance
        while payable < len(queue.items) and queue.items[payable].cost <= left:
            left -= queue.items[payable].cost
            payable += 1
        if payable < len(queue.items):
            self._held.cut(queue, payable)
        return queue if queue.items else None

    # ---- Time

    def _now_ms(self) -> int:
        """A time that never goes back: a clock that was set back goes on from what it had shown before."""
        read_ms = self._clock()
        self._set_back_ms += max(0, self._read_ms - read_ms)
        self._read_ms = read_ms
        return read_ms + self._set_back_ms

    def _expire(self, now_ms: int) -> None:
        while self._held.by_id:
            oldest = next(iter(self._held.by_id.values()))
            if oldest.until_ms > now_ms:
                return
            self._held.drop(oldest)
