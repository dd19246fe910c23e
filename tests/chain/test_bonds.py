"""A wallet puts its money at stake: how much at least, under which key, and who has to agree."""

from dataclasses import replace

import pytest

from chain.block import VALIDATORS_MAXIMUM
from chain.crypto import bls
from chain.errors import BadSignature, InvalidTransaction, NotEnoughFunds
from chain.fees import transaction_gas
from chain.money import AMOUNT_MAXIMUM, NEURO, BondedStake, mint
from chain.stakes import STAKING_KEY, Stake, ValidatorKey, stake_key, staking, validator_key
from chain.state import ValidatorSet, set_key
from chain.transactions import bond_consent
from chain.validators import choose_validators
from tests.builders import (
    ALICE,
    BOB,
    CAROL,
    Chain,
    a_bond,
    a_key,
    a_network,
    a_possession,
    a_report,
    an_unbond,
    named,
    validator_secrets,
    voting_key,
    voting_secret,
)

MINIMUM = 100 * NEURO
INFINITY_KEY, INFINITY_SIGNATURE = b"\xc0" + bytes(47), b"\xc0" + bytes(95)


@pytest.fixture
def chain() -> Chain:
    chain = Chain(a_network(base_fee_initial=10, epoch_blocks=4))
    for wallet in (ALICE, BOB):
        chain.fund(wallet, 1_000 * NEURO)
    return chain


def put_by_hand(chain, **changes):
    """A stake of Alice's as it could have come about."""
    draft = chain.state.fork()
    mint(draft, BondedStake(ALICE.address), changes.get("bonded", 0))
    draft.put(stake_key(ALICE.address), Stake(**changes))
    chain._keep_outside_of_blocks(draft)


# ---- How much


def test_a_bond_moves_its_amount_from_the_balance_to_the_stake_and_burns_only_the_fee(chain):
    bonded = a_bond(chain, MINIMUM + 7)
    chain.block([bonded])
    fee = 10 * transaction_gas(bonded)
    assert chain.balance(ALICE) == 900 * NEURO - 7 - fee
    assert chain.stake(ALICE) == Stake(voting_key(ALICE), bonded=MINIMUM + 7, since_height=1)
    assert chain.state.supply.bonded == MINIMUM + 7
    assert chain.state.supply.burned == fee


def test_the_minimum_may_be_bonded_and_not_one_nano_less(chain):
    with pytest.raises(InvalidTransaction, match=f"{MINIMUM - 1} nanos would stay bonded, {MINIMUM} are the minimum"):
        chain.block([a_bond(chain, MINIMUM - 1)])
    chain.block([a_bond(chain, MINIMUM)])
    assert chain.stake(ALICE).bonded == MINIMUM


def test_a_first_bond_of_nothing_is_refused_without_stake(chain):
    with pytest.raises(InvalidTransaction, match="0 nanos would stay bonded"):
        chain.block([a_bond(chain, 0)])


def test_a_bond_may_be_topped_up_by_one_nano_and_not_by_none(chain):
    chain.block([a_bond(chain)])
    with pytest.raises(InvalidTransaction, match="0 nanos are to be bonded"):
        chain.block([a_bond(chain, 0)])
    chain.block([a_bond(chain, 1)])
    assert chain.stake(ALICE).bonded == MINIMUM + 1


def test_what_is_leaving_does_not_count_towards_the_minimum(chain):
    chain.block([a_bond(chain)])
    chain.block([an_unbond(chain, MINIMUM)])
    with pytest.raises(InvalidTransaction, match=f"{MINIMUM - 1} nanos would stay bonded"):
        chain.block([a_bond(chain, MINIMUM - 1)])
    chain.block([a_bond(chain, MINIMUM)])
    assert (chain.stake(ALICE).bonded, chain.stake(ALICE).staying) == (2 * MINIMUM, MINIMUM)


def test_auto_bonded_stake_counts_towards_the_minimum(chain):
    put_by_hand(chain, bonded=MINIMUM - 5)
    with pytest.raises(InvalidTransaction, match=f"{MINIMUM - 1} nanos would stay bonded"):
        chain.block([a_bond(chain, 4)])
    chain.block([a_bond(chain, 5)])
    assert chain.stake(ALICE) == Stake(voting_key(ALICE), bonded=MINIMUM, since_height=1)


def test_stake_that_auto_bond_brought_to_the_minimum_needs_only_a_key(chain):
    put_by_hand(chain, bonded=MINIMUM)
    chain.block([a_bond(chain, 0)])
    assert chain.stake(ALICE) == Stake(voting_key(ALICE), bonded=MINIMUM, since_height=1)


