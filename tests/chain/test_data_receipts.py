"""Data: a newcomer's provider is drawn once, each shard counts once, and only training that is paid pays for it."""

from dataclasses import replace
from typing import Any

import pytest

from chain.audit_messages import DataReceipt
from chain.crypto.hashing import ZERO
from chain.data_receipts import (
    DATA_ROUNDS,
    apply_data_receipt,
    forget_fetched,
    has_fetched,
    provider_of,
    take_served,
)
from chain.errors import BadSignature, InvalidRoundInput
from chain.genesis import genesis_state
from chain.payouts import release_vested
from chain.receipts import ServicePaid
from chain.round_inputs import apply_round_input
from chain.services import SHARDS_MAXIMUM, Fetched, Served, fetched_key, served_key
from chain.state import (
    CLOSED,
    OPENED,
    RESULT,
    TRAINING,
    VOID,
    Claim,
    NodeRecord,
    Round,
    State,
    claim_key,
    node_key,
    round_key,
)
from tests.builders import (
    ALICE,
    BOB,
    CAROL,
    NO_SIGNATURE,
    NODE,
    OTHER_NODE,
    Chain,
    Key,
    a_full_round,
    a_key,
    a_network,
    a_proof,
    a_registration,
    a_training_chain,
    commit,
    everybody_agrees,
    everybody_holds,
    named,
    reveal,
)

NETWORK = a_network(corpus_shards=10)
PARAMS, CHAIN_ID = NETWORK.params, NETWORK.chain_id
TRAINER = a_key("newcomer")
VETERANS = [a_key(f"veteran {i}") for i in range(20)]
BLANK = a_training_chain().round


def a_record(key: Key, wallet: Key, height: int) -> NodeRecord:
    return NodeRecord(key.public, wallet.address, height, 0, False, 0, 0, 0, 0, 0, ZERO, 0, ZERO, 0, 0)


def a_claim(wallet: Key, batches: int) -> Claim:
    first = (wallet.address, batches, batches, 0, ZERO, ZERO, ZERO, 0, (named("state"),), ZERO, ZERO, 0, ZERO, ZERO)
    return Claim(*first, (), False)


def a_state(number: int = 2, phase: int = TRAINING, registered: int = 15, mix: str = "mix") -> State:
    """Round r opens at height 10 r. The newcomer came in the course of round 1; the others had committed in it."""
    state = genesis_state(NETWORK)
    for place, key in enumerate(VETERANS):
        state.put(node_key(key.node), a_record(key, BOB if place < 5 else CAROL, 1))
    state.put(node_key(TRAINER.node), a_record(TRAINER, ALICE, registered))
    committed = tuple(key.node for key in VETERANS)
    for each in range(1, number + 1):
        now = phase if each == number else CLOSED
        state.put(
            round_key(each),
            replace(
                BLANK, number=each, phase=now, opened_height=10 * each, mix=named(f"{mix} {each}"), committed=committed
            ),
        )
    state.put(claim_key(number, TRAINER.node), a_claim(ALICE, 8))
    state.update_ledger(round=number)
    return state


def a_receipt(state: State, shard: int = 0, signer: Key = TRAINER, **changes: Any) -> DataReceipt:
    number = state.ledger.round
    provider = provider_of(state, number, TRAINER.node) or named("nobody")
    draft = replace(DataReceipt(number, TRAINER.node, provider, shard, NO_SIGNATURE), **changes)
    return replace(draft, signature=signer.sign(draft.digest(CHAIN_ID)))


def give(state: State, **changes: Any) -> None:
    apply_data_receipt(state, a_receipt(state, **changes), CHAIN_ID, PARAMS)


def test_each_shard_counts_once():
    state = a_state()
    for shard in (0, 7, 8, 9):
        give(state, shard=shard)
        assert has_fetched(state, TRAINER.node, shard)
    assert not has_fetched(state, TRAINER.node, 1)
    with pytest.raises(InvalidRoundInput, match="a receipt for shard 8 before"):
        give(state, shard=8)
    assert state.need(Served, served_key(2, TRAINER.node)).shards == 4


