"""From claims to spendable NEURO: who is paid, when, how much, and when it leaves vesting."""

import pytest

from chain.money import NEURO, VestingReward, holdings
from chain.receipts import PROOF_FEE, Burned, Minted, Released
from chain.rewards import training_budget
from chain.state import REVEALING, TRAINING, Claim, claim_key, round_key
from tests.builders import (
    ALICE,
    BOB,
    NODE,
    OTHER_NODE,
    Chain,
    Key,
    a_full_round,
    a_key,
    a_network,
    a_registration,
    a_training_chain,
    a_transfer,
    commit,
    everybody_agrees,
    everybody_holds,
    reveal,
    train,
)

RATE = 500_000


def vesting(chain: Chain, number: int = 1, node=NODE, wallet=ALICE) -> int:
    return holdings(chain.state, VestingReward(number, node.node, wallet.address))


def debt_of(chain: Chain, number: int = 1, node=NODE) -> int:
    return chain.state.need(Claim, claim_key(number, node.node)).debt


def void_round(chain: Chain, *nodes: Key) -> None:
    """Let the newest round pass with what these nodes reveal, which nobody holds, to the next one's training."""
    number = chain.round.number
    if nodes:
        commit(chain, *nodes)
        while chain.round.phase == TRAINING:
            chain.empty_blocks(1)
        reveal(chain, *nodes)
    while chain.round.number == number:
        chain.empty_blocks(1)
    chain.empty_blocks(1)


def test_a_closed_round_is_paid_at_the_last_block_of_its_epoch():
    chain = a_training_chain(network=a_network(epoch_blocks=16))
    a_full_round(chain)
    debt = debt_of(chain)
    chain.empty_blocks(16 - 1 - chain.height)
    assert chain.state.supply.minted == 0
    chain.block()
    assert chain.height == 16
    assert vesting(chain) == 8 * RATE - debt
    assert chain.receipts == (
        Minted(1, NODE.node, ALICE.address, 8 * RATE),
        Burned(PROOF_FEE, ALICE.address, debt),
    )
    assert chain.balance(ALICE) == 0
    assert chain.state.ledger.settled_round == 1


def test_a_round_that_ends_in_the_last_block_of_an_epoch_is_paid_there():
    chain = a_training_chain(network=a_network(epoch_blocks=10))
    a_full_round(chain)
    assert chain.blocks[9].block.header.minted == 8 * RATE


def test_a_round_that_has_not_ended_is_paid_by_the_next_epoch():
    chain = a_training_chain(network=a_network(epoch_blocks=9))
    a_full_round(chain)
    assert chain.blocks[8].block.header.minted == 0
    chain.end_epoch()
    assert chain.height == 18
    assert chain.state.supply.minted == 8 * RATE


def test_a_round_is_paid_once():
    chain = a_training_chain(network=a_network(epoch_blocks=12))
    a_full_round(chain)
    for _ in range(4):
        chain.end_epoch()
        assert chain.state.supply.minted == 8 * RATE


def test_a_part_of_the_segments_earns_that_part():
    chain = a_training_chain(network=a_network(epoch_blocks=20))
    train(chain, segments=3)
    commit(chain)
    reveal(chain)
    everybody_holds(chain)
    everybody_agrees(chain)
    chain.end_epoch()
    assert chain.state.supply.minted == 6 * RATE


@pytest.mark.parametrize("is_shown", [True, False])
def test_a_void_round_pays_the_segments_of_who_revealed_and_of_nobody_else(is_shown):
    chain = a_training_chain()
    train(chain, segments=2)
    void_round(chain, *([NODE] if is_shown else []))
    chain.end_epoch()
    assert chain.state.supply.minted == (4 * RATE if is_shown else 0)


def test_a_closed_round_pays_nobody_whose_payload_was_not_counted():
    chain = a_training_chain(NODE, OTHER_NODE, network=a_network(epoch_blocks=40, vest_rounds=50))
    train(chain, NODE, OTHER_NODE)
    commit(chain)
    chain.block()
    assert chain.round.phase == REVEALING
    reveal(chain)
    everybody_holds(chain)
    everybody_agrees(chain)
    chain.end_epoch()
    assert chain.state.supply.minted == 8 * RATE
    assert vesting(chain, node=OTHER_NODE) == 0
    assert vesting(chain) > 0


