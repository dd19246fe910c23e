"""A ledger for benchmarks: one validator, accounts with money out of nowhere, and blocks with real signatures."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from chain.address import address_of
from chain.block import BOOTSTRAP, Block, Body, beacon_message
from chain.crypto import bls, ecdsa
from chain.crypto.hashing import ZERO
from chain.crypto.votes import FINALIZE, NOTARIZE, Certificate, vote_message
from chain.genesis import BootstrapValidator, Network, Parameter, check_network, genesis_state
from chain.state import NO_OUTCOME, SUPPLY_KEY, Account, State, account_key
from chain.transactions import Action, Transaction, Transfer
from chain.transition import Applied, Parent, Proposal, build_block, epoch_of, genesis_parent
from chain.tree import Update
from node.template import read_template, template_path

SECRET = 7  # of the only validator
EACH = 10**18  # nanos of an account at the start
FEE = 10**6  # max_fee: far above whatever the base fee rises to here


def the_network(**changes: int) -> Network:
    """The numbers of the profile `dev`; `changes` replace parameters of the chain. No model is born for it."""
    template = read_template(template_path(), "dev")
    numbers = template["parameters"] | {f"chain.{name}": value for name, value in changes.items()}
    key = bls.public_key(SECRET)
    validator = BootstrapValidator(key, bls.prove_possession(SECRET), address_of(ecdsa.public_key(secret_of(0))))
    parameters = tuple(Parameter(name.encode(), numbers[name]) for name in sorted(numbers))
    network = Network(b"bench", 1_000_000, ZERO, ZERO, ZERO, NO_OUTCOME, parameters, (validator,))
    check_network(network)
    return network


def secret_of(number: int) -> bytes:
    """The wallet secret of account `number`."""
    return sha256(b"bench account" + number.to_bytes(8, "big")).digest()


def address_without_key(number: int) -> bytes:
    """An address that only receives: making millions of real keys would take longer than the benchmark."""
    return b"\x00" + sha256(b"bench address" + number.to_bytes(8, "big")).digest()[:20]


@dataclass(slots=True)
class Ledger:
    """State and tree in memory, and the block that the next one builds on."""

    network: Network
    parent: Parent = field(init=False)
    records: dict[bytes, bytes] = field(default_factory=dict)
    nodes: dict[bytes, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.parent = genesis_parent(self.network, ZERO)
        self._set(genesis_state(self.network).changes)

    @property
    def state(self) -> State:
        return State(self.records.get)

    def fund(self, addresses: Iterable[bytes]) -> None:
        """Give each address `EACH` nanos, counted as minted."""
        state = self.state
        account, number = Account(balance=EACH).encode(), 0
        changes: dict[bytes, bytes | None] = {}
        for address in addresses:
            changes[account_key(address)] = account
            number += 1
        supply, total = state.supply, number * EACH
        funded = type(supply)(minted=supply.minted + total, balances=supply.balances + total)
        self._set(changes | {SUPPLY_KEY: funded.encode()})

    def _set(self, changes: dict[bytes, bytes | None]) -> None:
        tree = Update(self.nodes.get)
        root = tree.apply(self.parent.state_root, changes)
        self._store(changes, tree)
        at = self.parent
        self.parent = Parent(at.hash, at.height, at.epoch, at.view, at.time_ms, root, BOOTSTRAP)

    def keep(self, applied: Applied) -> None:
        self._store(applied.state.changes, applied.tree)
        self.parent = applied.parent

    def _store(self, changes: dict[bytes, bytes | None], tree: Update) -> None:
        for digest in tree.stale:
            del self.nodes[digest]
        self.nodes.update(tree.fresh)
        for key, value in changes.items():
            if value is None:
                self.records.pop(key, None)
            else:
                self.records[key] = value

    def copy(self) -> "Ledger":
        """The same ledger, which then goes its own way."""
        other = Ledger(self.network)
        other.parent, other.records, other.nodes = self.parent, dict(self.records), dict(self.nodes)
        return other


def propose(network: Network, parent: Parent) -> Proposal:
    """The next view, at the usual interval."""
    epoch = epoch_of(parent.height + 1, network.params)
    view = parent.view + 1 if parent.height and epoch == parent.epoch else 1
    reveal = bls.sign(SECRET, beacon_message(network.chain_id, epoch, view))
    return Proposal(epoch, view, parent.time_ms + network.params.block_interval_ms, 0, reveal)


def certify(network: Network, parent: Parent, kind: int) -> Certificate:
    """The only validator's vote on a block, as a certificate."""
    message = vote_message(network.chain_id, kind, parent.epoch, parent.view, parent.hash)
    return Certificate(kind, parent.epoch, parent.view, parent.hash, b"\x01", bls.sign(SECRET, message))


def notarization(network: Network, parent: Parent) -> bytes:
    """What the child of a block carries in its body."""
    return certify(network, parent, NOTARIZE).encode() if parent.height else b""


def finalization(network: Network, parent: Parent) -> Certificate:
    return certify(network, parent, FINALIZE)


def next_block(ledger: Ledger, transactions: Sequence[Transaction] = ()) -> Block:
    """A block on the ledger's tip, kept."""
    body = Body((), tuple(transactions), (), notarization(ledger.network, ledger.parent))
    chosen = propose(ledger.network, ledger.parent)
    applied = build_block(ledger.state, ledger.parent, chosen, body, ledger.network, ledger.nodes.get)
    ledger.keep(applied)
    return applied.block


@dataclass(slots=True)
class Wallets:
    """Accounts `0 … number − 1` with real keys; each pays one of the others in its turn."""

    network: Network
    number: int
    paid: int = 0
    keys: list[bytes] = field(init=False)
    addresses: list[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.keys = [ecdsa.public_key(secret_of(i)) for i in range(self.number)]
        self.addresses = [address_of(key) for key in self.keys]

    def transfers(self, count: int) -> list[Transaction]:
        return [self._next() for _ in range(count)]

    def _next(self) -> Transaction:
        sender, nonce = self.paid % self.number, self.paid // self.number
        payee = (sender * 7919 + nonce * 104_729 + 1) % self.number
        self.paid += 1
        return self.signed(sender, nonce, Transfer(self.addresses[payee], 1 + self.paid % 1000))

    def signed(self, sender: int, nonce: int, action: Action) -> Transaction:
        unsigned = Transaction(self.keys[sender], nonce, FEE, 1, action, bytes(64))
        signature = ecdsa.sign(secret_of(sender), unsigned.id(self.network.chain_id))
        return Transaction(self.keys[sender], nonce, FEE, 1, action, signature)


def chain_of(ledger: Ledger, bodies: Iterable[Sequence[Transaction]]) -> Iterator[bytes]:
    """The encodings of blocks with these transactions, each built on the one before."""
    for transactions in bodies:
        yield next_block(ledger, transactions).encode()
