"""A node leaves: both keys sign, for ever; what it earned goes on vesting, to the one balance of its wallet."""

from dataclasses import replace

import pytest

from chain.errors import BadSignature, InvalidProof, InvalidTransaction, NotEnoughFunds
from chain.fees import transaction_gas
from chain.money import NEURO
from chain.receipts import Minted, Released
from chain.state import NodeRecord, node_key
from chain.transactions import RetireNode, node_consent, node_farewell
from tests.builders import (
    ALICE,
    BOB,
    NODE,
    OTHER_NODE,
    Chain,
    a_commit,
    a_key,
    a_network,
    a_proof,
    a_registration,
    a_retirement,
    a_reveal,
    a_training_chain,
    a_transaction,
    commit,
    everybody_agrees,
    everybody_holds,
    reveal,
    train,
)


@pytest.fixture
def chain() -> Chain:
    """Two nodes of Alice's in the training phase of round 1."""
    chain = a_training_chain(NODE, OTHER_NODE, network=a_network(base_fee_initial=10, vest_rounds=1, train_blocks=8))
    chain.fund(ALICE, NEURO)
    return chain


def record_of(chain, node=NODE):
    return chain.state.find(NodeRecord, node_key(node.node))


def until_released(chain):
    """Until round 1 has left vesting."""
    while not chain.state.ledger.released_round:
        chain.empty_blocks(1)


def test_a_retired_node_stays_on_record_with_its_height(chain):
    before = record_of(chain)
    chain.block([a_retirement(chain)])
    assert record_of(chain) == replace(before, retired_height=chain.height)


def test_a_retired_node_is_not_counted_any_more(chain):
    chain.block([a_retirement(chain)])
    assert chain.state.ledger.nodes == 1
    chain.block([a_retirement(chain, node=OTHER_NODE)])
    assert chain.state.ledger.nodes == 0


def test_a_retirement_pays_the_usual_fee(chain):
    goodbye = a_retirement(chain)
    assert transaction_gas(goodbye) == 2_000 + 220
    chain.block([goodbye])
    assert chain.balance(ALICE) == NEURO - 10 * 2_220
    broke = a_key("broke")
    chain.block([a_registration(chain, wallet=broke, node=a_key("third"))])
    with pytest.raises(NotEnoughFunds):
        chain.try_block(a_retirement(chain, wallet=broke, node=a_key("third")))


def test_a_node_key_that_did_not_agree_is_not_retired(chain):
    chain_id = chain.network.chain_id
    farewell = node_farewell(chain_id, NODE.public, ALICE.public)
    for signer, digest in [
        (OTHER_NODE, farewell),
        (ALICE, farewell),
        (NODE, node_farewell(bytes(32), NODE.public, ALICE.public)),
        (NODE, node_farewell(chain_id, NODE.public, BOB.public)),
        (NODE, node_farewell(chain_id, OTHER_NODE.public, ALICE.public)),
        (NODE, node_consent(chain_id, NODE.public, ALICE.public, False)),
        (NODE, node_consent(chain_id, NODE.public, ALICE.public, True)),
    ]:
        with pytest.raises(BadSignature, match="did not agree"):
            chain.try_block(a_transaction(chain, RetireNode(NODE.public, signer.sign(digest))))
    chain.try_block(a_transaction(chain, RetireNode(NODE.public, NODE.sign(farewell))))


def test_a_wallet_that_did_not_sign_keeps_its_node(chain):
    good = a_retirement(chain)
    with pytest.raises(BadSignature):
        chain.try_block(replace(good, signature=BOB.sign(good.id(chain.network.chain_id))))


def test_a_node_of_another_wallet_is_not_retired(chain):
    chain.fund(BOB, NEURO)
    with pytest.raises(InvalidTransaction, match="not an active node of this wallet"):
        chain.try_block(a_retirement(chain, wallet=BOB))


def test_a_node_that_was_never_registered_is_not_retired(chain):
    with pytest.raises(InvalidTransaction, match="not an active node of this wallet"):
        chain.try_block(a_retirement(chain, node=a_key("nobody")))


def test_a_node_retires_once(chain):
    chain.block([a_retirement(chain)])
    with pytest.raises(InvalidTransaction, match="not an active node of this wallet"):
        chain.try_block(a_retirement(chain))


def test_a_retired_node_key_never_registers_again(chain):
    chain.block([a_retirement(chain)])
    for wallet in (ALICE, BOB):
        with pytest.raises(InvalidTransaction, match="already registered"):
            chain.try_block(a_registration(chain, wallet=wallet))


def test_a_node_may_be_registered_and_retired_in_one_block(chain):
    third = a_key("third")
    nonce = chain.state.account(ALICE.address).nonce
    chain.block([a_registration(chain, node=third), a_retirement(chain, node=third, nonce=nonce + 1)])
    record = record_of(chain, third)
    assert record.registered_height == record.retired_height == chain.height
    assert chain.state.ledger.nodes == 2


def test_a_retired_node_proves_nothing_any_more(chain):
    train(chain, segments=1)
    chain.block([a_retirement(chain)])
    with pytest.raises(InvalidProof, match="not registered"):
        chain.block(proofs=[a_proof(chain)])
    chain.block(proofs=[a_proof(chain, OTHER_NODE)])


def test_what_a_node_proved_before_it_retired_is_paid_and_vests_like_any_reward(chain):
    train(chain, NODE)
    chain.block([a_retirement(chain)])
    chain.block(rounds=[a_commit(chain)])
    while chain.round.phase == 2:  # until the commit deadline
        chain.empty_blocks(1)
    chain.block(rounds=[a_reveal(chain)])
    everybody_holds(chain)
    everybody_agrees(chain)
    chain.end_epoch()
    minted = [r for applied in chain.blocks for r in applied.receipts if isinstance(r, Minted)]
    assert [(r.node, r.amount) for r in minted] == [(NODE.node, 8 * 500_000)]
    owned, vesting = chain.balance(ALICE), chain.state.supply.vesting
    assert vesting
    until_released(chain)
    assert chain.balance(ALICE) == owned + vesting


def test_a_wallets_nodes_earn_into_one_balance_and_one_retirement_leaves_the_others(chain):
    train(chain, NODE, OTHER_NODE)
    commit(chain, NODE, OTHER_NODE)
    reveal(chain, NODE, OTHER_NODE)
    everybody_holds(chain)
    everybody_agrees(chain)
    chain.end_epoch()
    chain.block([a_retirement(chain)])
    until_released(chain)
    released = [r for applied in chain.blocks for r in applied.receipts if isinstance(r, Released)]
    assert {r.node for r in released} == {NODE.node, OTHER_NODE.node}
    fee = 10 * transaction_gas(a_retirement(chain))
    assert chain.balance(ALICE) == NEURO - fee + sum(r.amount for r in released)
