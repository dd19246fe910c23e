"""One sender's waiting transactions, and what a waiting transaction is worth and may cost."""

from dataclasses import dataclass, field

from chain.crypto.votes import Evidence
from chain.transactions import Bond, MultiTransfer, RegisterNode, ServicePayment, Transaction, Transfer

# The lanes of a block, in its order. The first two have places of their own: those who pay cannot take them.
EVIDENCE, REGISTRATION, PAYING = range(3)

Accused = tuple[int, int]  # epoch, and place in its validator set


@dataclass(frozen=True, slots=True)
class Waiting:
    """A transaction, kept as its bytes: as objects it would take several times their memory."""

    encoded: bytes
    id: bytes
    name: bytes  # what peers call it, see `node.relay_messages.name_of`
    sender: bytes  # address
    nonce: int
    max_fee: int
    tip: int
    gas: int
    cost: int  # nanos that it can take from its sender's balance
    lane: int
    accused: Accused | None
    arrival: int  # counted since the start
    until_ms: int

    @property
    def transaction(self) -> Transaction:
        return Transaction.decode(self.encoded)

    def effective_tip(self, base_fee: int) -> int:
        """Nanos per gas that the proposer gets; below 0 while the base fee is too high for it."""
        return min(self.tip, self.max_fee - base_fee)


@dataclass(slots=True, eq=False)
class Queue:
    """An unbroken run of nonces, the first of which is the sender's next."""

    sender: bytes
    items: list[Waiting] = field(default_factory=list)
    version: int = 0  # counts changes

    @property
    def end(self) -> int:
        """The nonce that would follow."""
        return self.items[-1].nonce + 1

    @property
    def cost(self) -> int:
        return sum(item.cost for item in self.items)

    def at(self, nonce: int) -> Waiting | None:
        index = nonce - self.items[0].nonce if self.items else -1
        return self.items[index] if 0 <= index < len(self.items) else None

    def lowest_tip(self, base_fee: int, length: int, without: Waiting | None = None) -> int | None:
        """Of the first `length`, the lowest of one who pays: no later one can be taken without it."""
        paying = (item for item in self.items[:length] if item.lane == PAYING and item is not without)
        return min((item.effective_tip(base_fee) for item in paying), default=None)


def lane_of(transaction: Transaction) -> int:
    match transaction.action:
        case Evidence():
            return EVIDENCE
        case RegisterNode():
            return REGISTRATION
    return PAYING


def accused_by(transaction: Transaction) -> Accused | None:
    action = transaction.action
    return (action.first.epoch, action.first.signer) if isinstance(action, Evidence) else None


def maximum_cost(transaction: Transaction, gas: int) -> int:
    """Nanos that a transaction of so much gas can take from its sender's balance, whatever the base fee will be."""
    fee = transaction.max_fee * gas
    match transaction.action:
        case Transfer(amount=amount) | ServicePayment(amount=amount) | Bond(amount=amount):
            return fee + amount
        case MultiTransfer(payments=payments):
            return fee + sum(payment.amount for payment in payments)
    return fee