@pytest.mark.parametrize(("later", "is_kept"), [(DATA_ROUNDS - 1, True), (DATA_ROUNDS, False)])
def test_receipts_are_forgotten_when_a_reward_is_released_and_none_could_follow(later, is_kept):
    state = a_state()
    give(state)
    rounds = a_state(number=2 + later)
    for number in range(2, 3 + later):
        state.put(round_key(number), rounds.need(Round, round_key(number)))
    state.update_ledger(round=2 + later)
    assert (provider_of(state, 2 + later, TRAINER.node) is not None) == is_kept
    forget_fetched(state, TRAINER.node)
    assert has_fetched(state, TRAINER.node, 0) == is_kept


def test_the_receipts_of_a_node_go_with_the_release_of_its_reward():
    for vesting in (DATA_ROUNDS, 2):
        state = a_state(number=12)
        state.update_ledger(ended_round=11, settled_round=11, drawn_round=11, released_round=1)
        state.put(fetched_key(TRAINER.node), Fetched(b"\1\0"))
        state.put(claim_key(2, TRAINER.node), a_claim(ALICE, 8))
        state.put(round_key(2), replace(state.need(Round, round_key(2)), last_claimant=TRAINER.node))
        release_vested(state, replace(PARAMS, vest_rounds=vesting))
        assert state.get(claim_key(2, TRAINER.node)) is None
        assert state.get(fetched_key(TRAINER.node)) is None


@pytest.mark.parametrize("shard", [10, 2**32 - 1])
def test_only_shards_of_the_corpus_count(shard):
    with pytest.raises(InvalidRoundInput, match="of 10"):
        give(a_state(), shard=shard)


@pytest.mark.parametrize(("phase", "is_taken"), [(OPENED, False), (RESULT, True), (CLOSED, False), (VOID, False)])
def test_receipts_are_for_the_running_round(phase, is_taken):
    state = a_state(phase=phase)
    if is_taken:
        give(state)
    else:
        with pytest.raises(InvalidRoundInput, match="takes no receipts"):
            give(state)
    with pytest.raises(InvalidRoundInput, match="takes no receipts"):
        give(state, round=1)


def test_who_trains_nothing_gives_no_receipts():
    state = a_state()
    state.delete(claim_key(2, TRAINER.node))
    with pytest.raises(InvalidRoundInput, match="has proven no segment"):
        give(state)


def test_only_the_drawn_provider_is_paid_and_only_the_trainer_says_so():
    state = a_state()
    drawn = provider_of(state, 2, TRAINER.node)
    other = next(key.node for key in VETERANS if key.node != drawn)
    with pytest.raises(InvalidRoundInput, match="was not drawn"):
        give(state, provider=other)
    with pytest.raises(BadSignature):
        give(state, signer=VETERANS[0])


# ---- The draw


def test_a_provider_is_never_of_the_same_wallet():
    drawn = []
    for draw in range(100):
        state = a_state(mix=f"draw {draw}")
        state.put(node_key(TRAINER.node), a_record(TRAINER, CAROL, 15))
        drawn.append(provider_of(state, 2, TRAINER.node))
    bobs = {key.node for key in VETERANS[:5]}
    assert set(drawn) == bobs  # and each of his has its turn


def test_alone_with_ones_own_wallet_there_is_no_provider():
    state = a_state()
    for key in VETERANS:
        state.put(node_key(key.node), a_record(key, ALICE, 1))
    assert provider_of(state, 2, TRAINER.node) is None
    with pytest.raises(InvalidRoundInput, match="was not drawn"):
        give(state)


def test_the_provider_stays_the_same_in_a_nodes_first_rounds_and_then_there_is_none():
    first = provider_of(a_state(), 2, TRAINER.node)
    assert first is not None
    assert [provider_of(a_state(number), number, TRAINER.node) for number in range(2, 2 + DATA_ROUNDS)] == [
        first
    ] * DATA_ROUNDS
    assert provider_of(a_state(2 + DATA_ROUNDS), 2 + DATA_ROUNDS, TRAINER.node) is None


