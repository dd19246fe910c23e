"""Transactions that wait for a block: bounded, each sender's without a gap in its nonces."""

from collections.abc import Sequence
from dataclasses import dataclass

from chain.address import address_of
from chain.errors import InvalidTransaction
from chain.genesis import Network
from chain.state import State
from chain.transactions import TRANSACTION_BYTES_MAXIMUM, Transaction, check_signature
from chain.transfers import Place, apply_transaction
from chain.transition import epoch_of

TOTAL = 20_000
WAITING_PER_SENDER = 16
# A transaction may stop to apply while it waits, for example when the base fee has risen: it is not kept for ever.
BLOCKS_WAITED = 1_000


@dataclass(frozen=True, slots=True)
class Waiting:
    transaction: Transaction
    id: bytes
    until: int  # block, counted since the start


class Mempool:
    """What wallets have handed in and no block has taken yet."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._waiting: dict[bytes, dict[int, Waiting]] = {}
        self._by_id: dict[bytes, Transaction] = {}
        self._blocks = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def find(self, identity: bytes) -> Transaction | None:
        return self._by_id.get(identity)

    def before(self, transaction: Transaction) -> list[Transaction]:
        """What the same sender has waiting with lower nonces, in their order."""
        mine = self._waiting.get(address_of(transaction.sender), {})
        return [mine[nonce].transaction for nonce in sorted(mine) if nonce < transaction.nonce]

    def add(self, transaction: Transaction, state: State) -> bytes:
        """Keep a transaction and return its id. Raises InvalidTransaction or BadSignature.

        Whether it can be paid for is not asked here: see `check_applies`.
        """
        if len(transaction.encode()) > TRANSACTION_BYTES_MAXIMUM:
            raise InvalidTransaction(f"at most {TRANSACTION_BYTES_MAXIMUM} bytes are allowed")
        identity = transaction.id(self.network.chain_id)
        if self._by_id.get(identity) == transaction:
            return identity
        sender = address_of(transaction.sender)
        mine = self._waiting.get(sender, {})
        self._check_place(transaction, mine, state.account(sender).nonce)
        check_signature(transaction, self.network.chain_id)
        replaced = mine.get(transaction.nonce)
        if replaced is not None:
            del self._by_id[replaced.id]
        waiting = Waiting(transaction, identity, self._blocks + BLOCKS_WAITED)
        self._waiting.setdefault(sender, {})[transaction.nonce] = waiting
        self._by_id[identity] = transaction
        return identity

    def _check_place(self, transaction: Transaction, mine: dict[int, Waiting], expected: int) -> None:
        nonce = transaction.nonce
        if nonce < expected:
            raise InvalidTransaction(f"nonce {nonce} is used, expected {expected}")
        if nonce >= expected + WAITING_PER_SENDER:
            raise InvalidTransaction(
                f"nonce {nonce}, and only those below {expected + WAITING_PER_SENDER} may wait: "
                "try again after the next block"
            )
        free = next(number for number in range(expected, expected + WAITING_PER_SENDER + 1) if number not in mine)
        if nonce > free:
            raise InvalidTransaction(f"nonce {nonce} leaves a gap: send nonce {free} first")
        other = mine.get(nonce)
        if other is None and len(self) >= TOTAL:
            raise InvalidTransaction(f"{len(self)} transactions wait already: try again after the next block")
        if other is not None and transaction.max_fee <= other.transaction.max_fee:
            raise InvalidTransaction(
                f"another transaction of nonce {nonce} waits: a max_fee above {other.transaction.max_fee} replaces it"
            )

    def ready(self) -> list[Transaction]:
        """Everything that waits, each sender's in order of nonce."""
        return [mine[nonce].transaction for mine in self._waiting.values() for nonce in sorted(mine)]

    def prune(self, state: State) -> None:
        """After a block: forget what it has taken, what can no longer be taken, and what has waited too long."""
        self._blocks += 1
        for sender in list(self._waiting):
            nonce = state.account(sender).nonce
            kept: dict[int, Waiting] = {}
            for at, waiting in self._waiting[sender].items():
                if at >= nonce and waiting.until > self._blocks:
                    kept[at] = waiting
                else:
                    del self._by_id[waiting.id]
            if kept:
                self._waiting[sender] = kept
            else:
                del self._waiting[sender]


def check_applies(
    transaction: Transaction, earlier: Sequence[Transaction], state: State, height: int, network: Network
) -> None:
    """Raise InvalidTransaction, BadSignature or NotEnoughFunds unless it applies on `state` after `earlier` ones.

    `height` is that of the next block.
    """
    draft, place = state.fork(), Place(height, epoch_of(height, network.params), network.validators[0].payout)
    nonce = draft.account(address_of(transaction.sender)).nonce
    for each in earlier:
        if each.nonce >= nonce:
            apply_transaction(draft, each, place, network)
    apply_transaction(draft, transaction, place, network)
