"""Who signs too little of an epoch is jailed: what counts as signing, how many at once, and how one gets out."""

import pytest

from chain.crypto import bls
from chain.crypto.votes import NULLIFY
from chain.errors import DecodeError, InvalidBlock, InvalidTransaction
from chain.fees import transaction_gas
from chain.money import NEURO
from chain.receipts import Jailed
from chain.stakes import PARTICIPATION_KEY, Participation, staking
from chain.transactions import bond_consent
from tests.builders import (
    ALICE,
    BOB,
    CAROL,
    Chain,
    a_bond,
    a_certificate,
    a_key,
    a_network,
    a_report,
    an_unbond,
    an_unjail,
    named,
    validator_secrets,
    voting_key,
)

STAKE = 100 * NEURO
TERM = 2  # epochs
BLOCKS = 5  # of an epoch; four of them carry the certificate of a block of the same epoch
OTHERS = tuple(a_key(f"other {i}") for i in range(8))


def a_chain(*validators, founders=1, **params):
    numbers = {"base_fee_initial": 10, "epoch_blocks": BLOCKS, "jail_epochs": TERM} | params
    chain = Chain(a_network(founders, **numbers))
    chain.seat(*validators)
    for wallet in validators:
        chain.fund(wallet, NEURO)
    return chain


@pytest.fixture
def chain() -> Chain:
    """Alice and five others with 100 NEURO each, and a founder with as much phantom power."""
    return a_chain(ALICE, *OTHERS[:5])


def places(chain, wallets):
    keys = {voting_key(wallet) for wallet in wallets}
    return {place for place, member in enumerate(chain.members) if member.public_key in keys}


def an_epoch(chain, *absent, signed=0):
    """An epoch of which everybody signs four blocks, but those named only so many."""
    missing, everybody = places(chain, absent), set(range(len(chain.members)))
    chain.quick_block()
    for block in range(BLOCKS - 1):
        chain.quick_block(certificate=a_certificate(chain, everybody - missing if block >= signed else everybody))


def jailed(chain):
    """The wallets that the last block jailed."""
    return {receipt.wallet for receipt in chain.receipts if isinstance(receipt, Jailed)}


def participation(chain):
    return chain.state.need(Participation, PARTICIPATION_KEY)


# ---- What counts


def test_a_block_counts_who_signed_its_parent(chain):
    chain.block()
    assert participation(chain) == Participation(0, ())
    chain.block(certificate=a_certificate(chain, [0, 2]))
    assert participation(chain) == Participation(1, (1, 0, 1, 0, 0, 0, 0))
    chain.block(certificate=a_certificate(chain, [2, 6]))
    assert participation(chain) == Participation(2, (1, 0, 2, 0, 0, 0, 1))


def test_a_block_without_a_certificate_counts_nobody_present_and_nobody_absent(chain):
    chain.block()
    chain.block(certificate=a_certificate(chain, range(7)))
    before = participation(chain)
    chain.block()
    assert participation(chain) == before


def test_the_count_starts_anew_with_each_epoch(chain):
    an_epoch(chain)
    assert participation(chain) == Participation(0, ())


def test_the_certificate_of_the_last_epochs_last_block_is_not_counted(chain):
    an_epoch(chain)
    chain.block(certificate=a_certificate(chain, [0]))
    assert participation(chain) == Participation(0, ())


@pytest.mark.parametrize(
    "wrong",
    [{"kind": NULLIFY}, {"epoch": 1}, {"block_hash": named("another block")}],
    ids=str,
)
def test_another_statement_than_that_the_parent_is_notarized_or_final_is_refused(chain, wrong):
    chain.block()
    with pytest.raises(InvalidBlock, match="is not the parent's notarization"):
        chain.build(certificate=a_certificate(chain, range(7), **wrong))