@pytest.mark.parametrize(("registered", "is_first"), [(10, False), (11, True), (20, True), (21, False)])
def test_a_nodes_first_round_is_the_first_that_opened_after_it_came(registered, is_first):
    state = a_state(registered=registered)  # rounds 1 and 2 opened at heights 10 and 20
    assert (provider_of(state, 2, TRAINER.node) is not None) == is_first


def test_a_stranger_has_no_provider():
    assert provider_of(a_state(), 2, named("stranger")) is None
    assert provider_of(a_state(), 2**64 - 1, TRAINER.node) is None


# ---- Pay


def test_all_shards_together_are_worth_the_sequences_that_were_paid():
    for shards in (1, 3, 10):
        state = a_state()
        for shard in range(shards):
            give(state, shard=shard)
        provided = take_served(state, 2, TRAINER.node, 8, PARAMS)
        assert provided is not None and provided.samples == shards * 8 * PARAMS.sequences // 10
        assert take_served(state, 2, TRAINER.node, 8, PARAMS) is None


def test_training_that_is_not_paid_pays_for_no_data():
    state = a_state()
    give(state)
    provided = take_served(state, 2, TRAINER.node, 0, PARAMS)
    assert provided is not None and provided.samples == 0


def test_a_corpus_of_the_largest_number_of_shards_has_a_bitmap_of_8_kib():
    params = a_network(corpus_shards=SHARDS_MAXIMUM).params
    state = a_state()
    for shard in (0, SHARDS_MAXIMUM - 1):
        apply_data_receipt(state, a_receipt(state, shard), CHAIN_ID, params)
        assert has_fetched(state, TRAINER.node, shard)


def test_a_drawn_provider_is_paid_when_the_round_is_settled():
    chain = Chain(a_network(epoch_blocks=40, corpus_shards=2, train_blocks=12, rate_batch_nanos=10**7))
    chain.block([a_registration(chain, wallet=ALICE, node=NODE)])
    chain.empty_blocks(1)
    chain.block([a_registration(chain, wallet=BOB, node=OTHER_NODE)])
    a_full_round(chain, NODE)
    while not (chain.round.phase == TRAINING and chain.round.participants == 2):
        chain.empty_blocks(1)
    number, params = chain.round.number, chain.network.params
    chain.block(proofs=[a_proof(chain, OTHER_NODE)])
    assert provider_of(chain.state, number, OTHER_NODE.node) == NODE.node
    draft = DataReceipt(number, OTHER_NODE.node, NODE.node, 1, NO_SIGNATURE)
    receipt = replace(draft, signature=OTHER_NODE.sign(draft.digest(chain.network.chain_id)))
    chain.block(rounds=[receipt])
    with pytest.raises(InvalidRoundInput, match="before"):
        apply_round_input(chain.state, receipt, chain.network.chain_id, params)
    for _ in range(1, params.segments):
        chain.block(proofs=[a_proof(chain, OTHER_NODE)])
    commit(chain, OTHER_NODE)
    while chain.round.phase == TRAINING:
        chain.empty_blocks(1)
    reveal(chain, OTHER_NODE)
    everybody_holds(chain)
    everybody_agrees(chain)
    earlier = chain.balance(ALICE)
    while chain.height % 40:
        chain.empty_blocks(1)
    paid = [each for each in chain.receipts if isinstance(each, ServicePaid)]
    assert [(each.service, each.node, each.wallet) for each in paid] == [(2, NODE.node, ALICE.address)]
    samples = params.inner_steps * params.sequences // 2  # one of two shards
    assert paid[0].amount == samples * params.rate_sample_nanos <= chain.balance(ALICE) - earlier
    assert chain.state.get(served_key(number, OTHER_NODE.node)) is None
