"""What tests of the mempool share: wallets with any balance on a ledger in memory, and votes that contradict."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from chain.crypto import bls
from chain.crypto.votes import NOTARIZE, Evidence, Vote, evidence_of, vote_message
from chain.genesis import Network
from chain.state import Account, account_key
from chain.transactions import (
    PAYMENTS_MAXIMUM,
    Action,
    MultiTransfer,
    Payment,
    RegisterNode,
    Transaction,
    node_consent,
)
from node.mempool import Caps, Mempool
from tests.builders import BOB, Chain, Key, a_key, a_network, a_transfer, named, validator_secrets
from tests.node.lone_node import IDENTITY, LoneNode, with_rounds

FEE = 100  # per gas, of transactions where nothing else is said; the base fee is 80
PLENTY = 10**12


class Clock:
    """A clock that shows what a test says."""

    def __init__(self) -> None:
        self.ms = 1_000_000

    def __call__(self) -> int:
        return self.ms


class Waiters:
    """A mempool over a ledger whose accounts a test sets as it likes."""

    def __init__(self, caps: Caps | None = None, network: Network | None = None) -> None:
        self.chain = Chain(network or a_network(validators=4, stamp_bits=0, block_gas_maximum=200_000))
        self.clock = Clock()
        self.pool = Mempool(self.chain.network, self.clock, caps)

    def fund(self, key: Key, balance: int = PLENTY, nonce: int = 0) -> Key:
        self.chain.records[account_key(key.address)] = Account(balance, nonce).encode()
        return key

    def funded(self, *names: str) -> list[Key]:
        return [self.fund(a_key(name)) for name in names]

    def set_base_fee(self, fee: int) -> None:
        draft = self.chain.state.fork()
        draft.update_ledger(base_fee=fee)
        self.chain.records |= {key: value for key, value in draft.changes.items() if value is not None}

    def transfer(self, sender: Key, nonce: int = 0, amount: int = 1, **changes: object) -> Transaction:
        return a_transfer(self.chain, amount, BOB, sender=sender, nonce=nonce, **{"max_fee": FEE, **changes})

    def add(self, transaction: Transaction) -> bytes:
        return self.pool.add(transaction, self.chain.state)

    def wait(self, sender: Key, nonce: int = 0, **changes: object) -> Transaction:
        """A transfer that is in the mempool."""
        transaction = self.transfer(sender, nonce, **changes)
        self.add(transaction)
        return transaction

    def follow(self, *changed: Key) -> None:
        """A block that wrote these accounts."""
        self.pool.follow(self.chain.state, [account_key(key.address) for key in changed])

    def nonces(self, sender: Key) -> list[int]:
        return [each.nonce for each in self.pool.ready() if each.sender == sender.public]


@cache
def a_vote(chain_id: bytes, secret: int, signer: int, name: str, epoch: int = 0) -> Vote:
    block_hash = named(name)
    message = vote_message(chain_id, NOTARIZE, epoch, 1, block_hash)
    return Vote(NOTARIZE, epoch, 1, block_hash, signer, bls.sign(secret, message))


def an_accusation(chain_id: bytes, signer: int = 0, names: Iterable[str] = ("one", "other")) -> Evidence:
    """That one of the four validators of the network of `Waiters` voted for two blocks."""
    secret = validator_secrets(4)[signer]
    one, other = (a_vote(chain_id, secret, signer, name) for name in names)
    return evidence_of(one, other)


def rich_node(folder: Path, **params: int) -> LoneNode:
    """A node whose wallet has earned tens of thousands of NEURO; its next nonce is 1."""
    node = with_rounds(folder, 2, rate_batch_nanos=10**13, **params)
    while not node.state.account(IDENTITY.address).balance:
        node.close_round()
    return node


def pay(node: LoneNode, keys: Sequence[Key], amount: int = 10**9) -> None:
    """Pay wallets from the node's, in blocks."""
    for start in range(0, len(keys), PAYMENTS_MAXIMUM):
        payments = tuple(Payment(key.address, amount) for key in keys[start : start + PAYMENTS_MAXIMUM])
        nonce = node.state.account(IDENTITY.address).nonce
        node.mempool.add(signed(node, MultiTransfer(payments), nonce), node.state)
        node.block()


def signed(node: LoneNode, action: Action, nonce: int = 0, sender: Key | None = None, **changes: int) -> Transaction:
    """By the node's own wallet unless a sender is named."""
    key = sender or Key(IDENTITY.wallet_secret)
    fees = {"max_fee": 0 if isinstance(action, RegisterNode) else 100, "tip": 0} | changes
    draft = Transaction(key.public, nonce, fees["max_fee"], fees["tip"], action, bytes(64))
    return replace(draft, signature=key.sign(draft.id(node.network.chain_id)))


def registration(node: LoneNode, key: Key, nonce: int = 0) -> Transaction:
    """Of a node whose key is its wallet's too. The network wants no stamp."""
    consent = key.sign(node_consent(node.network.chain_id, key.public, key.public, False))
    return signed(node, RegisterNode(key.public, False, 0, consent), nonce, key)