def test_the_last_nano_may_be_bonded_and_not_one_more(chain):
    everything = 1_000 * NEURO - 10 * transaction_gas(a_bond(chain))
    with pytest.raises(NotEnoughFunds):
        chain.block([a_bond(chain, everything + 1)])
    chain.block([a_bond(chain, everything)])
    assert (chain.balance(ALICE), chain.stake(ALICE).bonded) == (0, everything)


def test_the_largest_amount_is_refused_from_a_smaller_balance(chain):
    with pytest.raises(NotEnoughFunds):
        chain.block([a_bond(chain, AMOUNT_MAXIMUM)])
    chain.block([a_bond(chain)])
    with pytest.raises(NotEnoughFunds):
        chain.block([a_bond(chain, AMOUNT_MAXIMUM)])


def test_the_largest_supply_can_be_bonded():
    chain = Chain(a_network(base_fee_initial=10, epoch_blocks=4))
    chain.fund(ALICE, AMOUNT_MAXIMUM)
    everything = AMOUNT_MAXIMUM - 10 * transaction_gas(a_bond(chain))
    chain.block([a_bond(chain, everything)])
    chain.end_epochs(2)
    assert chain.stake(ALICE).bonded == everything


# ---- Under which key


def test_a_bonded_key_is_known_with_its_wallet(chain):
    chain.block([a_bond(chain)])
    assert chain.state.find(ValidatorKey, validator_key(voting_key(ALICE))) == ValidatorKey(ALICE.address, False)
    assert staking(chain.state).validators == (ALICE.address,)


def test_the_wallets_that_may_validate_stand_in_order(chain):
    chain.block([a_bond(chain, wallet=BOB), a_bond(chain)])
    assert staking(chain.state).validators == tuple(sorted((ALICE.address, BOB.address)))


def test_bonded_stake_votes_from_the_next_epoch_on(chain):
    chain.block([a_bond(chain)])
    assert chain.stake(ALICE).power == 0
    chain.end_epoch()
    assert chain.stake(ALICE).power == MINIMUM
    assert voting_key(ALICE) in [member.public_key for member in chain.members]


def test_a_wallet_has_one_validator_key(chain):
    chain.block([a_bond(chain)])
    with pytest.raises(InvalidTransaction, match="bond with that one"):
        chain.block([a_bond(chain, voter=CAROL)])


def test_a_key_votes_for_one_wallet(chain):
    chain.block([a_bond(chain)])
    with pytest.raises(InvalidTransaction, match="is another wallet's"):
        chain.block([a_bond(chain, wallet=BOB, voter=ALICE)])


def test_one_key_in_two_bonds_of_one_block_is_the_first_ones(chain):
    with pytest.raises(InvalidTransaction, match="is another wallet's"):
        chain.block([a_bond(chain), a_bond(chain, wallet=BOB, voter=ALICE)])


def test_a_bootstrap_validator_may_bond_its_own_key(chain):
    (founder,) = validator_secrets(1)
    key = bls.public_key(founder)
    consent = bond_consent(chain.network.chain_id, key, ALICE.address)
    chain.block([a_bond(chain, public_key=key, possession=bls.sign(founder, consent))])
    before = chain.members[0].power
    chain.end_epoch()
    assert [member.public_key for member in chain.members] == [key]
    assert chain.members[0].power == before + MINIMUM


# ---- Who has to agree


def test_a_bond_without_the_consent_of_its_key_is_refused(chain):
    secret, key, chain_id = voting_secret(ALICE), voting_key(ALICE), chain.network.chain_id
    for possession in [
        bytes(96),
        INFINITY_SIGNATURE,
        a_possession(chain, ALICE, voter=CAROL),  # another key's
        a_possession(chain, BOB, voter=ALICE),  # for another wallet
        bls.sign(secret, bond_consent(bytes(32), key, ALICE.address)),  # on another chain
        bls.sign(secret, bond_consent(chain_id, voting_key(CAROL), ALICE.address)),  # of another key
        bls.prove_possession(secret),  # which says nothing about the wallet
        bls.sign(secret, key),
    ]:
        with pytest.raises(BadSignature, match="did not sign to vote for this wallet"):
            chain.try_block(a_bond(chain, possession=possession))
    chain.try_block(a_bond(chain))


def test_a_stranger_cannot_take_a_key_by_repeating_what_its_owner_published(chain):
    copied = a_bond(chain).action
    with pytest.raises(BadSignature):
        chain.block([a_bond(chain, wallet=BOB, voter=ALICE, possession=copied.possession)])
    founder = chain.network.validators[0]
    with pytest.raises(BadSignature):
        chain.block([a_bond(chain, public_key=founder.public_key, possession=founder.possession)])


