"""Who validates next. Start reading at `choose_validators`, which runs in an epoch's last block.

Real stake enters and leaves the set within the churn limit, in order of asking. Phantom power of the bootstrap
validators fades as real stake proves itself; it obeys no churn limit, never grows again, and is no money.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from chain.block import BOOTSTRAP, HANDOVER, STAKED, Body, Validator
from chain.crypto.votes import NOTARIZE, Certificate
from chain.errors import InvalidBlock
from chain.genesis import SETS_KEPT, Network, Params, phantom_power
from chain.money import BondedStake, UnbondingStake, move
from chain.receipts import Jailed, Receipt, StakeLeft
from chain.slashing import settle_tombs
from chain.stakes import (
    EXITS_MAXIMUM,
    NO_KEY,
    PARTICIPATION_KEY,
    STAKING_KEY,
    Participation,
    Stake,
    ValidatorKey,
    put_stake,
    stake_of,
    staking,
    strike_off,
    validator_key,
)
from chain.state import State, ValidatorSet, set_key

FEWEST = 4  # validators that leaving and jail never go below
INDEPENDENT = 4  # validators with real stake from which on the sunset applies: fewer could not carry the chain
Stakes = dict[bytes, Stake]


def count_signers(draft: State, parent_epoch: int, parent_hash: bytes, epoch: int, body: Body) -> None:
    """Count who signed the parent's notarization in the body. Whether they really did is for validators to check."""
    if not body.parent_certificate:
        return
    certificate = Certificate.decode(body.parent_certificate)
    if (certificate.kind, certificate.epoch, certificate.block_hash) != (NOTARIZE, parent_epoch, parent_hash):
        raise InvalidBlock("the certificate in the body is not the parent's notarization")
    size = len(draft.validators(parent_epoch).members)
    bits = int.from_bytes(certificate.bitmap, "little")
    if len(certificate.bitmap) != (size + 7) // 8 or bits >> size:
        raise InvalidBlock(f"the bitmap of the parent's notarization does not fit a set of {size}")
    if parent_epoch != epoch:
        return  # the epoch's account is closed
    before = draft.need(Participation, PARTICIPATION_KEY)
    signed = before.signed or (0,) * size
    counts = tuple(count + (bits >> place & 1) for place, count in enumerate(signed))
    draft.put(PARTICIPATION_KEY, Participation(before.counted + 1, counts))


@dataclass(slots=True)
class Choice:
    """The next set in the making."""

    state: State
    epoch: int  # that ends
    height: int
    network: Network
    current: ValidatorSet
    stakes: Stakes  # of everybody who may validate, by wallet
    phantom: dict[bytes, int]  # next power of the bootstrap keys
    receipts: list[Receipt]

    @property
    def params(self) -> Params:
        return self.network.params

    def size(self) -> int:
        """How many members the next set has as things stand."""
        keys = {key for key, power in self.phantom.items() if power}
        return len(keys | {stake.public_key for stake in self.stakes.values() if stake.power})

    def members(self) -> tuple[Validator, ...]:
        powers = dict(self.phantom)
        for stake in self.stakes.values():
            powers[stake.public_key] = powers.get(stake.public_key, 0) + stake.power
        return tuple(Validator(key, power) for key, power in sorted(powers.items()) if power)


def choose_validators(draft: State, epoch: int, height: int, network: Network) -> list[Receipt]:
    """Fix the set of the next epoch and what follows from the one that ends, and forget what is out of reach."""
    receipts = settle_tombs(draft, epoch, network.params)
    current = draft.validators(epoch)
    stakes = {address: stake_of(draft, address) for address in staking(draft).validators}
    choice = Choice(draft, epoch, height, network, current, stakes, {}, receipts)
    _fade(choice, *_attendance(choice))
    _ban(choice)
    _jail(choice, _attendance(choice)[1])
    _churn(choice)
    _write(choice)
    return receipts


def _attendance(choice: Choice) -> tuple[list[bool], list[bool]]:
    """By place in the ending epoch's set: who signed enough to count as active, and who so little as to be jailed."""
    found, params = choice.state.need(Participation, PARTICIPATION_KEY), choice.params
    signed = found.signed or (0,) * len(choice.current.members)
    active = [10_000 * count >= params.active_basis_points * found.counted for count in signed]
    absent = [10_000 * count < params.downtime_basis_points * found.counted for count in signed]
    return active, absent


def _by_key(choice: Choice) -> dict[bytes, bytes]:
    """The wallet of each key of the ending set that has real stake in it."""
    return {stake.public_key: wallet for wallet, stake in choice.stakes.items() if stake.power}


