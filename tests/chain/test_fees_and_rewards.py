"""The base fee follows use (EIP-1559); the reward of an epoch follows its work, and never more."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.fees import next_base_fee, proof_gas, transaction_gas
from chain.money import NEURO
from chain.rewards import divide, training_budget
from tests.builders import ALICE, Chain, a_network, a_proof, a_training_chain, a_transfer

PARAMS = a_network(block_gas_maximum=1_000, base_fee_minimum=7, base_work_batches=50, rate_batch_nanos=300).params


@pytest.mark.parametrize(
    ("base_fee", "gas_used", "after"),
    [
        (800, 500, 800),  # half full: the target
        (800, 1_000, 900),  # full: + 1/8
        (800, 750, 850),
        (800, 501, 801),  # the least step up is 1
        (8, 501, 9),
        (800, 499, 800),  # the least step down is 0
        (800, 0, 700),  # empty: − 1/8
        (800, 250, 750),
        (8, 0, 7),
        (7, 0, 7),  # the floor
        (7, 1_000, 8),
        (2**64 - 1, 1_000, 2**64 - 1),  # the ceiling of its field
    ],
)
def test_the_base_fee_moves_by_an_eighth_at_most_and_never_below_its_floor(base_fee, gas_used, after):
    assert next_base_fee(base_fee, gas_used, PARAMS) == after


@given(st.integers(7, 2**64 - 1), st.integers(0, 1_000))
def test_the_base_fee_stays_in_its_field(base_fee, gas_used):
    assert 7 <= next_base_fee(base_fee, gas_used, PARAMS) <= 2**64 - 1


def test_a_full_block_raises_the_fee_of_the_next_one_and_an_empty_one_lowers_it():
    probe = Chain(a_network())
    gas = transaction_gas(a_transfer(probe, 1))
    chain = Chain(a_network(block_gas_maximum=4 * gas))
    chain.fund(ALICE, NEURO)
    chain.block([a_transfer(chain, 1, nonce=i) for i in range(4)])
    assert chain.state.ledger.base_fee == 90
    chain.block([a_transfer(chain, 1, nonce=4 + i) for i in range(2)])
    assert chain.state.ledger.base_fee == 90
    chain.block()
    assert chain.state.ledger.base_fee == 79


def test_everybody_in_a_block_pays_the_same_base_fee():
    chain = Chain(a_network(block_gas_maximum=4_000))
    chain.fund(ALICE, NEURO)
    chain.block([a_transfer(chain, 1, nonce=i) for i in range(3)])
    assert chain.state.supply.burned == 80 * 3 * 1_160


def test_proofs_use_gas_as_transactions_do():
    chain = a_training_chain(network=a_network(base_fee_initial=80, block_gas_maximum=2 * 1_319 + 2_000))
    fee = chain.state.ledger.base_fee
    proof = a_proof(chain)
    assert proof_gas(proof) == 1_000 + 319
    chain.block(proofs=[proof])
    assert chain.state.ledger.base_fee == next_base_fee(fee, 1_319, chain.network.params)


def test_up_to_the_base_work_every_batch_earns_the_base_rate():
    assert [training_budget(work, PARAMS) for work in (0, 1, 49, 50)] == [0, 300, 49 * 300, 50 * 300]


def test_above_the_base_work_the_budget_grows_with_the_square_root():
    assert training_budget(200, PARAMS) == 2 * training_budget(50, PARAMS)
    assert training_budget(60, PARAMS) == 300 * 54  # isqrt(3000) = 54
    assert training_budget(51, PARAMS) == training_budget(50, PARAMS)
    assert training_budget(5_000, PARAMS) == 10 * training_budget(50, PARAMS)


@given(st.integers(0, 10**9), st.integers(0, 10**6))
def test_more_work_never_earns_less_and_never_more_than_the_base_rate(work, more):
    assert training_budget(work, PARAMS) <= training_budget(work + more, PARAMS)
    assert training_budget(work, PARAMS) <= work * PARAMS.rate_batch_nanos


SHARES = st.lists(st.integers(0, 10**6), min_size=1, max_size=12)


@given(st.integers(0, 10**20), SHARES)
def test_a_budget_is_divided_to_the_last_nano(budget, shares):
    parts = divide(budget, shares)
    assert sum(parts) == (budget if any(shares) else 0)
    for part, share in zip(parts, shares, strict=True):
        assert abs(part * sum(shares) - budget * share) < max(1, sum(shares))


def test_a_share_beyond_what_floating_point_can_count_is_exact():
    parts = [142857142857142857142857142858, 333333333333333333333333333336, 523809523809523809523809523813]
    assert divide(10**30 + 7, (3, 7, 11)) == parts


def test_odd_nanos_go_to_the_largest_remainders_and_then_to_the_earlier():
    assert divide(10, [1, 1, 1]) == [4, 3, 3]
    assert divide(11, [1, 1, 1]) == [4, 4, 3]
    assert divide(10, [1, 2, 4]) == [1, 3, 6]
    assert divide(5, []) == []
    assert divide(5, [0, 0]) == [0, 0]


@settings(max_examples=200)
@given(st.integers(1, 10**6), st.integers(0, 10**6), st.integers(2, 8))
def test_splitting_ones_work_over_identities_never_pays_a_nano_per_identity_more(own, others, identities):
    budget = training_budget(own + others, PARAMS)
    alone = divide(budget, [own, others])[0]
    parts = [own // identities] * (identities - 1)
    split = divide(budget, [*parts, own - sum(parts), others])
    assert sum(split[:-1]) <= alone + identities - 1
