"""What a node is to the set of validators, from the ledger alone."""

from dataclasses import replace
from typing import Any

import pytest

from chain.crypto.hashing import ZERO
from chain.genesis import genesis_state
from chain.money import BondedStake, UnbondingStake, mint
from chain.stakes import ValidatorKey, put_stake, stake_of, validator_key
from chain.state import NodeRecord, State, node_key
from chain.transition import genesis_parent
from node.facts import ACTIVE, BANNED, DECLARED, JAILED, NONE, QUEUED, Facts
from node.identity import Identity
from tests.node.lone_node import IDENTITY, named, tiny_network

NETWORK = tiny_network()
OTHER = Identity(named("other wallet"), named("other node"), (9).to_bytes(32, "big"))
RECORD = NodeRecord(OTHER.node_public_key, OTHER.address, 1, 0, True, 0, 0, 0, 0, 0, bytes(32), 0, bytes(32), 0, 0)


def facts(state: State, identity: Identity = OTHER) -> Facts:
    return Facts.read(state, genesis_parent(NETWORK, ZERO), identity, NETWORK.params)


def with_stake(**changes: Any) -> State:
    state = genesis_state(NETWORK)
    mint(state, BondedStake(OTHER.address), 100)
    stake = replace(stake_of(state, OTHER.address), public_key=OTHER.validator_public_key, **changes)
    put_stake(state, OTHER.address, stake)
    state.put(validator_key(stake.public_key), ValidatorKey(OTHER.address, stake.tombstoned))
    return state


@pytest.mark.parametrize(
    ("stake", "standing"),
    [({}, QUEUED), ({"jailed_until": 3}, JAILED), ({"tombstoned": True, "jailed_until": 3}, BANNED)],
)
def test_a_wallet_whose_key_is_not_in_the_set_is_queued_jailed_or_banned(stake: dict[str, Any], standing: str) -> None:
    found = facts(with_stake(**stake))
    assert (found.standing, found.power, found.bonded_nanos) == (standing, 0, 100)


@pytest.mark.parametrize(
    ("record", "standing"), [({}, DECLARED), ({"validator_intent": False}, NONE), ({"retired_height": 7}, NONE)]
)
def test_without_a_key_it_is_the_registration_that_counts(record: dict[str, Any], standing: str) -> None:
    state = genesis_state(NETWORK)
    assert facts(state).standing == NONE
    state.put(node_key(OTHER.node), replace(RECORD, **record))
    assert facts(state).standing == standing


def test_a_founder_is_active_with_phantom_power_unless_its_key_is_banned() -> None:
    state = genesis_state(NETWORK)
    found = facts(state, IDENTITY)
    assert (found.standing, found.power, found.validators) == (ACTIVE, found.total_power, 1)
    state.put(validator_key(IDENTITY.validator_public_key), ValidatorKey(IDENTITY.address, True))
    assert facts(state, IDENTITY).standing == BANNED


def test_what_unbonds_is_added_up() -> None:
    state = with_stake(exits=(4, 6))
    for ready, amount in ((4, 20), (6, 3)):
        mint(state, UnbondingStake(OTHER.address, ready), amount)
    assert facts(state).unbonding_nanos == 23
