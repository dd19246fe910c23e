"""What the ledger knows of stake: records under their keys, beside those of `chain.state`.

b ‖ address                  Stake            y ‖ BLS public key    ValidatorKey
u ‖ address ‖ ready epoch    Unbonding        k                     Staking
p                            Participation
"""

from dataclasses import dataclass, replace
from typing import Annotated

from chain.audit_records import forget_misses
from chain.block import VALIDATORS_MAXIMUM
from chain.codec import U32, U64, U128, Address, BlsPublicKey, Flag, Wire
from chain.state import State

NO_KEY = bytes(48)
EXITS_MAXIMUM = 64  # of one wallet at a time; more wait in the bond
STAKING_KEY, PARTICIPATION_KEY = b"k", b"p"


@dataclass(frozen=True, slots=True)
class Stake(Wire):
    """A wallet's bond. It can become a validator once a Bond has named its key."""

    public_key: BlsPublicKey = NO_KEY
    bonded: U128 = 0  # written by chain.money only
    leaving: U128 = 0  # of `bonded`: asked back, still in the set or waiting for the epoch's end
    power: U128 = 0  # in the newest set
    since_height: U64 = 0  # place in the queue into the set
    leaving_height: U64 = 0  # place in the queue out of it
    jailed_until: U64 = 0  # epoch from which Unjail is allowed; 0: not in jail
    tombstoned: Flag = False
    exits: Annotated[tuple[U64, ...], EXITS_MAXIMUM] = ()  # ready epochs of its Unbonding records, ascending

    @property
    def staying(self) -> int:
        return self.bonded - self.leaving


@dataclass(frozen=True, slots=True)
class Unbonding(Wire):
    """Stake that left the set `unbonding_epochs` before the ready epoch in its key; slashable until withdrawn."""

    amount: U128


@dataclass(frozen=True, slots=True)
class ValidatorKey(Wire):
    """Whose validator key it is. A tombstoned key never votes again."""

    wallet: Address
    tombstoned: Flag


@dataclass(frozen=True, slots=True)
class Tomb(Wire):
    """An equivocation, remembered while others may still add to its penalty, or it to theirs."""

    wallet: Address
    epoch: U64  # of the two votes
    reported: U64  # epoch of the block that carried the evidence
    power: U128  # of the offender when it offended
    total: U128  # of its set
    stake: U128  # that answers for it; 0 if it had phantom power only
    settled: Flag  # the correlation penalty was taken


@dataclass(frozen=True, slots=True)
class Staking(Wire):
    """The singletons of staking."""

    validators: Annotated[tuple[Address, ...], VALIDATORS_MAXIMUM]  # wallets whose stake names a key; ascending
    phantom: U128  # power of each bootstrap validator in the newest set; never grows
    epochs_at_target: U64  # in a row, that the maximum of active stake has stood at its target
    latched: Flag  # phantom power is gone for ever
    tombs: Annotated[tuple[Tomb, ...], VALIDATORS_MAXIMUM]


@dataclass(frozen=True, slots=True)
class Participation(Wire):
    """How many notarizations of the running epoch's blocks are in later blocks of it, and who signed how many."""

    counted: U32
    signed: Annotated[tuple[U32, ...], VALIDATORS_MAXIMUM]  # by place in the set


def stake_key(address: bytes) -> bytes:
    return b"b" + address


def unbonding_key(address: bytes, ready_epoch: int) -> bytes:
    return b"u" + address + ready_epoch.to_bytes(8, "big")


def validator_key(public_key: bytes) -> bytes:
    return b"y" + public_key


def staking(state: State) -> Staking:
    return state.need(Staking, STAKING_KEY)


def stake_of(state: State, address: bytes) -> Stake:
    return state.find(Stake, stake_key(address)) or Stake()


def put_stake(state: State, address: bytes, stake: Stake) -> None:
    """Write a stake, or forget it, its key and the misses of that once nothing is left of it.

    Who is banned is never forgotten.
    """
    if stake.bonded or stake.power or stake.exits or stake.tombstoned:
        state.put(stake_key(address), stake)
        return
    state.delete(stake_key(address))
    if stake.public_key != NO_KEY:
        state.delete(validator_key(stake.public_key))
        forget_misses(state, stake.public_key)
        strike_off(state, address)


def strike_off(state: State, address: bytes) -> None:
    """Take a wallet off the list of those that may be validators."""
    known = staking(state)
    state.put(STAKING_KEY, replace(known, validators=tuple(a for a in known.validators if a != address)))
