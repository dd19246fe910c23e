"""Stake is asked back, leaves the set at an epoch's end, waits out its unbonding time, and is then withdrawn."""

from dataclasses import replace

import pytest

from chain.errors import InvalidTransaction
from chain.fees import transaction_gas
from chain.money import NEURO, BondedStake, UnbondingStake, mint
from chain.receipts import StakeLeft
from chain.stakes import EXITS_MAXIMUM, Stake, Unbonding, stake_key, stake_of, staking, unbonding_key, validator_key
from tests.builders import (
    ALICE,
    BOB,
    CAROL,
    Chain,
    a_bond,
    a_key,
    a_network,
    a_withdrawal,
    an_unbond,
    voting_key,
)

MINIMUM = 100 * NEURO
SPAN = 3  # epochs of unbonding
OTHERS = tuple(a_key(f"other {i}") for i in range(4))


@pytest.fixture
def chain() -> Chain:
    """Alice has 250 NEURO in a set of six, of 750 in all."""
    chain = Chain(a_network(base_fee_initial=10, epoch_blocks=2, unbonding_epochs=SPAN))
    chain.seat(*OTHERS)
    chain.seat(ALICE, amount=250 * NEURO)
    chain.fund(ALICE, NEURO)
    return chain


def by_hand(chain, *pots, **changes):
    """Alice's stake changed as it could have come about."""
    draft = chain.state.fork()
    for pot, amount in pots:
        mint(draft, pot, amount)
    draft.put(stake_key(ALICE.address), replace(stake_of(draft, ALICE.address), **changes))
    chain._keep_outside_of_blocks(draft)


# ---- How much


def test_stake_goes_on_voting_until_the_epoch_ends(chain):
    chain.block([an_unbond(chain, 150 * NEURO)])
    stake = chain.stake(ALICE)
    assert (stake.bonded, stake.leaving, stake.power) == (250 * NEURO, 150 * NEURO, 250 * NEURO)
    assert chain.state.supply.unbonding == 0


def test_the_minimum_stays_or_nothing(chain):
    for amount in (150 * NEURO + 1, 250 * NEURO - 1):
        with pytest.raises(InvalidTransaction, match="below the minimum"):
            chain.try_block(an_unbond(chain, amount))
    for amount in (1, 150 * NEURO, 250 * NEURO):
        chain.try_block(an_unbond(chain, amount))


@pytest.mark.parametrize("amount", [0, 250 * NEURO + 1, 2**128 - 1])
def test_nothing_and_more_than_all_are_refused(chain, amount):
    with pytest.raises(InvalidTransaction, match=f"{amount} nanos are to leave"):
        chain.try_block(an_unbond(chain, amount))


def test_what_is_leaving_is_not_asked_back_again(chain):
    chain.block([an_unbond(chain, 150 * NEURO)])
    with pytest.raises(InvalidTransaction, match=f"of {MINIMUM} that stay bonded"):
        chain.try_block(an_unbond(chain, MINIMUM + 1))
    with pytest.raises(InvalidTransaction, match="below the minimum"):
        chain.try_block(an_unbond(chain, 1))
    chain.try_block(an_unbond(chain, MINIMUM))


def test_who_has_nothing_at_stake_unbonds_nothing(chain):
    chain.fund(BOB, NEURO)
    with pytest.raises(InvalidTransaction, match="of 0 that stay bonded"):
        chain.try_block(an_unbond(chain, 1, BOB))


# ---- When


def test_what_leaves_at_an_epochs_end_is_ready_when_the_unbonding_time_has_passed(chain):
    chain.block([an_unbond(chain, 150 * NEURO)])
    chain.end_epoch()
    assert chain.receipts == (StakeLeft(ALICE.address, 150 * NEURO, 1 + SPAN),)
    assert chain.stake(ALICE).exits == (1 + SPAN,)
    assert chain.state.supply.unbonding == 150 * NEURO
    assert chain.stake(ALICE).power == MINIMUM