@pytest.mark.parametrize("bitmap", [b"", b"\x7f\x00", b"\xff", b"\x80"])
def test_a_bitmap_of_another_size_than_the_set_is_refused(chain, bitmap):
    chain.block()
    with pytest.raises(InvalidBlock, match="does not fit a set of 7"):
        chain.build(certificate=a_certificate(chain, [], bitmap=bitmap))
    chain.build(certificate=a_certificate(chain, [], bitmap=b"\x7f"))


def test_bytes_that_are_no_certificate_are_refused(chain):
    chain.block()
    good = a_certificate(chain, range(7))
    for wrong in (good[:-1], good + b"\x00", b"certificate"):
        with pytest.raises(DecodeError):
            chain.build(certificate=wrong)


# ---- Who is jailed


def test_who_signs_half_of_an_epoch_stays_and_who_signs_one_less_is_jailed(chain):
    an_epoch(chain, ALICE, signed=2)
    assert jailed(chain) == set()
    an_epoch(chain, ALICE, signed=1)
    assert jailed(chain) == {ALICE.address}


def test_the_jailed_lose_their_power_and_nothing_else(chain):
    an_epoch(chain, ALICE)
    assert chain.receipts == (Jailed(ALICE.address, 1 + TERM),)
    stake = chain.stake(ALICE)
    assert (stake.bonded, stake.leaving, stake.power, stake.jailed_until) == (STAKE, 0, 0, 1 + TERM)
    assert voting_key(ALICE) not in [member.public_key for member in chain.members]
    assert chain.state.supply.bonded == 6 * STAKE
    assert chain.state.supply.burned == 0


def test_nobody_is_jailed_for_an_epoch_in_which_nothing_was_counted(chain):
    chain.end_epoch()
    assert jailed(chain) == set()


def test_a_bootstrap_validator_without_stake_is_not_jailed(chain):
    founder = chain.network.validators[0].public_key
    place = [member.public_key for member in chain.members].index(founder)
    chain.quick_block()
    for _ in range(BLOCKS - 1):
        chain.quick_block(certificate=a_certificate(chain, set(range(7)) - {place}))
    assert jailed(chain) == set()


def test_who_is_jailed_stays_out_until_it_asks(chain):
    an_epoch(chain, ALICE)
    for _ in range(TERM + 2):
        chain.end_epoch()
        assert chain.stake(ALICE).power == 0


# ---- How many


def test_at_most_a_quarter_of_the_power_is_jailed_in_an_epoch():
    chain = a_chain(*OTHERS[:7])  # 800 in all
    an_epoch(chain, *OTHERS[:7])
    assert len(jailed(chain)) == 2


def test_a_nano_more_than_a_quarter_is_not_jailed():
    for stake, jailed_too in [(200 * NEURO, True), (200 * NEURO + 1, False)]:
        chain = a_chain(*OTHERS[:4])
        chain.seat(ALICE, amount=stake)
        chain.seat(BOB, amount=800 * NEURO - 500 * NEURO - stake)  # 800 in all
        an_epoch(chain, ALICE)
        assert (jailed(chain) == {ALICE.address}) is jailed_too


def test_what_is_too_much_to_be_jailed_does_not_protect_the_others():
    chain = a_chain(*OTHERS[:5])
    chain.seat(ALICE, amount=800 * NEURO)
    an_epoch(chain, ALICE, *OTHERS[:5])
    assert len(jailed(chain)) == 3  # 350 of the 1,400 may be jailed
    assert ALICE.address not in jailed(chain)


def test_the_last_four_validators_are_never_jailed():
    chain = a_chain(*OTHERS[:4])  # five with the founder
    an_epoch(chain, *OTHERS[:4])
    assert len(jailed(chain)) == 1
    assert len(chain.members) == 4
    an_epoch(chain, *OTHERS[:4])
    assert jailed(chain) == set()
    assert len(chain.members) == 4


