"""How much a block may hold: gas of everything, gas of what pays no fee at once, and who comes first."""

import pytest

from chain.errors import InvalidBlock
from chain.fees import proof_gas, transaction_gas
from chain.money import NEURO
from tests.builders import (
    ALICE,
    BOB,
    NODE,
    OTHER_NODE,
    a_key,
    a_network,
    a_proof,
    a_registration,
    a_report,
    a_training_chain,
    a_transfer,
)

PROOF_GAS, REGISTRATION_GAS = 1_319, 2_229


def a_busy_chain(**params):
    """Two nodes in training, money for Alice and Bob, and an offender in the set."""
    chain = a_training_chain(NODE, OTHER_NODE, network=a_network(base_fee_initial=10, **params))
    chain.seat(a_key("offender"))
    for wallet in (ALICE, BOB):
        chain.fund(wallet, NEURO)
    return chain


def test_the_sizes_that_these_tests_count_with():
    chain = a_busy_chain()
    assert proof_gas(a_proof(chain)) == PROOF_GAS
    assert transaction_gas(a_registration(chain, node=a_key("third"))) == REGISTRATION_GAS


@pytest.mark.parametrize(("lane", "fits"), [(2 * PROOF_GAS + REGISTRATION_GAS, True), (2 * PROOF_GAS + 2_228, False)])
def test_proofs_and_registrations_share_a_lane_and_fill_it_to_its_last_gas(lane, fits):
    chain = a_busy_chain(lane_gas_maximum=lane)
    body = [a_registration(chain, node=a_key("third"))], [a_proof(chain), a_proof(chain, OTHER_NODE)]
    if fits:
        chain.block(*body)
    else:
        with pytest.raises(InvalidBlock, match=f"{lane + 1} gas of proofs and registrations, {lane} allowed"):
            chain.block(*body)


def test_what_pays_its_fee_stays_outside_of_the_lane():
    chain = a_busy_chain(lane_gas_maximum=2 * REGISTRATION_GAS)
    paying = [a_report(chain, a_key("offender")), a_transfer(chain, 1)]
    assert sum(map(transaction_gas, paying)) > 2 * REGISTRATION_GAS
    chain.block(paying)


@pytest.mark.parametrize("less", [0, 1])
def test_a_block_holds_its_gas_and_not_one_more(less):
    whole = 4 * 1_160 + PROOF_GAS
    chain = a_busy_chain(block_gas_maximum=whole - less)
    nonce = chain.state.account(ALICE.address).nonce
    body = [a_transfer(chain, 1, nonce=nonce + i) for i in range(4)], [a_proof(chain)]
    if less:
        with pytest.raises(InvalidBlock, match=f"{whole} gas used, {whole - 1} allowed"):
            chain.block(*body)
    else:
        chain.block(*body)


def test_evidence_does_not_wait_for_registrations_or_payments():
    chain = a_busy_chain()
    report = a_report(chain, a_key("offender"))
    for other in (a_registration(chain, node=a_key("third")), a_transfer(chain, 1)):
        with pytest.raises(InvalidBlock, match="evidence stands before all other transactions"):
            chain.try_block(other, report)
        chain.try_block(report, other)
