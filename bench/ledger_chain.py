"""A ledger for benchmarks: validators whose secrets are known, accounts with money out of nowhere, real signatures."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256

from chain.address import address_of
from chain.block import Body, Proof, Validator, beacon_message
from chain.crypto import bls, ecdsa
from chain.crypto.hashing import ZERO
from chain.crypto.votes import FINALIZE, NOTARIZE, Certificate, vote_message
from chain.genesis import BootstrapValidator, Network, Parameter, check_network, genesis_state
from chain.money import NEURO
from chain.stakes import STAKING_KEY, Stake, ValidatorKey, stake_key, staking, validator_key
from chain.state import NO_OUTCOME, SUPPLY_KEY, Account, State, ValidatorSet, account_key, set_key
from chain.transactions import Transaction, Transfer
from chain.transition import Applied, Parent, Proposal, build_block, epoch_of, genesis_parent
from chain.tree import Update
from consensus.certificate import bitmap_of
from consensus.committee import leader_of
from node.certificates import committee_of
from node.template import read_template, template_path

FOUNDER = 7  # secret of the bootstrap validator; the others' follow it
EACH = 10**18  # nanos of an account at the start
FEE = 10**6  # max_fee: far above whatever the base fee rises to here


@cache
def _public_key(secret: int) -> bytes:
    return bls.public_key(secret)


@cache
def _secret_of(public_key: bytes) -> int:
    """The secret of a validator of ours."""
    return next(secret for secret in range(FOUNDER, FOUNDER + 1024) if _public_key(secret) == public_key)


def the_network(**changes: int) -> Network:
    """The numbers of the profile `dev`; `changes` replace parameters of the chain. No model is born for it."""
    template = read_template(template_path(), "dev")
    numbers = template["parameters"] | {f"chain.{name}": value for name, value in changes.items()}
    key = _public_key(FOUNDER)
    validator = BootstrapValidator(key, bls.prove_possession(FOUNDER), address_of(ecdsa.public_key(secret_of(0))))
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
    """State and tree in memory, and the block that the next one builds on. Beside the founder, `validators` vote."""

    network: Network
    validators: int = 0
    parent: Parent = field(init=False)
    records: dict[bytes, bytes] = field(default_factory=dict)
    nodes: dict[bytes, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.parent = genesis_parent(self.network, ZERO)
        state = genesis_state(self.network)
        if self.validators:
            _bond(state, self.validators)
        self._set(state.changes)

    @property
    def state(self) -> State:
        return State(self.records.get)

    def fund(self, addresses: Iterable[bytes]) -> None:
        """Give each address `EACH` nanos, counted as minted."""
        self._set(funding(self.state, addresses))

    def _set(self, changes: Mapping[bytes, bytes | None]) -> None:
        tree = Update(self.nodes.get)
        root = tree.apply(self.parent.state_root, changes)
        self._store(changes, tree)
        self.parent = replace(self.parent, state_root=root)

    def keep(self, applied: Applied) -> None:
        self._store(applied.state.changes, applied.tree)
        self.parent = applied.parent

    def _store(self, changes: Mapping[bytes, bytes | None], tree: Update) -> None:
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


def funding(state: State, addresses: Iterable[bytes]) -> dict[bytes, bytes | None]:
    """The changes that give each address, which has nothing yet, `EACH` nanos, counted as minted."""
    account = Account(balance=EACH).encode()
    changes: dict[bytes, bytes | None] = {account_key(address): account for address in addresses}
    supply, total = state.supply, len(changes) * EACH
    after = replace(supply, minted=supply.minted + total, balances=supply.balances + total)
    return changes | {SUPPLY_KEY: after.encode()}


def _bond(state: State, number: int) -> None:
    """Put `number` validators with 100 NEURO each into the genesis set, as if they had bonded long ago."""
    stake, wallets = 100 * NEURO, []
    members = list(state.validators(0).members)
    for i in range(1, number + 1):
        key, wallet = _public_key(FOUNDER + i), address_without_key(10**9 + i)
        state.put(stake_key(wallet), Stake(key, bonded=stake, power=stake, since_height=1))
        state.put(validator_key(key), ValidatorKey(wallet, False))
        members.append(Validator(key, stake))
        wallets.append(wallet)
    members.sort(key=lambda member: member.public_key)
    state.put(set_key(0), ValidatorSet(tuple(members)))
    state.put(STAKING_KEY, replace(staking(state), validators=tuple(sorted(wallets))))
    supply = state.supply
    state.put(SUPPLY_KEY, replace(supply, minted=supply.minted + stake * number, bonded=supply.bonded + stake * number))


def propose(state: State, network: Network, parent: Parent) -> Proposal:
    """The next view, at the usual interval, by its leader."""
    epoch = epoch_of(parent.height + 1, network.params)
    view = parent.view + 1 if parent.height and epoch == parent.epoch else 1
    leader = leader_of(committee_of(state, epoch), epoch, view)
    secret = _secret_of(state.validators(epoch).members[leader].public_key)
    reveal = bls.sign(secret, beacon_message(network.chain_id, epoch, view))
    return Proposal(epoch, view, parent.time_ms + network.params.block_interval_ms, leader, reveal)


def certify(state: State, network: Network, parent: Parent, kind: int) -> Certificate:
    """Everybody's vote on a block. The sum of signatures is the signature by the sum of the secrets."""
    keys = [member.public_key for member in state.validators(parent.epoch).members]
    message = vote_message(network.chain_id, kind, parent.epoch, parent.view, parent.hash)
    signature = bls.sign(sum(map(_secret_of, keys)) % bls.GROUP_ORDER, message)
    bitmap = bitmap_of(range(len(keys)), len(keys))
    return Certificate(kind, parent.epoch, parent.view, parent.hash, bitmap, signature)