def test_what_an_epoch_earns_above_the_base_work_is_shared_to_the_last_nano():
    nodes = [a_key(f"worker {i}") for i in range(3)]
    network = a_network(epoch_blocks=80, base_work_batches=10, train_blocks=12)
    chain = Chain(network)
    chain.register(*nodes[:2])
    chain.block()
    void_round(chain)
    chain.register(nodes[2])
    void_round(chain)
    train(chain, *nodes, segments=3)
    void_round(chain, *nodes)
    chain.end_epoch()
    budget = training_budget(18, network.params)
    assert budget == 10 * RATE * 13 // 10  # isqrt(180) = 13
    assert chain.state.supply.minted == budget
    shares = sorted(r.amount for applied in chain.blocks for r in applied.receipts if isinstance(r, Minted))
    assert shares == [2_166_666, 2_166_667, 2_166_667]


def test_a_fee_debt_above_the_reward_burns_all_of_it_and_no_more():
    chain = a_training_chain(network=a_network(rate_batch_nanos=1_000))
    train(chain, segments=2)
    assert debt_of(chain) > 4_000
    void_round(chain, NODE)
    chain.end_epoch()
    supply = chain.state.supply
    assert (supply.minted, supply.burned, supply.vesting) == (4_000, 4_000, 0)
    chain.empty_blocks(30)
    assert chain.balance(ALICE) == 0


@pytest.mark.parametrize("vest_rounds", [0, 1, 2, 3])
def test_a_reward_is_released_whole_when_exactly_so_many_further_rounds_have_ended(vest_rounds):
    chain = a_training_chain(network=a_network(vest_rounds=vest_rounds, epoch_blocks=1))
    train(chain, segments=2)
    void_round(chain, NODE)  # ends round 1, which is settled in the same block
    ended = chain.state.ledger.ended_round
    assert ended == 1
    reward = 4 * RATE
    while chain.state.ledger.ended_round - 1 < vest_rounds:
        assert chain.balance(ALICE) == 0
        assert vesting(chain) > 0
        chain.block()
    net = chain.balance(ALICE)
    assert 0 < net < reward
    assert net == reward - chain.state.supply.burned
    assert vesting(chain) == 0
    released = [r for applied in chain.blocks for r in applied.receipts if isinstance(r, Released)]
    assert released == [Released(1, NODE.node, ALICE.address, net)]
    assert chain.state.get(claim_key(1, NODE.node)) is None
    assert chain.state.get(round_key(1)) is None


def test_a_round_that_was_not_settled_is_not_released_however_many_rounds_have_ended():
    chain = a_training_chain(network=a_network(vest_rounds=1, epoch_blocks=60))
    train(chain, segments=2)
    void_round(chain, NODE)
    for _ in range(3):
        void_round(chain)
    assert chain.state.ledger.released_round == 0
    chain.end_epoch()
    assert chain.balance(ALICE) > 0


def test_the_reward_belongs_to_the_wallet_of_the_node():
    chain = Chain(a_network(epoch_blocks=1, vest_rounds=0))
    chain.block([a_registration(chain, wallet=BOB)])
    chain.block()
    train(chain, segments=2)
    void_round(chain, NODE)
    assert chain.balance(BOB) > 0
    assert chain.balance(ALICE) == 0


def test_two_nodes_of_one_wallet_are_paid_into_one_balance():
    chain = a_training_chain(NODE, OTHER_NODE, network=a_network(epoch_blocks=1, vest_rounds=0))
    train(chain, NODE, OTHER_NODE, segments=2)
    void_round(chain, NODE, OTHER_NODE)
    assert chain.balance(ALICE) == 8 * RATE - chain.state.supply.burned


def test_what_is_earned_can_be_spent():
    chain = a_training_chain(network=a_network(epoch_blocks=1, vest_rounds=0))
    train(chain)
    void_round(chain, NODE)
    chain.block([a_transfer(chain, RATE)])
    assert chain.balance(BOB) == RATE
    assert chain.state.supply.circulating == chain.balance(ALICE) + chain.balance(BOB)


def test_no_work_mints_nothing():
    chain = a_training_chain()
    chain.empty_blocks(40)
    assert chain.state.supply.minted == 0


def test_a_neuro_is_a_billion_nanos():
    assert NEURO == 10**9
