"""Transactions that wait for a block: bounded, by sender and nonce."""

from chain.address import address_of
from chain.errors import InvalidTransaction
from chain.genesis import Network
from chain.state import State
from chain.transactions import TRANSACTION_BYTES_MAXIMUM, Transaction, check_signature

TOTAL = 20_000
NONCES_AHEAD = 16


class Mempool:
    """What wallets have handed in and no block has taken yet."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._waiting: dict[bytes, dict[int, Transaction]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, transaction: Transaction, state: State) -> bytes:
        """Keep a transaction and return its id. Raises InvalidTransaction or BadSignature."""
        if len(transaction.encode()) > TRANSACTION_BYTES_MAXIMUM:
            raise InvalidTransaction(f"at most {TRANSACTION_BYTES_MAXIMUM} bytes are allowed")
        sender = address_of(transaction.sender)
        expected = state.account(sender).nonce
        if not expected <= transaction.nonce <= expected + NONCES_AHEAD:
            raise InvalidTransaction(f"nonce {transaction.nonce}, expected {expected} to {expected + NONCES_AHEAD}")
        mine = self._waiting.get(sender, {})
        if transaction.nonce not in mine and self._count >= TOTAL:
            raise InvalidTransaction(f"{self._count} transactions wait already: try again after the next block")
        check_signature(transaction, self.network.chain_id)
        self._count += transaction.nonce not in mine
        self._waiting.setdefault(sender, {})[transaction.nonce] = transaction
        return transaction.id(self.network.chain_id)

    def ready(self) -> list[Transaction]:
        """Everything that waits, each sender's in order of nonce."""
        return [mine[nonce] for mine in self._waiting.values() for nonce in sorted(mine)]

    def prune(self, state: State) -> None:
        """Forget what a block has taken, or can no longer be taken."""
        for sender in list(self._waiting):
            nonce = state.account(sender).nonce
            kept = {at: transaction for at, transaction in self._waiting[sender].items() if at >= nonce}
            if kept:
                self._waiting[sender] = kept
            else:
                del self._waiting[sender]
        self._count = sum(map(len, self._waiting.values()))
