"""Who validates next. Start reading at `choose_validators`, which runs in an epoch's last block.

Real stake enters and leaves the set within the churn limit, in order of asking. Bans, jail and the fading of the
bootstrap validators' phantom power are exempt from it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from chain.audit_records import forget_misses, misses_of
from chain.block import VALIDATORS_MAXIMUM, Validator
from chain.bootstrap import cap_at_sunset, fade
from chain.genesis import SETS_KEPT, Network, Params
from chain.money import BondedStake, UnbondingStake, move
from chain.participation import attendance
from chain.receipts import Jailed, Receipt, StakeLeft
from chain.slashing import settle_tombs
from chain.stakes import (
    EXITS_MAXIMUM,
    PARTICIPATION_KEY,
    Participation,
    Stake,
    ValidatorKey,
    put_stake,
    stake_key,
    stake_of,
    staking,
    strike_off,
    validator_key,
)
from chain.state import State, ValidatorSet, set_key

FEWEST = 4  # validators that leaving and jail never go below


@dataclass(slots=True)
class Choice:
    """The next set in the making."""

    state: State
    epoch: int  # that ends
    height: int
    network: Network
    current: ValidatorSet
    before: Mapping[bytes, Stake]  # that name a key, by wallet, as the state has them
    stakes: dict[bytes, Stake]  # the same with their next power
    phantom: dict[bytes, int]  # next power of the bootstrap keys
    receipts: list[Receipt]

    @property
    def params(self) -> Params:
        return self.network.params

    def members(self) -> tuple[Validator, ...]:
        """The next set as things stand: a bootstrap key with a stake has one place, with both powers."""
        powers = dict(self.phantom)
        for stake in self.stakes.values():
            powers[stake.public_key] = powers.get(stake.public_key, 0) + stake.power
        return tuple(Validator(key, power) for key, power in sorted(powers.items()) if power)

    def has_phantom(self, stake: Stake) -> bool:
        """Whether the stake's key stays a member without it."""
        return self.phantom.get(stake.public_key, 0) > 0

    def wanted(self, stake: Stake) -> int:
        """The power that a stake will have once the churn limit has let it through."""
        barred = stake.tombstoned or stake.jailed_until or stake.staying < self.params.stake_minimum_nanos
        return 0 if barred else stake.staying


def choose_validators(draft: State, epoch: int, height: int, network: Network) -> list[Receipt]:
    """Fix the set of the next epoch and what follows from the one that ends, and forget what is out of reach."""
    receipts = settle_tombs(draft, epoch, network.params)
    current = draft.validators(epoch)
    stakes = {address: stake_of(draft, address) for address in staking(draft).validators}
    choice = Choice(draft, epoch, height, network, current, stakes, dict(stakes), {}, receipts)
    active, absent = attendance(draft, len(current.members), network.params)
    missed = [misses_of(draft, member.public_key) >= network.params.audit_misses for member in current.members]
    _ban(choice)
    _set_phantom(choice, fade(draft, _active_stake(choice, active), network.params))
    _jail(choice, [either or other for either, other in zip(absent, missed, strict=True)])
    _churn(choice)
    _set_phantom(choice, cap_at_sunset(draft, [s.power for s in choice.stakes.values() if s.power], height, network))
    _write(choice)
    return receipts


def _by_key(choice: Choice) -> dict[bytes, bytes]:
    """The wallet of each key of the ending set that has real stake in it."""
    return {stake.public_key: wallet for wallet, stake in choice.stakes.items() if stake.power}


def _ban(choice: Choice) -> None:
    """Tombstoned keys lose the power of their stake. They may be all there are: see `_write`."""
    for wallet, stake in choice.stakes.items():
        if stake.tombstoned:
            choice.stakes[wallet] = replace(stake, power=0)


def _active_stake(choice: Choice, active: list[bool]) -> int:
    """Real power of the ending set that signed enough, at most the minimum stake counted of each member."""
    wallets, total = _by_key(choice), 0
    for member, is_active in zip(choice.current.members, active, strict=True):
        if is_active and member.public_key in wallets:
            total += min(choice.stakes[wallets[member.public_key]].power, choice.params.stake_minimum_nanos)
    return total


def _set_phantom(choice: Choice, power: int) -> None:
    for validator in choice.network.validators:
        known = choice.state.find(ValidatorKey, validator_key(validator.public_key))
        banned = known is not None and known.tombstoned
        choice.phantom[validator.public_key] = 0 if banned else power


