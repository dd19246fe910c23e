"""The start without a pre-mine: power of the bootstrap validators that is no money, fades, and never comes back.

Phantom power shrinks as *active* real stake grows, measured by the highest amount ever seen, so that draining stake
cannot bring it back. At the target it is gone, and after some epochs there it is latched: gone for ever. The sunset
bounds it in case that the target is never reached.
"""

from collections.abc import Sequence
from dataclasses import replace

from chain.block import BOOTSTRAP, HANDOVER, STAKED
from chain.genesis import Network, Params, phantom_power
from chain.stakes import STAKING_KEY, staking
from chain.state import State

INDEPENDENT = 4  # wallets with real power from which on the sunset applies: fewer could not carry the chain


def fade(state: State, active_stake: int, params: Params) -> int:
    """Take account of an epoch's active stake, in nanos; returns the phantom power that a key has from now on."""
    maximum = max(state.ledger.active_maximum, active_stake)
    state.update_ledger(active_maximum=maximum)
    known = staking(state)
    standing = known.epochs_at_target + 1 if maximum >= params.stake_target_nanos else 0
    latched = known.latched or standing >= params.target_epochs
    power = min(known.phantom, phantom_power(params, maximum))  # it never grows, so the target ends it for ever
    state.put(STAKING_KEY, replace(known, phantom=power, epochs_at_target=standing, latched=latched))
    return power


def cap_at_sunset(state: State, real: Sequence[int], height: int, network: Network) -> int:
    """Bound phantom power by the `real` powers of the next set, from the sunset on; returns what a key has.

    Together less than half of the real power, so less than a third of all: it can neither finalize nor block alone.
    """
    known = staking(state)
    if height < network.params.sunset_height or len(real) < INDEPENDENT:
        return known.phantom
    power = min(known.phantom, max(0, sum(real) - 1) // 2 // len(network.validators))
    state.put(STAKING_KEY, replace(known, phantom=power))
    return power


def phase_of(state: State) -> int:
    """Who carries the chain: the bootstrap validators, both, or stake alone."""
    if staking(state).latched:
        return STAKED
    return HANDOVER if state.ledger.active_maximum else BOOTSTRAP
