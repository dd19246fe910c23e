"""A node that wants to validate names its key and leaves jail by itself, once, when the ledger lets it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chain.errors import NeuroError
from chain.fees import transaction_gas
from chain.genesis import Network, genesis_state
from chain.money import NEURO, Balance, BondedStake, mint
from chain.stakes import ValidatorKey, put_stake, stake_of, validator_key
from chain.state import NodeRecord, State, ValidatorSet, node_key, set_key
from chain.transactions import Bond, Transaction, Unjail
from chain.transfers import Place, apply_transaction
from node.declarations import Candidacy
from node.identity import Identity
from tests.node.lone_node import IDENTITY, LoneNode, named, tiny_network
from tests.node.served import a_transfer

NETWORK = tiny_network()
MINIMUM = NETWORK.params.stake_minimum_nanos
WISH = Candidacy(IDENTITY, NETWORK)
ADDRESS, KEY = IDENTITY.address, IDENTITY.validator_public_key
RECORD = NodeRecord(IDENTITY.node_public_key, ADDRESS, 1, 0, True, 0, 0, 0, 0, 0, bytes(32), 0, bytes(32), 0, 0)
# Every round pays three quarters of the minimum, so that the second release brings stake and some balance.
EARNING = {"rate_batch_nanos": 75 * NEURO // 4}


def a_state(stake: int = MINIMUM, balance: int = NEURO, **record: Any) -> State:
    """A node that has declared its intent and whose rewards were bonded."""
    state = genesis_state(NETWORK)
    state.put(node_key(IDENTITY.node), replace(RECORD, **record))
    mint(state, BondedStake(ADDRESS), stake)
    mint(state, Balance(ADDRESS), balance)
    return state


def apply(state: State, transaction: Transaction, epoch: int = 0) -> None:
    """As a block of this epoch does."""
    apply_transaction(state, transaction, Place(1 + 4 * epoch, epoch, ADDRESS), NETWORK)


def due(state: State) -> Transaction:
    found = WISH.transaction(state)
    assert found is not None
    return found


# ---- Naming the key


@pytest.mark.parametrize(("stake", "says"), [(0, False), (MINIMUM - 1, False), (MINIMUM, True), (MINIMUM + 1, True)])
def test_the_key_is_named_as_soon_as_the_stake_reaches_the_minimum(stake: int, says: bool) -> None:
    state = a_state(stake)
    assert (WISH.transaction(state) is not None) is says
    if says:
        action = due(state).action
        assert isinstance(action, Bond) and (action.amount, action.public_key) == (0, KEY)


def test_the_ledger_takes_the_bond_and_nothing_is_said_again() -> None:
    state = a_state()
    apply(state, due(state))
    assert stake_of(state, ADDRESS).public_key == KEY and stake_of(state, ADDRESS).bonded == MINIMUM
    assert WISH.transaction(state) is None


@pytest.mark.parametrize("base_fee", [1, 1_000])
def test_the_bond_waits_until_the_balance_pays_its_fee(base_fee: int) -> None:
    state = a_state()
    state.update_ledger(base_fee=base_fee)
    fee = transaction_gas(due(state)) * base_fee
    short, enough = a_state(balance=fee - 1), a_state(balance=fee)
    for each in (short, enough):
        each.update_ledger(base_fee=base_fee)
    assert WISH.transaction(short) is None
    apply(enough, due(enough))
    assert enough.account(ADDRESS).balance == 0


def test_a_node_without_intent_or_retired_says_nothing() -> None:
    assert WISH.transaction(a_state(validator_intent=False)) is None
    assert WISH.transaction(a_state(retired_height=5)) is None
    unknown = a_state()
    unknown.delete(node_key(IDENTITY.node))
    assert WISH.transaction(unknown) is None


@pytest.mark.parametrize("tombstoned", [False, True])
def test_a_key_that_is_another_wallets_or_banned_is_not_named(tombstoned: bool) -> None:
    state = a_state()
    other = bytes(21)
    state.put(validator_key(KEY), ValidatorKey(other, tombstoned))
    assert WISH.transaction(state) is None
    banned = a_state()
    put_stake(banned, ADDRESS, replace(stake_of(banned, ADDRESS), tombstoned=True))
    assert WISH.transaction(banned) is None


# ---- Leaving jail


def jailed(until: int, **stake: Any) -> State:
    state = a_state()
    put_stake(state, ADDRESS, replace(stake_of(state, ADDRESS), public_key=KEY, jailed_until=until, **stake))
    return state


def test_jail_is_left_in_the_first_epoch_after_the_term_and_once() -> None:
    state = jailed(3)
    last = ValidatorSet(state.validators(0).members)
    for epoch in (1, 2):
        state.put(set_key(epoch), last)  # as the block before the epoch does
        assert WISH.transaction(state) is None
    state.put(set_key(3), last)
    wish = due(state)
    assert wish.action == Unjail()
    with pytest.raises(NeuroError, match="jail term"):
        apply(state.fork(), wish, epoch=2)
    apply(state, wish, epoch=3)
    assert stake_of(state, ADDRESS).jailed_until == 0 and WISH.transaction(state) is None


@pytest.mark.parametrize("stake", [{"tombstoned": True}, {"public_key": bytes(48)[:-1] + b"\x01"}])
def test_who_is_banned_or_has_another_key_does_not_ask_to_leave_jail(stake: dict[str, Any]) -> None:
    state = a_state()
    put_stake(state, ADDRESS, replace(stake_of(state, ADDRESS), **({"public_key": KEY, "jailed_until": 0} | stake)))
    put_stake(state, ADDRESS, replace(stake_of(state, ADDRESS), jailed_until=1))
    state.put(set_key(1), state.validators(0))
    assert WISH.transaction(state) is None


def test_who_is_not_in_jail_says_nothing() -> None:
    assert WISH.transaction(jailed(0)) is None


# ---- In blocks


def bonds_in(node: LoneNode) -> list[int]:
    """The heights of the blocks that hold a bond."""
    stored = [(height, node.store.block(height)) for height in range(1, node.store.height + 1)]
    return [h for h, each in stored if each and any(isinstance(t.action, Bond) for t in each.block.body.transactions)]


def earning(folder: Path, network: Network | None = None) -> LoneNode:
    """A declared node whose stake will have reached the minimum after the next release."""
    node = LoneNode(folder, network or tiny_network(**EARNING), validator=True)
    node.register()
    while node.state.supply.bonded == 0:
        node.close_round()
    assert bonds_in(node) == [] and node.state.supply.bonded < MINIMUM
    return node


def until_minimum(node: LoneNode) -> None:
    """Up to the block whose end brings the stake to the minimum."""
    while node.state.supply.bonded < MINIMUM:
        node.close_round()


def test_released_rewards_are_bonded_and_the_key_is_named_once_across_a_restart(tmp_path: Path) -> None:
    node = earning(tmp_path)
    until_minimum(node)
    after = node.reopened()
    while not bonds_in(after):
        after.block()
    [height] = bonds_in(after)
    assert stake_of(after.state, ADDRESS).public_key == KEY
    again = after.reopened()
    for _ in range(2 * NETWORK.params.epoch_blocks):
        again.block()
    assert bonds_in(again) == [height]


def test_what_the_wallet_has_handed_in_takes_its_nonces_first(tmp_path: Path) -> None:
    node = earning(tmp_path)
    node.declarations.candidacy = None
    until_minimum(node)
    node.declarations.candidacy = Candidacy(IDENTITY, node.network)
    nonce = node.state.account(ADDRESS).nonce
    for offset in range(2):
        node.mempool.add(a_transfer(node.network, nonce + offset, 1_000), node.state)
    first, second = node.block(), node.block()
    assert [len(each.block.body.transactions) for each in (first, second)] == [2, 1]
    assert bonds_in(node) == [second.block.header.height]


def test_a_node_that_did_not_ask_for_it_names_no_key(tmp_path: Path) -> None:
    node = LoneNode(tmp_path, tiny_network(**EARNING))
    node.register()
    for _ in range(6):
        node.close_round()
    assert node.state.supply.bonded == 0 and bonds_in(node) == []


def test_another_wallets_stake_is_not_spoken_for() -> None:
    stranger = Identity(named("stranger"), IDENTITY.node_secret, IDENTITY.validator_secret)
    assert Candidacy(stranger, NETWORK).transaction(a_state()) is None
