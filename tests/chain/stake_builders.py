"""Validators made short: the set alone, epoch after epoch (`Sets`), and a chain with other members (`StakedChain`)."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from chain.block import Validator
from chain.crypto import bls
from chain.genesis import Network, genesis_state
from chain.money import NEURO, Balance, BondedStake, burn, mint
from chain.receipts import Receipt
from chain.stakes import (
    PARTICIPATION_KEY,
    STAKING_KEY,
    Participation,
    Stake,
    Staking,
    Unbonding,
    ValidatorKey,
    put_stake,
    stake_key,
    stake_of,
    staking,
    validator_key,
)
from chain.staking import auto_bond, unbond, unjail, withdraw
from chain.state import Account, State, ValidatorSet, Vesting, set_key
from chain.transactions import Bond, Transaction, bond_consent
from chain.transition import Applied, check_supply
from chain.validators import choose_validators
from tests.builders import (
    Chain,
    Key,
    a_certificate,
    a_key,
    a_network,
    a_transaction,
    named,
    secret_of,
    validator_key_of,
    voting_key,
)

EPOCH = 8  # blocks, as in the builders' networks
COUNTED = 10  # certificates of an epoch


@cache
def founded(founders: int, **params: int) -> Network:
    return a_network(validators=founders, **params)


def wallet_of(name: str) -> bytes:
    return b"\0" + named(name)[:20]


def key_of(name: str) -> bytes:
    """A validator key that nobody signs with: the choice of a set checks no signature."""
    return (named(name) + named(name + " key"))[:48]


@dataclass
class Sets:
    """The choice of validator sets without blocks: stakes are put where bonds would have put them."""

    network: Network
    state: State = field(init=False)
    epoch: int = 0
    receipts: list[Receipt] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = genesis_state(self.network)

    # ---- What wallets do

    def bond(self, name: str, nanos: int = 100 * NEURO, key: bytes | None = None, at: int | None = None) -> None:
        """Stake of a wallet under a key of its own, asked for at a height, by default in this epoch."""
        wallet, public_key = wallet_of(name), key or key_of(name)
        mint(self.state, BondedStake(wallet), nanos)
        since = self.epoch * EPOCH + 1 if at is None else at
        stake = replace(stake_of(self.state, wallet), public_key=public_key, since_height=since)
        self.state.put(stake_key(wallet), stake)
        self.state.put(validator_key(public_key), ValidatorKey(wallet, False))
        known = staking(self.state)
        everybody = tuple(sorted({*known.validators, wallet}))
        self.state.put(STAKING_KEY, replace(known, validators=everybody))

    def seat(self, *names: str, nanos: int = 100 * NEURO) -> None:
        """Members of the running set, with all their stake in it."""
        for name in names:
            self.bond(name, nanos)
            self.state.put(stake_key(wallet_of(name)), replace(self.stake(name), power=nanos))
        powers = {member.public_key: member.power for member in self.members}
        for name in names:
            powers[key_of(name)] = nanos
        current = tuple(Validator(*item) for item in sorted(powers.items()))
        self.state.put(set_key(self.epoch), ValidatorSet(current))

    def unbond(self, name: str, nanos: int | None = None, at: int | None = None) -> None:
        amount = self.stake(name).staying if nanos is None else nanos
        height = self.epoch * EPOCH + 1 if at is None else at
        unbond(self.state, amount, wallet_of(name), height, self.network.params)

    def earn(self, name: str, nanos: int) -> None:
        """A released reward of a wallet that declared validator intent."""
        mint(self.state, Balance(wallet_of(name)), nanos)
        auto_bond(self.state, wallet_of(name), nanos, self.network.params)

    def keep(self, name: str, nanos: int) -> None:
        """Stake beside what is leaving, however it came there."""
        mint(self.state, BondedStake(wallet_of(name)), nanos)

    def withdraw(self, name: str) -> None:
        withdraw(self.state, wallet_of(name), self.epoch)

    def unjail(self, name: str, at: int | None = None) -> None:
        unjail(self.state, wallet_of(name), self.epoch * EPOCH + 1 if at is None else at, self.epoch)

    def ban(self, name: str, lost: int = 5 * NEURO) -> None:
        """What evidence brings about at once: a ban, and a part of the stake burned."""
        wallet, stake = wallet_of(name), self.stake(name)
        burn(self.state, BondedStake(wallet), min(lost, stake.bonded))
        left = stake_of(self.state, wallet)
        put_stake(self.state, wallet, replace(left, tombstoned=True, leaving=left.bonded))
        self.state.put(validator_key(stake.public_key), ValidatorKey(wallet, True))

    def ban_founder(self, place: int) -> None:
        founder = self.network.validators[place]
        self.state.put(validator_key(founder.public_key), ValidatorKey(founder.payout, True))

    # ---- Time

    def end_epoch(
        self, absent: Collection[str] = (), signed: Mapping[str, int] | None = None, counted: int = COUNTED
    ) -> list[Receipt]:
        """Choose the next set. Everybody signed everything but those named; founders are "founder 0" and so on."""
        counts = dict.fromkeys(absent, 0) | dict(signed or {})
        by_key = {self.founder(int(n[8:])) if n[:8] == "founder " else key_of(n): many for n, many in counts.items()}
        found = tuple(by_key.get(member.public_key, counted) for member in self.members)
        self.state.put(PARTICIPATION_KEY, Participation(counted, found if counted else ()))
        self.receipts = choose_validators(self.state, self.epoch, (self.epoch + 1) * EPOCH, self.network)
        self.epoch += 1
        check_supply(self.state)
        return self.receipts

    def end_epochs(self, number: int) -> None:
        for _ in range(number):
            self.end_epoch()

    # ---- What follows

    @property
    def members(self) -> tuple[Validator, ...]:
        """The running set; after `end_epoch` the one just chosen."""
        return self.state.validators(self.epoch).members

    @property
    def total(self) -> int:
        return sum(member.power for member in self.members)

    @property
    def staking(self) -> Staking:
        return staking(self.state)

    @property
    def phantom(self) -> int:
        """Of each founder that is not banned."""
        return self.staking.phantom

    def founder(self, place: int) -> bytes:
        return self.network.validators[place].public_key

    def stake(self, name: str) -> Stake:
        return stake_of(self.state, wallet_of(name))

    def power(self, name: str) -> int:
        """In the running set, of a wallet's own key."""
        return self.power_of(key_of(name))

    def power_of(self, public_key: bytes) -> int:
        return next((member.power for member in self.members if member.public_key == public_key), 0)

    def powers(self, *names: str) -> list[int]:
        """In whole NEURO and above, where there are no odd nanos."""
        return [self.power(name) // NEURO for name in names]


def sets(founders: int = 1, **params: int) -> Sets:
    return Sets(founded(founders, **params))


# ---- A chain with real signatures


WALLETS = tuple(a_key(f"wallet {i}") for i in range(8))


@dataclass(frozen=True, slots=True)
class Moment:
    """What was true after a block, in nanos."""

    phantom: int  # of one founder
    owned: int  # added up from the records
    stake_power: int
    next_power: int  # of the set that votes on the next block


class StakedChain(Chain):
    """A chain whose blocks show who signed their parent.

    After every block what all records hold is what exists.
    """

    def __init__(self, network: Network) -> None:
        super().__init__(network)
        self.absent: frozenset[bytes] = frozenset()  # keys that sign nothing
        self.moments: list[Moment] = []

    @property
    def phantom(self) -> int:
        return staking(self.state).phantom

    def block(self, *args: Any, **named_args: Any) -> Applied:
        return super().block(*args, **({"certificate": self.certificate()} | named_args))

    def certificate(self, signers: Iterable[int] | None = None) -> bytes:
        """The notarization of the tip: by everybody but the absent, or by these places of its set."""
        if self.height == 0:
            return b""
        keys = [member.public_key for member in self.state.validators(self.parent.epoch).members]
        present = [place for place, key in enumerate(keys) if key not in self.absent] if signers is None else signers
        return a_certificate(self, present)

    def _append(self, applied: Applied) -> Applied:
        super()._append(applied)
        found, state = owned(self.records), self.state
        assert found == state.supply.circulating
        stake = sum(stake_of(state, wallet).power for wallet in staking(state).validators)
        power = sum(member.power for member in self.members)
        self.moments.append(Moment(staking(state).phantom, found, stake, power))
        return applied

    def live(self, blocks: int) -> None:
        for _ in range(blocks):
            self.block()

    def live_out_epoch(self) -> None:
        self.live(EPOCH - self.height % EPOCH)

    def sign(self, vote: Any) -> Any:
        """A round's vote, signed by the member that it names."""
        members = self.state.validators(self.round.set_epoch).members
        secret = secret_of(members[vote.validator].public_key)
        return replace(vote, signature=bls.sign(secret, vote.digest(self.network.chain_id)))

    def power(self, wallet: Key) -> int:
        return sum(member.power for member in self.members if member.public_key == voting_key(wallet))


def a_bond_under(chain: Chain, secret: int, wallet: Key, nanos: int = 100 * NEURO) -> Transaction:
    """Stake under the validator key of any secret, such as a founder's."""
    public_key = validator_key_of(secret)
    consent = bls.sign(secret, bond_consent(chain.network.chain_id, public_key, wallet.address))
    return a_transaction(chain, Bond(nanos, public_key, consent), sender=wallet)


def owned(records: Mapping[bytes, bytes]) -> int:
    """Nanos in all pots, added up from the records themselves."""
    amounts: dict[bytes, Callable[[bytes], int]] = {
        b"a": lambda value: Account.decode(value).balance,
        b"b": lambda value: Stake.decode(value).bonded,
        b"u": lambda value: Unbonding.decode(value).amount,
        b"v": lambda value: Vesting.decode(value).amount,
    }
    return sum(amounts[key[:1]](value) for key, value in records.items() if key[:1] in amounts)