def _jail(choice: Choice, absent: list[bool]) -> None:
    """Jail validators that signed or audited too little: at most a quarter of the power an epoch, never the last four.

    Whoever stays out of jail for these limits keeps its misses, so it may be next.
    """
    wallets, size = _by_key(choice), len(choice.members())
    left = choice.current.power // 4
    until = choice.epoch + 1 + choice.params.jail_epochs
    for member, is_absent in zip(choice.current.members, absent, strict=True):
        wallet = wallets.get(member.public_key)
        if not is_absent or wallet is None:
            continue
        stake = choice.stakes[wallet]
        lost = 0 if choice.has_phantom(stake) else 1  # members
        if stake.power > left or (lost and size <= FEWEST):
            continue
        left -= stake.power
        size -= lost
        choice.stakes[wallet] = replace(stake, power=0, jailed_until=until)
        forget_misses(choice.state, member.public_key)
        choice.receipts.append(Jailed(wallet, until))


def _churn(choice: Choice) -> None:
    """Let stake out and in, in order of asking, as far as the churn limit goes: out first."""
    left = max(choice.params.stake_minimum_nanos, choice.current.power // 4)
    _enter(choice, _leave(choice, left))


def _in_order(choice: Choice, asked: Callable[[Stake], int]) -> list[bytes]:
    return sorted(choice.stakes, key=lambda wallet: (asked(choice.stakes[wallet]), wallet))


def _leave(choice: Choice, left: int) -> int:
    """Let stake out; returns what is left of the limit. Who would leave too few behind keeps all its power."""
    remaining = len(choice.members())  # members that do not leave, as far as the queue has been gone through
    for wallet in _in_order(choice, lambda stake: stake.leaving_height):
        stake = choice.stakes[wallet]
        wanted = choice.wanted(stake)
        if wanted >= stake.power:
            continue
        if not wanted and not choice.has_phantom(stake):
            # Checked before the first part goes: the last four would else shrink to a nano each.
            if remaining <= FEWEST:
                continue
            remaining -= 1
        amount = min(left, stake.power - wanted)
        choice.stakes[wallet] = replace(stake, power=stake.power - amount)
        left -= amount
    return left


def _enter(choice: Choice, left: int) -> None:
    """Let stake in. A full set admits nobody new; more power for a member needs no place."""
    places = VALIDATORS_MAXIMUM - len(choice.members())
    for wallet in _in_order(choice, lambda stake: stake.since_height):
        stake = choice.stakes[wallet]
        amount = min(left, choice.wanted(stake) - stake.power)
        taken = 0 if stake.power or choice.has_phantom(stake) else 1
        if amount <= 0 or taken > places:
            continue
        choice.stakes[wallet] = replace(stake, power=stake.power + amount)
        left -= amount
        places -= taken


def _write(choice: Choice) -> None:
    state, epoch = choice.state, choice.epoch
    for wallet, stake in choice.stakes.items():
        _settle_stake(choice, wallet, stake)
    # If all are banned, the old ones go on until somebody new enters: a chain without validators would stay so.
    state.put(set_key(epoch + 1), ValidatorSet(choice.members() or choice.current.members))
    state.put(PARTICIPATION_KEY, Participation(0, ()))
    if epoch >= SETS_KEPT:
        state.delete(set_key(epoch - SETS_KEPT))


def _settle_stake(choice: Choice, wallet: bytes, stake: Stake) -> None:
    """Write a stake; what wanted to leave and has no power any more starts its unbonding time."""
    state, ready = choice.state, choice.epoch + 1 + choice.params.unbonding_epochs
    free = min(stake.leaving, stake.bonded - stake.power)
    if free and len(stake.exits) < EXITS_MAXIMUM:
        state.put(stake_key(wallet), stake)
        move(state, BondedStake(wallet), UnbondingStake(wallet, ready), free)
        after = stake_of(state, wallet)
        stake = replace(after, leaving=after.leaving - free, exits=(*after.exits, ready))
        choice.receipts.append(StakeLeft(wallet, free, ready))
    if stake != choice.before[wallet]:
        put_stake(state, wallet, stake)
    if stake.tombstoned and not stake.bonded:
        strike_off(state, wallet)


def proposer_payout(state: State, epoch: int, proposer: int, network: Network) -> bytes:
    """The address that receives the tips of a block."""
    key = state.validators(epoch).members[proposer].public_key
    for validator in network.validators:
        if validator.public_key == key:
            return validator.payout
    return state.need(ValidatorKey, validator_key(key)).wallet