def notarization(state: State, network: Network, parent: Parent) -> bytes:
    """What the child of a block carries in its body."""
    return certify(state, network, parent, NOTARIZE).encode() if parent.height else b""


def finalization(state: State, network: Network, parent: Parent) -> Certificate:
    return certify(state, network, parent, FINALIZE)


def next_block(ledger: Ledger, transactions: Sequence[Transaction] = (), proofs: Sequence[Proof] = ()) -> Applied:
    """A block on the ledger's tip, kept."""
    state, network, parent = ledger.state, ledger.network, ledger.parent
    body = Body(tuple(proofs), tuple(transactions), (), notarization(state, network, parent))
    applied = build_block(state, parent, propose(state, network, parent), body, network, ledger.nodes.get)
    ledger.keep(applied)
    return applied


@dataclass(frozen=True, slots=True)
class Payment:
    """Account `sender` pays account `payee`; its `nonce`-th payment."""

    sender: int
    nonce: int
    payee: int
    amount: int


def payments(accounts: int, first: int, count: int) -> list[Payment]:
    """Payments `first … first + count − 1` of a plan in which all accounts pay in turn, each time somebody else."""
    planned = []
    for i in range(first, first + count):
        sender, nonce = i % accounts, i // accounts
        payee = (sender + 1 + (sender * 7919 + nonce * 104_729) % (accounts - 1)) % accounts
        planned.append(Payment(sender, nonce, payee, 1 + i % 1000))
    return planned


@dataclass(slots=True)
class Wallets:
    """Accounts `0 … number − 1`, with real keys."""

    network: Network
    number: int
    keys: list[bytes] = field(init=False)
    addresses: list[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.keys = [ecdsa.public_key(secret_of(i)) for i in range(self.number)]
        self.addresses = [address_of(key) for key in self.keys]

    def transfer(self, payment: Payment) -> Transaction:
        action = Transfer(self.addresses[payment.payee], payment.amount)
        unsigned = Transaction(self.keys[payment.sender], payment.nonce, FEE, 1, action, bytes(64))
        signature = ecdsa.sign(secret_of(payment.sender), unsigned.id(self.network.chain_id))
        return replace(unsigned, signature=signature)

    def transfers(self, first: int, count: int) -> list[Transaction]:
        return [self.transfer(payment) for payment in payments(self.number, first, count)]
