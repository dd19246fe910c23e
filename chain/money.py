"""Mint, move, burn: the only three ways in which nanos appear, change hands or vanish, and the only writer of balances.

A pot is a place that holds nanos. Each verb keeps `Supply`: minted − burned equals the sum of all pots after each call.
"""

from dataclasses import dataclass, replace
from typing import Literal

from chain.errors import NotEnoughFunds
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


Pot = Balance | VestingReward


def mint(state: State, pot: Pot, amount: int) -> None:
    """Create `amount` nanos in `pot`. Called only where a verified claim is paid."""
    supply = state.supply
    assert 0 <= amount <= AMOUNT_MAXIMUM - supply.minted
    _write_supply(state, replace(supply, minted=supply.minted + amount))
    _set(state, pot, holdings(state, pot) + amount)


def move(state: State, source: Pot, target: Pot, amount: int) -> None:
    """Take nanos from one pot and put them into another. Raises NotEnoughFunds, and then nothing has changed."""
    _require(state, source, amount)
    _set(state, source, holdings(state, source) - amount)
    # Read the target only now: it may be the source.
    _set(state, target, holdings(state, target) + amount)


def burn(state: State, pot: Pot, amount: int) -> None:
    """Destroy `amount` nanos of `pot`. Raises NotEnoughFunds, and then nothing has changed."""
    _require(state, pot, amount)
    supply = state.supply
    _write_supply(state, replace(supply, burned=supply.burned + amount))
    _set(state, pot, holdings(state, pot) - amount)


def holdings(state: State, pot: Pot) -> int:
    """Nanos in a pot; an absent pot holds 0."""
    if isinstance(pot, Balance):
        return state.account(pot.address).balance
    record = state.find(Vesting, vesting_key(pot.round, pot.node))
    return 0 if record is None else record.amount


def _require(state: State, pot: Pot, amount: int) -> None:
    held = holdings(state, pot)
    if not 0 <= amount <= held:
        raise NotEnoughFunds(f"{amount} nanos wanted from {pot.kind}, {held} held")


def _set(state: State, pot: Pot, amount: int) -> None:
    supply = state.supply
    difference = amount - holdings(state, pot)
    _write_supply(state, replace(supply, **{pot.kind: getattr(supply, pot.kind) + difference}))
    if isinstance(pot, Balance):
        account = state.account(pot.address)
        state.put(account_key(pot.address), Account(balance=amount, nonce=account.nonce))
    elif amount == 0:
        state.delete(vesting_key(pot.round, pot.node))
    else:
        state.put(vesting_key(pot.round, pot.node), Vesting(pot.wallet, amount))


def _write_supply(state: State, supply: Supply) -> None:
    state.put(SUPPLY_KEY, supply)


def burn_share(amount: int, basis_points: int) -> int:
    """The part of a payment that is burned, rounded up so that dust cannot dodge it."""
    return -(-amount * basis_points // 10_000)
