"""Bond, unbond, withdraw, unjail: what a wallet may do with its stake. The set changes at an epoch's end only."""

from dataclasses import replace

from chain.block import VALIDATORS_MAXIMUM
from chain.crypto import bls
from chain.errors import BadSignature, InvalidTransaction
from chain.genesis import Network, Params
from chain.money import Balance, BondedStake, UnbondingStake, holdings, move
from chain.stakes import (
    NO_KEY,
    STAKING_KEY,
    ValidatorKey,
    put_stake,
    stake_key,
    stake_of,
    staking,
    validator_key,
)
from chain.state import State
from chain.transactions import Bond, bond_consent


def bond(state: State, action: Bond, wallet: bytes, height: int, network: Network) -> None:
    """Put balance at stake. The first bond names the key; the stake must then reach the minimum."""
    stake, minimum = stake_of(state, wallet), network.params.stake_minimum_nanos
    if stake.tombstoned:
        raise InvalidTransaction("this wallet's validator was banned for voting twice: bond from another wallet")
    if stake.public_key not in (NO_KEY, action.public_key):
        raise InvalidTransaction(f"this wallet's validator key is {stake.public_key.hex()[:16]}: bond with that one")
    if not action.amount and stake.public_key != NO_KEY:
        raise InvalidTransaction("0 nanos are to be bonded: name an amount")
    staying = stake.staying + action.amount
    if staying < minimum:
        raise InvalidTransaction(f"{staying} nanos would stay bonded, {minimum} are the minimum")
    move(state, Balance(wallet), BondedStake(wallet), action.amount)
    if stake.public_key == NO_KEY:
        _name_key(state, action.public_key, wallet, len(network.validators))
    # Who asks for more asks anew: otherwise an early place in the queue could be filled later, before all who wait.
    stake = replace(stake_of(state, wallet), public_key=action.public_key, since_height=height)
    state.put(stake_key(wallet), stake)
    # Last, because it costs more than all the rest.
    if not bls.verify(action.public_key, bond_consent(network.chain_id, action.public_key, wallet), action.possession):
        raise BadSignature("the validator key did not sign to vote for this wallet")


def _name_key(state: State, public_key: bytes, wallet: bytes, founders: int) -> None:
    if state.get(validator_key(public_key)) is not None:
        raise InvalidTransaction(f"validator key {public_key.hex()[:16]} is another wallet's, or banned")
    known, most = staking(state), VALIDATORS_MAXIMUM - founders  # the bootstrap validators have places of their own
    if len(known.validators) >= most:
        raise InvalidTransaction(f"{most} validators are bonded already: wait until one leaves")
    state.put(validator_key(public_key), ValidatorKey(wallet, False))
    state.put(STAKING_KEY, replace(known, validators=tuple(sorted((*known.validators, wallet)))))


def unbond(state: State, amount: int, wallet: bytes, height: int, params: Params) -> None:
    """Ask for stake back: all of it, or so much that the minimum stays."""
    stake = stake_of(state, wallet)
    if not 0 < amount <= stake.staying:
        raise InvalidTransaction(f"{amount} nanos are to leave, of {stake.staying} that stay bonded")
    if stake.public_key == NO_KEY:
        # Bonded by auto-bond, and never in a set: there is nothing that it could answer for.
        move(state, BondedStake(wallet), Balance(wallet), amount)
        put_stake(state, wallet, stake_of(state, wallet))
        return
    staying = stake.staying - amount
    if 0 < staying < params.stake_minimum_nanos:
        raise InvalidTransaction(
            f"{staying} nanos would stay bonded, below the minimum of {params.stake_minimum_nanos}: unbond all or less"
        )
    state.put(stake_key(wallet), replace(stake, leaving=stake.leaving + amount, leaving_height=height))


def withdraw(state: State, wallet: bytes, epoch: int) -> None:
    """Move what has served its unbonding time to the balance."""
    stake = stake_of(state, wallet)
    ready = [each for each in stake.exits if each <= epoch]
    if not ready:
        first = f"the first from epoch {stake.exits[0]} on" if stake.exits else "none is unbonding"
        raise InvalidTransaction(f"no stake can be withdrawn in epoch {epoch}: {first}")
    for each in ready:
        pot = UnbondingStake(wallet, each)
        move(state, pot, Balance(wallet), holdings(state, pot))
    put_stake(state, wallet, replace(stake, exits=stake.exits[len(ready) :]))


def unjail(state: State, wallet: bytes, height: int, epoch: int) -> None:
    """End a jail term that is over; the validator goes to the end of the queue into the set."""
    stake = stake_of(state, wallet)
    if stake.tombstoned:
        raise InvalidTransaction("this wallet's validator was banned for voting twice, for ever")
    if not stake.jailed_until:
        raise InvalidTransaction("this wallet's validator is not in jail")
    if epoch < stake.jailed_until:
        raise InvalidTransaction(f"the jail term ends with epoch {stake.jailed_until - 1}, this is epoch {epoch}")
    state.put(stake_key(wallet), replace(stake, jailed_until=0, since_height=height))


def auto_bond(state: State, wallet: bytes, released: int, params: Params) -> int:
    """Bond what was just released to a wallet that wants to validate, up to the minimum; returns the nanos bonded."""
    stake = stake_of(state, wallet)
    # Who has unbonded all is not made to stay, nor could it keep its place among the validators with a nano.
    has_left = stake.public_key != NO_KEY and not stake.staying
    amount = 0 if stake.tombstoned or has_left else min(released, max(0, params.stake_minimum_nanos - stake.staying))
    if amount:
        move(state, Balance(wallet), BondedStake(wallet), amount)
    return amount