def _fade(choice: Choice, active: list[bool], _: list[bool]) -> None:
    """Phantom power for the next epoch, from the highest active stake ever seen, the latch and the sunset."""
    state, params = choice.state, choice.params
    wallets, counted = _by_key(choice), 0
    for member, is_active in zip(choice.current.members, active, strict=True):
        if is_active and member.public_key in wallets:
            counted += min(choice.stakes[wallets[member.public_key]].power, params.stake_minimum_nanos)
    maximum = max(state.ledger.active_maximum, counted)
    state.update_ledger(active_maximum=maximum)
    known = staking(state)
    standing = known.epochs_at_target + 1 if maximum >= params.stake_target_nanos else 0
    latched = known.latched or standing >= params.target_epochs
    power = 0 if latched else min(known.phantom, phantom_power(params, maximum))
    founders = [validator.public_key for validator in choice.network.validators]
    real = [stake.power for stake in choice.stakes.values() if stake.power]
    if choice.height >= params.sunset_height and len(real) >= INDEPENDENT:
        power = min(power, max(0, sum(real) - 1) // 2 // len(founders))
    state.put(STAKING_KEY, replace(known, phantom=power, epochs_at_target=standing, latched=latched))
    choice.phantom = dict.fromkeys(founders, power)


def _ban(choice: Choice) -> None:
    """Tombstoned keys lose their power, unless nobody would be left."""
    banned = {key for key in choice.phantom if _is_banned(choice.state, key)}
    if len(banned) < len(choice.phantom) or any(s.power and not s.tombstoned for s in choice.stakes.values()):
        choice.phantom = {key: 0 if key in banned else power for key, power in choice.phantom.items()}
        for wallet, stake in choice.stakes.items():
            if stake.tombstoned:
                choice.stakes[wallet] = replace(stake, power=0)


def _is_banned(state: State, key: bytes) -> bool:
    known = state.find(ValidatorKey, validator_key(key))
    return known is not None and known.tombstoned


def _jail(choice: Choice, absent: list[bool]) -> None:
    """Jail validators that signed too little: at most a quarter of the power an epoch, and never the last four."""
    wallets = _by_key(choice)
    left = choice.current.power // 4
    until = choice.epoch + 1 + choice.params.jail_epochs
    for member, is_absent in zip(choice.current.members, absent, strict=True):
        wallet = wallets.get(member.public_key)
        if not is_absent or wallet is None:
            continue
        stake = choice.stakes[wallet]
        alone = not choice.phantom.get(member.public_key, 0)
        if stake.power > left or (alone and choice.size() <= FEWEST):
            continue
        left -= stake.power
        choice.stakes[wallet] = replace(stake, power=0, jailed_until=until)
        choice.receipts.append(Jailed(wallet, until))


def _churn(choice: Choice) -> None:
    """Let stake out and in, in order of asking, as far as the churn limit goes: out first."""
    params, stakes = choice.params, choice.stakes
    left = max(params.stake_minimum_nanos, choice.current.power // 4)

    def in_order(height: Callable[[Stake], int]) -> list[bytes]:
        return sorted(stakes, key=lambda wallet: (height(stakes[wallet]), wallet))

    for wallet in in_order(lambda stake: stake.leaving_height):
        stake = stakes[wallet]
        amount = min(left, max(0, stake.power - stake.staying))
        is_exit = amount == stake.power and not choice.phantom.get(stake.public_key, 0)
        if amount == 0 or (is_exit and choice.size() <= FEWEST):
            continue
        stakes[wallet] = replace(stake, power=stake.power - amount)
        left -= amount
    for wallet in in_order(lambda stake: stake.since_height):
        stake = stakes[wallet]
        if _may_enter(stake, params):
            amount = min(left, max(0, stake.staying - stake.power))
            stakes[wallet] = replace(stake, power=stake.power + amount)
            left -= amount


def _may_enter(stake: Stake, params: Params) -> bool:
    barred = stake.tombstoned or stake.jailed_until or stake.public_key == NO_KEY
    return not barred and stake.staying >= params.stake_minimum_nanos


def _write(choice: Choice) -> None:
    state, epoch = choice.state, choice.epoch
    members = choice.members()
    for wallet, stake in choice.stakes.items():
        _settle_stake(choice, wallet, stake)
    # A chain without validators could never have any again: rather the old ones.
    state.put(set_key(epoch + 1), ValidatorSet(members or choice.current.members))
    state.put(PARTICIPATION_KEY, Participation(0, ()))
    if epoch >= SETS_KEPT:
        state.delete(set_key(epoch - SETS_KEPT))


def _settle_stake(choice: Choice, wallet: bytes, stake: Stake) -> None:
    """Write a stake; what wanted to leave and has no power any more starts its unbonding time."""
    state, ready = choice.state, choice.epoch + 1 + choice.params.unbonding_epochs
    free = min(stake.leaving, stake.bonded - stake.power)
    if free and len(stake.exits) < EXITS_MAXIMUM:
        state.put(b"b" + wallet, stake)
        move(state, BondedStake(wallet), UnbondingStake(wallet, ready), free)
        after = stake_of(state, wallet)
        stake = replace(after, leaving=after.leaving - free, exits=(*after.exits, ready))
        choice.receipts.append(StakeLeft(wallet, free, ready))
    put_stake(state, wallet, stake)
    if stake.tombstoned and not stake.bonded:
        strike_off(state, wallet)


def phase_of(state: State) -> int:
    """Who carries the chain: the bootstrap validators, both, or stake alone."""
    if staking(state).latched:
        return STAKED
    return HANDOVER if state.ledger.active_maximum else BOOTSTRAP


def proposer_payout(state: State, epoch: int, proposer: int, network: Network) -> bytes:
    """The address that receives the tips of a block."""
    key = state.validators(epoch).members[proposer].public_key
    for validator in network.validators:
        if validator.public_key == key:
            return validator.payout
    return state.need(ValidatorKey, validator_key(key)).wallet
