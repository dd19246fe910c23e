"""The validator set of the running epoch as JSON objects, in its own order."""

from chain.address import to_text
from chain.block import Validator
from chain.genesis import Network
from chain.stakes import PARTICIPATION_KEY, Participation, Stake, ValidatorKey, stake_of, staking, validator_key
from chain.state import State
from chain.transition import epoch_of
from node.api.block_answers import Json
from node.store import Store


def validator_page(store: Store, limit: int, cursor: int | None) -> Json:
    """Members from the cursor's place on. The epoch is that of the next block."""
    state, network = store.state(), store.network
    epoch = epoch_of(store.height + 1, network.params)
    members = state.validators(epoch)
    found = state.need(Participation, PARTICIPATION_KEY)
    first = cursor or 0
    last = min(first + limit, len(members.members))
    shown = [
        member_fields(state, network, place, members.members[place], members.power)
        | {"signed": found.signed[place] if found.signed else 0}
        for place in range(first, last)
    ]
    return {
        "validators": shown,
        "epoch": epoch,
        "total_power_nanos": str(members.power),
        "counted": found.counted,
        "next_cursor": str(last) if last < len(members.members) else None,
    }


def member_fields(state: State, network: Network, place: int, member: Validator, total: int) -> Json:
    """One member. Power is stake, phantom power, or for a founder who staked too, both."""
    key = state.find(ValidatorKey, validator_key(member.public_key))
    stake = Stake() if key is None else stake_of(state, key.wallet)
    # A founder is banned with his payout address, which may have staked with another key, or not at all.
    wallet = key.wallet if key is not None and stake.public_key == member.public_key else None
    is_founder = any(validator.public_key == member.public_key for validator in network.validators)
    # Stake may be slashed within an epoch; what votes until its end does not change.
    phantom = min(staking(state).phantom, member.power) if is_founder else 0
    return {
        "place": place,
        "validator_key": member.public_key.hex(),
        "wallet": None if wallet is None else to_text(wallet),
        "founder": is_founder,
        "real_power_nanos": str(member.power - phantom),
        "phantom_power_nanos": str(phantom),
        "share_basis_points": member.power * 10_000 // total,
        "jailed_until_epoch": (stake.jailed_until or None) if wallet is not None else None,
        "banned": bool(key is not None and key.tombstoned),
    }