def test_stake_is_withdrawn_in_the_epoch_in_which_it_is_ready_and_not_one_before(chain):
    chain.block([an_unbond(chain, 150 * NEURO)])
    chain.end_epochs(SPAN)
    chain.empty_blocks(1)
    assert chain.epoch == SPAN  # its last block
    with pytest.raises(InvalidTransaction, match=f"in epoch {SPAN}: the first from epoch {SPAN + 1} on"):
        chain.block([a_withdrawal(chain)])
    chain.end_epoch()
    before, taken = chain.balance(ALICE), a_withdrawal(chain)
    chain.block([taken])
    assert chain.balance(ALICE) == before + 150 * NEURO - 10 * transaction_gas(taken)
    assert chain.stake(ALICE) == replace(chain.stake(ALICE), bonded=MINIMUM, leaving=0, exits=())
    assert chain.state.supply.unbonding == 0


def test_stake_is_not_withdrawn_twice(chain):
    chain.block([an_unbond(chain, 150 * NEURO)])
    chain.end_epochs(SPAN + 1)
    nonce = chain.state.account(ALICE.address).nonce
    with pytest.raises(InvalidTransaction, match="none is unbonding"):
        chain.try_block(a_withdrawal(chain), a_withdrawal(chain, nonce=nonce + 1))
    chain.block([a_withdrawal(chain)])
    with pytest.raises(InvalidTransaction, match="none is unbonding"):
        chain.try_block(a_withdrawal(chain))


def test_nobody_withdraws_what_is_still_bonded_or_leaving(chain):
    with pytest.raises(InvalidTransaction, match="none is unbonding"):
        chain.try_block(a_withdrawal(chain))
    chain.block([an_unbond(chain, 150 * NEURO)])
    with pytest.raises(InvalidTransaction, match="none is unbonding"):
        chain.try_block(a_withdrawal(chain))


def test_each_epochs_exit_is_ready_at_its_own_time(chain):
    chain.block([an_unbond(chain, 50 * NEURO)])
    chain.end_epoch()
    chain.block([an_unbond(chain, 60 * NEURO)])
    chain.end_epoch()
    assert chain.stake(ALICE).exits == (SPAN + 1, SPAN + 2)
    chain.end_epochs(SPAN - 1)
    assert chain.epoch == SPAN + 1
    chain.block([a_withdrawal(chain)])
    assert chain.state.supply.unbonding == 60 * NEURO
    assert chain.stake(ALICE).exits == (SPAN + 2,)
    chain.end_epoch()
    chain.block([a_withdrawal(chain)])
    assert chain.state.supply.unbonding == 0


def test_one_withdrawal_takes_all_that_is_ready_and_nothing_else(chain):
    by_hand(chain, *((UnbondingStake(ALICE.address, ready), 10 + ready) for ready in range(3)), exits=(0, 1, 2))
    chain.end_epoch()
    before, taken = chain.balance(ALICE), a_withdrawal(chain)
    chain.block([taken])
    assert chain.balance(ALICE) == before + 10 + 11 - 10 * transaction_gas(taken)
    assert chain.stake(ALICE).exits == (2,)
    assert chain.state.supply.unbonding == 12


def test_two_requests_of_one_epoch_leave_as_one(chain):
    chain.block([an_unbond(chain, 50 * NEURO)])
    chain.block([an_unbond(chain, 60 * NEURO)])
    assert chain.receipts[-1] == StakeLeft(ALICE.address, 110 * NEURO, SPAN + 1)


def test_who_asks_for_more_goes_to_the_end_of_the_queue_out(chain):
    chain.block([an_unbond(chain, 1)])
    assert chain.stake(ALICE).leaving_height == 1
    chain.end_epoch()
    chain.block([an_unbond(chain, 50 * NEURO)])
    assert chain.stake(ALICE).leaving_height == 3
    chain.try_block(an_unbond(chain, 50 * NEURO))


def test_an_early_small_request_keeps_no_place_for_a_large_one():
    chain = Chain(a_network(base_fee_initial=10, epoch_blocks=4, unbonding_epochs=SPAN))
    chain.seat(*OTHERS, ALICE, BOB, amount=200 * NEURO)  # 325 of the 1,300 may leave in an epoch
    for wallet in (ALICE, BOB):
        chain.fund(wallet, NEURO)
    chain.block([an_unbond(chain, 1)])
    chain.block([an_unbond(chain, 200 * NEURO, BOB)])
    chain.block([an_unbond(chain, 200 * NEURO - 1)])
    chain.end_epoch()
    assert chain.stake(BOB).power == 0
    assert chain.stake(ALICE).power == 75 * NEURO