def test_a_bonded_bootstrap_validator_is_jailed_with_its_stake_and_goes_on_with_its_phantom_power():
    chain = a_chain()
    (founder,) = validator_secrets(1)
    key = chain.network.validators[0].public_key
    chain.fund(ALICE, 2 * STAKE)
    consent = bls.sign(founder, bond_consent(chain.network.chain_id, key, ALICE.address))
    chain.block([a_bond(chain, public_key=key, possession=consent)])
    chain.end_epoch()
    chain.seat(*OTHERS[:2])
    assert [chain.stake(ALICE).power, sum(member.power for member in chain.members)] == [STAKE, 4 * STAKE]
    place = [member.public_key for member in chain.members].index(key)
    chain.quick_block()
    for _ in range(BLOCKS - 1):
        chain.quick_block(certificate=a_certificate(chain, {0, 1, 2} - {place}))
    assert jailed(chain) == {ALICE.address}
    assert [member.power for member in chain.members if member.public_key == key] == [staking(chain.state).phantom]


# ---- The way out


def test_the_jailed_are_free_to_ask_from_the_end_of_their_term_and_not_one_epoch_sooner(chain):
    an_epoch(chain, ALICE)
    while chain.epoch < TERM:
        chain.end_epoch()
    chain.empty_blocks(BLOCKS - 1)
    assert chain.epoch == TERM  # its last block
    with pytest.raises(InvalidTransaction, match=f"the jail term ends with epoch {TERM}, this is epoch {TERM}"):
        chain.try_block(an_unjail(chain))
    chain.end_epoch()
    freed = an_unjail(chain)
    chain.block([freed])
    assert chain.stake(ALICE).jailed_until == 0
    assert chain.balance(ALICE) == NEURO - 10 * transaction_gas(freed)
    assert chain.stake(ALICE).power == 0
    chain.end_epoch()
    assert chain.stake(ALICE).power == STAKE


def test_who_is_not_in_jail_cannot_be_let_out(chain):
    with pytest.raises(InvalidTransaction, match="is not in jail"):
        chain.try_block(an_unjail(chain))
    chain.fund(CAROL, NEURO)
    with pytest.raises(InvalidTransaction, match="is not in jail"):
        chain.try_block(an_unjail(chain, CAROL))


def test_nobody_is_let_out_twice(chain):
    an_epoch(chain, ALICE)
    chain.end_epoch()
    chain.end_epoch()
    with pytest.raises(InvalidTransaction, match="is not in jail"):
        chain.try_block(an_unjail(chain), an_unjail(chain, nonce=1))


def test_the_banned_are_not_let_out(chain):
    an_epoch(chain, ALICE)
    chain.fund(BOB, NEURO)
    chain.block([a_report(chain, epoch=0)])
    chain.end_epoch()
    chain.end_epoch()
    with pytest.raises(InvalidTransaction, match="banned for voting twice, for ever"):
        chain.try_block(an_unjail(chain))


def test_who_is_let_out_stands_at_the_end_of_the_queue(chain):
    chain.fund(BOB, 1_000 * NEURO)
    an_epoch(chain, ALICE)
    chain.end_epoch()
    chain.end_epoch()
    chain.block([a_bond(chain, 150 * NEURO, wallet=BOB)])
    chain.block([an_unjail(chain)])
    assert chain.stake(ALICE).since_height == chain.height
    total = sum(member.power for member in chain.members)
    chain.end_epoch()
    let_in = max(STAKE, total // 4)
    assert chain.stake(BOB).power == min(150 * NEURO, let_in)
    assert chain.stake(ALICE).power == min(STAKE, let_in - chain.stake(BOB).power) < STAKE


def test_the_jailed_may_take_their_stake_out_instead(chain):
    an_epoch(chain, ALICE)
    chain.block([an_unbond(chain, STAKE)])
    chain.end_epoch()
    stake = chain.stake(ALICE)
    assert (stake.bonded, len(stake.exits), stake.jailed_until) == (0, 1, 1 + TERM)


def test_bonding_more_does_not_end_a_jail_term(chain):
    an_epoch(chain, ALICE)
    chain.fund(ALICE, 2 * STAKE)
    chain.block([a_bond(chain)])
    chain.end_epoch()
    assert (chain.stake(ALICE).power, chain.stake(ALICE).jailed_until) == (0, 1 + TERM)
