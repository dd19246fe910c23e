"""Mint, move, burn: the only three ways in which nanos appear, change hands or vanish, and the only writer of balances.

A pot is a place that holds nanos. Each verb keeps `Supply`: minted − burned equals the sum of all pots after each call.
"""

from dataclasses import dataclass, replace
from typing import Literal

from chain.codec import Wire
from chain.errors import NotEnoughFunds
from chain.stakes import Unbonding, stake_key, stake_of, unbonding_key
from chain.state import SUPPLY_KEY, Account, State, Supply, Vesting, account_key, vesting_key

NEURO = 10**9
AMOUNT_MAXIMUM = 2**128 - 1


@dataclass(frozen=True, slots=True)
class Balance:
    """What an address can spend."""

    address: bytes
    kind: Literal["balances"] = "balances"


@dataclass(frozen=True, slots=True)
class VestingReward:
    """A node's reward of one round, owned by its wallet, not yet released."""

    round: int
    node: bytes
    wallet: bytes
    kind: Literal["vesting"] = "vesting"


@dataclass(frozen=True, slots=True)
class BondedStake:
    """What a wallet has at stake."""

    address: bytes
    kind: Literal["bonded"] = "bonded"


@dataclass(frozen=True, slots=True)
class UnbondingStake:
    """Stake of a wallet that left the set, to be withdrawn from `ready_epoch` on."""

    address: bytes
    ready_epoch: int
    kind: Literal["unbonding"] = "unbonding"


Pot = Balance | VestingReward | BondedStake | UnbondingStake


def mint(state: State, pot: Pot, amount: int) -> None:
    """Create `amount` nanos in `pot`. Called only where a verified claim is paid."""
    supply = state.supply
    assert 0 <= amount <= AMOUNT_MAXIMUM - supply.minted
    _write_supply(state, replace(supply, minted=supply.minted + amount), pot.kind, amount)
    _set(state, pot, holdings(state, pot) + amount)


def move(state: State, source: Pot, target: Pot, amount: int) -> None:
    """Take nanos from one pot and put them into another. Raises NotEnoughFunds, and then nothing has changed."""
    _set(state, source, _required(state, source, amount) - amount)
    # Read the target only now: it may be the source.
    _set(state, target, holdings(state, target) + amount)
    if source.kind != target.kind:
        supply = state.supply
        supply = replace(supply, **{source.kind: getattr(supply, source.kind) - amount})
        _write_supply(state, supply, target.kind, amount)


def burn(state: State, pot: Pot, amount: int) -> None:
    """Destroy `amount` nanos of `pot`. Raises NotEnoughFunds, and then nothing has changed."""
    held = _required(state, pot, amount)
    supply = state.supply
    _write_supply(state, replace(supply, burned=supply.burned + amount), pot.kind, -amount)
    _set(state, pot, held - amount)


def holdings(state: State, pot: Pot) -> int:
    """Nanos in a pot; an absent pot holds 0."""
    match pot:
        case Balance(address=address):
            return state.account(address).balance
        case BondedStake(address=address):
            return stake_of(state, address).bonded
        case UnbondingStake():
            unbonding = state.find(Unbonding, unbonding_key(pot.address, pot.ready_epoch))
            return 0 if unbonding is None else unbonding.amount
        case VestingReward():
            vesting = state.find(Vesting, vesting_key(pot.round, pot.node))
            return 0 if vesting is None else vesting.amount


def _required(state: State, pot: Pot, amount: int) -> int:
    held = holdings(state, pot)
    if not 0 <= amount <= held:
        raise NotEnoughFunds(f"{amount} nanos wanted from {pot.kind}, {held} held")
    return held


def _set(state: State, pot: Pot, amount: int) -> None:
    match pot:
        case Balance(address=address):
            # An empty account that never signed has no record: paying nobody nothing must not fill the state.
            account = Account(balance=amount, nonce=state.account(address).nonce)
            _put_or_delete(state, account_key(address), account, amount or account.nonce)
        case BondedStake(address=address):
            state.put(stake_key(address), replace(stake_of(state, address), bonded=amount))
        case UnbondingStake():
            _put_or_delete(state, unbonding_key(pot.address, pot.ready_epoch), Unbonding(amount), amount)
        case VestingReward():
            _put_or_delete(state, vesting_key(pot.round, pot.node), Vesting(pot.wallet, amount), amount)


def _put_or_delete(state: State, key: bytes, record: Wire, amount: int) -> None:
    if amount:
        state.put(key, record)
    else:
        state.delete(key)


def _write_supply(state: State, supply: Supply, kind: str, difference: int) -> None:
    """Write the totals, with `difference` nanos more in pots of one kind."""
    state.put(SUPPLY_KEY, replace(supply, **{kind: getattr(supply, kind) + difference}))


def burn_share(amount: int, basis_points: int) -> int:
    """The part of a payment that is burned, rounded up so that dust cannot dodge it."""
    return -(-amount * basis_points // 10_000)