# ---- All of it


def leave(chain, wallet=ALICE):
    chain.block([an_unbond(chain, chain.stake(wallet).staying, wallet)])
    chain.end_epochs(SPAN + 3)
    chain.block([a_withdrawal(chain, wallet)])


def test_nothing_is_left_of_a_wallet_that_took_all_its_stake(chain):
    key = voting_key(ALICE)
    leave(chain)
    assert chain.state.get(stake_key(ALICE.address)) is None
    assert chain.state.get(validator_key(key)) is None
    assert ALICE.address not in staking(chain.state).validators
    assert key not in [member.public_key for member in chain.members]


def test_a_key_whose_stake_was_withdrawn_is_free_for_another_wallet(chain):
    for wallet in (ALICE, BOB):
        chain.fund(wallet, 1_000 * NEURO)
    chain.block([an_unbond(chain, 250 * NEURO)])
    chain.end_epochs(SPAN + 3)
    with pytest.raises(InvalidTransaction, match="another wallet's"):
        chain.try_block(a_bond(chain, wallet=BOB, voter=ALICE))
    chain.block([a_withdrawal(chain)])
    chain.try_block(a_bond(chain, wallet=BOB, voter=ALICE))
    chain.try_block(a_bond(chain, voter=CAROL))


def test_a_key_stays_its_wallets_while_stake_of_it_can_be_slashed(chain):
    chain.block([an_unbond(chain, 250 * NEURO)])
    chain.end_epochs(3)
    assert (chain.stake(ALICE).bonded, chain.stake(ALICE).power) == (0, 0)
    assert chain.state.get(validator_key(voting_key(ALICE))) is not None


# ---- Without a key


def test_auto_bonded_stake_without_a_key_is_taken_back_at_once_and_in_any_part(chain):
    by_hand(chain, (BondedStake(BOB.address), 30))
    chain.fund(BOB, NEURO)
    first = an_unbond(chain, 29, BOB)
    chain.block([first])
    assert chain.balance(BOB) == NEURO + 29 - 10 * transaction_gas(first)
    assert chain.stake(BOB) == Stake(bonded=1)
    with pytest.raises(InvalidTransaction, match="2 nanos are to leave"):
        chain.try_block(an_unbond(chain, 2, BOB))
    chain.block([an_unbond(chain, 1, BOB)])
    assert chain.state.get(stake_key(BOB.address)) is None


# ---- Exits


def with_exits(number):
    """Alice took out a nano in each of the last epochs, where the unbonding time is 100."""
    chain = Chain(a_network(base_fee_initial=10, epoch_blocks=2, unbonding_epochs=100))
    chain.seat(*OTHERS)
    chain.seat(ALICE, amount=250 * NEURO)
    chain.fund(ALICE, NEURO)
    by_hand(chain, *((UnbondingStake(ALICE.address, ready), 1) for ready in range(number)), exits=tuple(range(number)))
    return chain


def test_a_wallet_has_at_most_64_exits_and_more_stake_waits_in_the_bond():
    chain = with_exits(EXITS_MAXIMUM - 1)
    chain.block([an_unbond(chain, 50 * NEURO)])
    chain.end_epoch()
    assert len(chain.stake(ALICE).exits) == EXITS_MAXIMUM
    chain.block([an_unbond(chain, 60 * NEURO)])
    chain.end_epoch()
    stake = chain.stake(ALICE)
    assert len(stake.exits) == EXITS_MAXIMUM
    assert (stake.bonded, stake.leaving, stake.power) == (200 * NEURO, 60 * NEURO, 140 * NEURO)


def test_stake_that_waited_for_a_free_exit_leaves_at_the_next_epochs_end():
    chain = with_exits(EXITS_MAXIMUM)
    chain.block([an_unbond(chain, 60 * NEURO)])
    chain.end_epoch()
    assert chain.stake(ALICE).leaving == 60 * NEURO
    chain.block([a_withdrawal(chain)])  # epochs 0 and 1
    chain.end_epoch()
    stake = chain.stake(ALICE)
    assert (stake.leaving, stake.exits[-1]) == (0, 102)
    assert chain.state.find(Unbonding, unbonding_key(ALICE.address, 102)) == Unbonding(60 * NEURO)
