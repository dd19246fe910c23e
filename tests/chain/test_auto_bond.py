"""A node that wants to validate puts its released rewards at stake, up to the minimum: only those, and only so long."""

import pytest

from chain.money import BondedStake, mint
from chain.receipts import AutoBonded, Released
from chain.stakes import Stake, stake_key
from tests.builders import (
    ALICE,
    BOB,
    NODE,
    OTHER_NODE,
    Chain,
    a_bond,
    a_network,
    a_registration,
    a_report,
    a_retirement,
    an_unbond,
    commit,
    everybody_agrees,
    everybody_holds,
    reveal,
    train,
    voting_key,
)

REWARD = 8 * 500_000 - 4 * 1_319 * 10  # of a full round, less the fees of its proofs


def a_chain(minimum, *nodes, intent=True, **params):
    """Nodes of Alice's in the training phase of round 1."""
    numbers = {"base_fee_initial": 10, "train_blocks": 8, "vest_rounds": 1, "stake_minimum_nanos": minimum} | params
    chain = Chain(a_network(**numbers))
    nodes = nodes or (NODE,)
    first = chain.state.account(ALICE.address).nonce
    chain.block([a_registration(chain, node=node, intent=intent, nonce=first + i) for i, node in enumerate(nodes)])
    chain.block()
    return chain


def earn(chain, *nodes):
    """A full round of these nodes, until its reward is minted."""
    nodes = nodes or (NODE,)
    train(chain, *nodes)
    commit(chain, *nodes)
    reveal(chain, *nodes)
    everybody_holds(chain)
    everybody_agrees(chain)
    chain.end_epoch()


def until_released(chain, number=1):
    while chain.state.ledger.released_round < number:
        chain.empty_blocks(1)


def receipts_of(chain, kind):
    return [receipt for applied in chain.blocks for receipt in applied.receipts if isinstance(receipt, kind)]


@pytest.mark.parametrize(
    ("minimum", "bonded"), [(REWARD + 1, REWARD), (REWARD, REWARD), (REWARD - 1, REWARD - 1), (1, 1)]
)
def test_a_released_reward_is_bonded_up_to_the_minimum_and_the_rest_can_be_spent(minimum, bonded):
    chain = a_chain(minimum)
    earn(chain)
    until_released(chain)
    assert chain.stake(ALICE) == Stake(bonded=bonded)
    assert chain.balance(ALICE) == REWARD - bonded
    assert receipts_of(chain, AutoBonded) == [AutoBonded(ALICE.address, bonded)]


def test_money_from_elsewhere_is_not_bonded():
    chain = a_chain(2 * REWARD)
    chain.fund(ALICE, 7 * REWARD)
    earn(chain)
    until_released(chain)
    assert chain.stake(ALICE).bonded == REWARD
    assert chain.balance(ALICE) == 7 * REWARD


def test_a_node_without_the_intent_bonds_nothing():
    chain = a_chain(REWARD, intent=False)
    earn(chain)
    until_released(chain)
    assert chain.balance(ALICE) == REWARD
    assert chain.stake(ALICE) == Stake()
    assert receipts_of(chain, AutoBonded) == []


def test_vesting_is_not_bypassed_by_the_intent_to_validate():
    chain = a_chain(REWARD)
    earn(chain)
    assert chain.state.supply.vesting == REWARD
    while not chain.state.ledger.released_round:
        assert chain.stake(ALICE) == Stake()
        assert chain.state.supply.bonded == chain.balance(ALICE) == 0
        chain.empty_blocks(1)
    assert chain.receipts[-2:] == (Released(1, NODE.node, ALICE.address, REWARD), AutoBonded(ALICE.address, REWARD))


def test_retirement_stops_it_even_for_rewards_that_vest_already():
    chain = a_chain(REWARD)
    earn(chain)
    chain.fund(ALICE, 1_000_000)
    goodbye = a_retirement(chain)
    chain.block([goodbye])
    before = chain.balance(ALICE)
    until_released(chain)
    assert chain.stake(ALICE) == Stake()
    assert chain.balance(ALICE) == before + REWARD


def test_only_the_nodes_with_the_intent_bond_their_rewards():
    chain = a_chain(10 * REWARD, NODE)
    chain.block([a_registration(chain, node=OTHER_NODE)])
    while chain.round.number < 2 or chain.round.phase != 2:
        chain.empty_blocks(1)
    earn(chain, NODE, OTHER_NODE)
    until_released(chain, 2)
    assert chain.stake(ALICE).bonded == REWARD
    assert chain.balance(ALICE) == REWARD


def test_all_nodes_of_a_wallet_fill_the_one_bond_to_the_minimum_and_not_beyond():
    chain = a_chain(REWARD + 7, NODE, OTHER_NODE)
    earn(chain, NODE, OTHER_NODE)
    until_released(chain)
    assert chain.stake(ALICE).bonded == REWARD + 7
    assert chain.balance(ALICE) == REWARD - 7


def test_stake_that_stays_bonded_counts_and_stake_that_is_leaving_does_not():
    for leaving, bonded in [(0, 5), (3, 8)]:
        chain = a_chain(1_000)
        draft = chain.state.fork()
        mint(draft, BondedStake(ALICE.address), 995)
        draft.put(stake_key(ALICE.address), Stake(voting_key(ALICE), bonded=995, leaving=leaving))
        chain._keep_outside_of_blocks(draft)
        earn(chain)
        until_released(chain)
        assert receipts_of(chain, AutoBonded) == [AutoBonded(ALICE.address, bonded)]


def test_a_validator_that_has_unbonded_all_is_not_bonded_again_before_it_has_withdrawn():
    """It could else hold a place among the validators with a nano."""
    waiting = Stake(voting_key(ALICE), bonded=995, leaving=995)
    gone = Stake(voting_key(ALICE), exits=(50,))
    for stake in (waiting, gone):
        chain = a_chain(1_000)
        draft = chain.state.fork()
        mint(draft, BondedStake(ALICE.address), stake.bonded)
        draft.put(stake_key(ALICE.address), stake)
        chain._keep_outside_of_blocks(draft)
        earn(chain)
        until_released(chain)
        assert receipts_of(chain, AutoBonded) == []
        assert chain.stake(ALICE) == stake


def test_auto_bonded_stake_votes_only_after_a_bond_has_named_its_key():
    chain = a_chain(REWARD)
    earn(chain)
    until_released(chain)
    chain.end_epoch()
    assert chain.stake(ALICE).power == 0
    assert len(chain.members) == 1
    chain.fund(ALICE, 1_000_000)
    chain.block([a_bond(chain, 0)])
    chain.end_epoch()
    assert chain.stake(ALICE).power == REWARD


def test_auto_bonded_stake_without_a_key_can_be_taken_back():
    chain = a_chain(REWARD)
    earn(chain)
    until_released(chain)
    chain.fund(ALICE, 1_000_000)
    before = chain.balance(ALICE)
    chain.block([an_unbond(chain, REWARD, max_fee=1_000)])
    assert chain.balance(ALICE) > before
    assert chain.stake(ALICE) == Stake()


def test_the_banned_bond_nothing_any_more():
    chain = a_chain(2 * REWARD)
    chain.seat(ALICE)
    chain.fund(ALICE, 1_000_000)
    earn(chain)
    chain.fund(BOB, 10_000_000)
    chain.block([a_report(chain, epoch=0)])
    before = chain.balance(ALICE)
    until_released(chain)
    assert receipts_of(chain, AutoBonded) == []
    assert chain.balance(ALICE) == before + REWARD