def test_a_top_up_needs_the_consent_as_well(chain):
    chain.block([a_bond(chain)])
    with pytest.raises(BadSignature):
        chain.block([a_bond(chain, 1, possession=bytes(96))])


@pytest.mark.parametrize("key", [INFINITY_KEY, bytes(48), b"\x80" + bytes(46) + b"\x01", b"\xff" * 48])
def test_a_key_that_is_no_key_is_refused(chain, key):
    for possession in (INFINITY_SIGNATURE, a_possession(chain)):
        with pytest.raises((BadSignature, InvalidTransaction)):
            chain.block([a_bond(chain, public_key=key, possession=possession)])


def test_a_banned_wallet_never_bonds_again_and_its_key_in_no_other_wallet():
    chain = Chain(a_network(base_fee_initial=10))
    chain.seat(ALICE)
    for wallet in (ALICE, BOB, CAROL):
        chain.fund(wallet, 1_000 * NEURO)
    chain.block([a_report(chain)])
    for voter in (ALICE, CAROL):
        with pytest.raises(InvalidTransaction, match="was banned for voting twice"):
            chain.try_block(a_bond(chain, voter=voter))
    with pytest.raises(InvalidTransaction, match="another wallet's, or banned"):
        chain.try_block(a_bond(chain, wallet=CAROL, voter=ALICE))
    chain.try_block(a_bond(chain, wallet=CAROL))


# ---- The queue


def test_who_asked_first_enters_first(chain):
    chain.block([a_bond(chain, wallet=BOB)])
    chain.block([a_bond(chain)])
    chain.end_epoch()
    assert (chain.stake(BOB).power, chain.stake(ALICE).power) == (MINIMUM, 0)
    chain.end_epoch()
    assert (chain.stake(BOB).power, chain.stake(ALICE).power) == (MINIMUM, MINIMUM)


def test_who_asks_for_more_goes_to_the_end_of_the_queue(chain):
    chain.block([a_bond(chain)])
    chain.block([a_bond(chain, wallet=BOB)])
    chain.block([a_bond(chain, 300 * NEURO)])
    assert chain.stake(ALICE).since_height == 3
    chain.end_epoch()
    assert (chain.stake(BOB).power, chain.stake(ALICE).power) == (MINIMUM, 0)


def test_a_members_top_up_does_not_overtake_those_who_wait(chain):
    chain.block([a_bond(chain)])
    chain.end_epoch()
    chain.block([a_bond(chain, wallet=BOB)])
    chain.block([a_bond(chain, 300 * NEURO)])
    chain.end_epoch()
    assert (chain.stake(BOB).power, chain.stake(ALICE).power) == (MINIMUM, MINIMUM)


# ---- As many as a set holds


def crowd(chain, number):
    """Validators with power, as they could have bonded, by hand."""
    draft = chain.state.fork()
    wallets = sorted(a_key(f"wallet {i}").secret[:20] for i in range(number))
    for place, secret in enumerate(wallets):
        wallet, key = b"\x00" + secret, b"\x80" + place.to_bytes(2, "big") + named(f"key {place}")[:31] + bytes(14)
        mint(draft, BondedStake(wallet), MINIMUM)
        draft.put(stake_key(wallet), Stake(key, bonded=MINIMUM, power=MINIMUM))
        draft.put(validator_key(key), ValidatorKey(wallet, False))
    known = staking(draft)
    draft.put(STAKING_KEY, replace(known, validators=tuple(b"\x00" + secret for secret in wallets)))
    return draft


@pytest.mark.parametrize("founders", [1, 7])
def test_stake_and_bootstrap_validators_fill_the_set_to_its_last_place_and_no_further(founders):
    chain = Chain(a_network(founders, base_fee_initial=10))
    chain.fund(ALICE, 1_000 * NEURO)
    chain.fund(BOB, 1_000 * NEURO)
    places = VALIDATORS_MAXIMUM - founders
    chain._keep_outside_of_blocks(crowd(chain, places - 1))
    with pytest.raises(InvalidTransaction, match=f"{places} validators are bonded already"):
        chain.try_block(a_bond(chain), a_bond(chain, wallet=BOB))
    chain.block([a_bond(chain)])
    with pytest.raises(InvalidTransaction, match=f"{places} validators are bonded already"):
        chain.try_block(a_bond(chain, wallet=BOB))
    chain.try_block(a_bond(chain, 1))  # a top-up takes no place
    draft = chain.state.fork()
    choose_validators(draft, 0, chain.height, chain.network)
    assert len(draft.need(ValidatorSet, set_key(1)).members) == VALIDATORS_MAXIMUM
