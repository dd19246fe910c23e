"""Voting twice is proven by two votes, and costs: which pairs, how recent, how much, and that nobody gets around it."""

from dataclasses import replace
from itertools import permutations

import pytest

from chain.audit_records import add_misses, misses_key
from chain.block import VALIDATORS_MAXIMUM
from chain.crypto import bls
from chain.crypto.hashing import ZERO
from chain.crypto.votes import FINALIZE, NOTARIZE, NULLIFY, Evidence, evidence_of
from chain.errors import BadSignature, InvalidBlock, InvalidTransaction
from chain.fees import transaction_gas
from chain.money import NEURO, BondedStake, UnbondingStake, holdings
from chain.receipts import SLASHED, Burned, StakeLeft, Tombstoned
from chain.slashing import settle_tombs
from chain.stakes import STAKING_KEY, Tomb, ValidatorKey, stake_of, staking, validator_key
from chain.transactions import Bond, bond_consent
from tests.builders import (
    ALICE,
    BOB,
    CAROL,
    FOUNDER,
    Chain,
    a_bond,
    a_key,
    a_network,
    a_report,
    a_transaction,
    a_transfer,
    a_vote,
    a_withdrawal,
    an_unbond,
    evidence_against,
    named,
    secret_of,
    voting_key,
    voting_secret,
)

SPAN = 3  # epochs: the unbonding time
STAKE = 100 * NEURO
BASE = 5 * NEURO  # 5 % of it
ONE, OTHER = named("one block"), named("another")
OTHERS = tuple(a_key(f"other {i}") for i in range(5))


def a_chain(*validators, amount=STAKE, founders=1, **params):
    """These wallets' validators beside the founders'; Bob can pay for reports."""
    chain = Chain(a_network(founders, **{"base_fee_initial": 10, "epoch_blocks": 2, "unbonding_epochs": SPAN} | params))
    chain.seat(*validators, amount=amount)
    chain.fund(BOB, NEURO)
    return chain


@pytest.fixture
def chain() -> Chain:
    """Alice and five others with 100 NEURO each, and a founder with as much phantom power."""
    return a_chain(ALICE, *OTHERS)


def report_of(chain, *votes, **changes):
    return a_report(chain, evidence=evidence_of(*votes), **changes)


def votes_of(chain, *statements, **changes):
    return [a_vote(chain, voting_secret(ALICE), kind, block, **changes) for kind, block in statements]


def is_banned(chain, key):
    known = chain.state.find(ValidatorKey, validator_key(key))
    return known is not None and known.tombstoned


def burned_of(chain, wallet):
    """What a wallet's stake lost to slashing so far, reports and correlation."""
    receipts = [receipt for applied in chain.blocks for receipt in applied.receipts]
    return sum(r.amount for r in receipts if isinstance(r, Burned) and (r.reason, r.payer) == (SLASHED, wallet.address))


def owned(chain, *wallets):
    """All that wallets own, wherever it is."""
    total = 0
    for wallet in wallets:
        exits = [UnbondingStake(wallet.address, ready) for ready in chain.stake(wallet).exits]
        total += chain.balance(wallet) + sum(
            holdings(chain.state, pot) for pot in [BondedStake(wallet.address), *exits]
        )
    return total


# ---- Which pairs of votes

SLASHABLE = {
    "two notarizations": [(NOTARIZE, ONE), (NOTARIZE, OTHER)],
    "two finalizations": [(FINALIZE, ONE), (FINALIZE, OTHER)],
    "finalized and given up": [(FINALIZE, ONE), (NULLIFY, ZERO)],
}
LEGAL = {
    "notarized, then given up": [(NOTARIZE, ONE), (NULLIFY, ZERO)],
    "notarized, then finalized": [(NOTARIZE, ONE), (FINALIZE, ONE)],
    "notarized one, finalized another": [(NOTARIZE, ONE), (FINALIZE, OTHER)],
    "one notarization twice": [(NOTARIZE, ONE), (NOTARIZE, ONE)],
    "one finalization twice": [(FINALIZE, ONE), (FINALIZE, ONE)],
    "given up twice": [(NULLIFY, ZERO), (NULLIFY, ZERO)],
}
MALFORMED = {
    "notarization of nothing": [(NOTARIZE, ZERO), (NOTARIZE, ONE)],
    "finalization of nothing": [(FINALIZE, ZERO), (FINALIZE, ONE)],
    "a block given up by name": [(NULLIFY, ONE), (NULLIFY, ZERO)],
    "two blocks given up by name": [(NULLIFY, ONE), (NULLIFY, OTHER)],
    "finalized, and given up by name": [(FINALIZE, ONE), (NULLIFY, OTHER)],
    "kind 0": [(0, ONE), (0, OTHER)],
    "kind 4": [(4, ONE), (4, OTHER)],
}


@pytest.mark.parametrize("pair", SLASHABLE.values(), ids=SLASHABLE)
def test_what_no_honest_validator_signs_is_punished(chain, pair):
    chain.block([report_of(chain, *votes_of(chain, *pair))])
    assert is_banned(chain, voting_key(ALICE))


@pytest.mark.parametrize("pair", (LEGAL | MALFORMED).values(), ids=LEGAL | MALFORMED)
def test_what_an_honest_validator_may_sign_or_nobody_counts_is_no_evidence(chain, pair):
    with pytest.raises(InvalidTransaction, match="an honest validator can have cast both votes"):
        chain.try_block(report_of(chain, *votes_of(chain, *pair)))


@pytest.mark.parametrize("pair", SLASHABLE.values(), ids=SLASHABLE)
@pytest.mark.parametrize("change", [{"view": 2}, {"epoch": 0}, {"signer": 6}], ids=str)
def test_votes_of_different_views_epochs_or_signers_are_no_evidence(chain, pair, change):
    chain.end_epoch()
    (first,), (second,) = votes_of(chain, pair[0]), votes_of(chain, pair[1], **change)
    place = (second.view, second.epoch, second.signer)
    assert place != (first.view, first.epoch, first.signer)
    with pytest.raises(InvalidTransaction, match="an honest validator can have cast both votes"):
        chain.try_block(report_of(chain, first, second))


def test_the_vote_with_the_smaller_encoding_comes_first(chain):
    evidence = evidence_against(chain, ALICE)
    assert evidence.first.encode() < evidence.second.encode()
    with pytest.raises(InvalidTransaction, match="smaller encoding comes first"):
        chain.try_block(a_report(chain, evidence=Evidence(evidence.second, evidence.first)))
    chain.try_block(a_report(chain, evidence=evidence))


# ---- Whose signatures


def test_both_votes_must_be_signed_by_the_accused(chain):
    first, second = votes_of(chain, (NOTARIZE, ONE), (NOTARIZE, OTHER))
    by_another = a_vote(chain, voting_secret(OTHERS[0]), NOTARIZE, OTHER, signer=second.signer)
    for forged in (
        by_another.signature,
        first.signature,
        bytes(96),
        b"\xc0" + bytes(95),
        a_vote(chain, voting_secret(ALICE), FINALIZE, OTHER).signature,
        a_vote(chain, voting_secret(ALICE), NOTARIZE, OTHER, view=2).signature,
        a_vote(chain, voting_secret(ALICE), NOTARIZE, OTHER, chain_id=named("elsewhere")).signature,
    ):
        with pytest.raises(BadSignature, match="did not sign both votes"):
            chain.try_block(report_of(chain, first, replace(second, signature=forged)))
    with pytest.raises(BadSignature, match="did not sign both votes"):
        chain.try_block(report_of(chain, replace(first, signature=second.signature), second))
    chain.try_block(report_of(chain, first, second))


def test_votes_of_another_chain_are_no_evidence(chain):
    votes = votes_of(chain, (NOTARIZE, ONE), (NOTARIZE, OTHER), chain_id=named("elsewhere"))
    with pytest.raises(BadSignature):
        chain.try_block(report_of(chain, *votes))


def test_nobody_is_accused_in_anothers_place(chain):
    evidence = evidence_against(chain, ALICE)
    for place in range(len(chain.members)):
        if place != evidence.first.signer:
            moved = [replace(vote, signer=place) for vote in (evidence.first, evidence.second)]
            with pytest.raises(BadSignature):
                chain.try_block(report_of(chain, *moved))


@pytest.mark.parametrize("place", [7, 8, 2**16 - 1])
def test_a_place_beyond_the_set_accuses_nobody(chain, place):
    assert len(chain.members) == 7
    votes = [replace(vote, signer=place) for vote in votes_of(chain, (NOTARIZE, ONE), (NOTARIZE, OTHER))]
    with pytest.raises(InvalidTransaction, match=f"signer {place} of a set of 7"):
        chain.try_block(report_of(chain, *votes))


# ---- How recent


def test_votes_are_evidence_for_the_unbonding_time_and_not_an_epoch_longer(chain):
    evidence = evidence_against(chain, ALICE)
    chain.end_epochs(SPAN)
    chain.empty_blocks(1)
    assert chain.epoch == SPAN  # its last block
    chain.try_block(a_report(chain, evidence=evidence))
    chain.end_epoch()
    with pytest.raises(InvalidTransaction, match=f"votes of epoch 0 are no evidence in epoch {SPAN + 1}"):
        chain.try_block(a_report(chain, evidence=evidence))


@pytest.mark.parametrize("ahead", [1, 2**64 - 1])
def test_votes_of_an_epoch_to_come_are_no_evidence(chain, ahead):
    votes = [replace(vote, epoch=ahead) for vote in votes_of(chain, (NOTARIZE, ONE), (NOTARIZE, OTHER))]
    with pytest.raises(InvalidTransaction, match=f"votes of epoch {ahead} are no evidence in epoch 0"):
        chain.try_block(report_of(chain, *votes))


def test_who_joined_after_the_votes_epoch_has_no_place_in_it():
    chain = a_chain(*OTHERS)
    chain.end_epoch()
    chain.seat(ALICE)
    with pytest.raises(ValueError, match="is not in list"):
        evidence_against(chain, ALICE, epoch=0)
    for place in range(len(chain.state.validators(0).members)):
        with pytest.raises(BadSignature):
            chain.try_block(a_report(chain, evidence=evidence_against(chain, ALICE, epoch=0, signer=place)))


# ---- What it costs at once


def test_the_base_penalty_is_burned_but_for_the_reporters_share(chain):
    report = a_report(chain)
    chain.block([report])
    reward = BASE // 32
    assert chain.receipts[-2:] == (
        Burned(SLASHED, ALICE.address, BASE - reward),
        Tombstoned(voting_key(ALICE), BASE, BOB.address, reward),
    )
    assert chain.balance(BOB) == NEURO - 10 * transaction_gas(report) + reward
    assert chain.stake(ALICE).bonded == STAKE - BASE


def test_the_reporters_share_has_a_ceiling():
    for ceiling, reward in [(BASE // 32 + 1, BASE // 32), (BASE // 32, BASE // 32), (7, 7), (0, 0)]:
        chain = a_chain(ALICE, *OTHERS, reporter_maximum_nanos=ceiling)
        chain.block([a_report(chain)])
        assert chain.receipts[-1].reward == reward
        assert chain.receipts[-2].amount == BASE - reward


@pytest.mark.parametrize(
    ("stake", "lost", "reward"), [(1, 1, 0), (20, 1, 0), (21, 2, 0), (620, 31, 0), (640, 32, 1), (641, 33, 1)]
)
def test_the_base_penalty_is_rounded_up_and_the_reward_down(stake, lost, reward):
    chain = a_chain(ALICE, *OTHERS, amount=stake, stake_minimum_nanos=1)
    chain.block([a_report(chain)])
    assert chain.receipts[-1] == Tombstoned(voting_key(ALICE), lost, BOB.address, reward)
    assert chain.stake(ALICE).bonded == stake - lost


def test_the_whole_stake_is_the_largest_base_penalty():
    chain = a_chain(ALICE, *OTHERS, equivocation_basis_points=10_000)
    chain.block([a_report(chain)])
    assert chain.stake(ALICE).bonded == 0
    chain.end_epochs(2 * SPAN + 1)


def test_the_misses_of_a_banned_key_are_forgotten(chain):
    draft = chain.state.fork()
    add_misses(draft, voting_key(ALICE), 2)
    chain._keep_outside_of_blocks(draft)
    chain.block([a_report(chain)])
    assert chain.state.get(misses_key(voting_key(ALICE))) is None


def test_the_banned_have_no_power_from_the_next_epoch_on_and_never_again(chain):
    chain.block([a_report(chain)])
    assert voting_key(ALICE) in [member.public_key for member in chain.members]
    for _ in range(3 * SPAN):
        chain.end_epoch()
        assert voting_key(ALICE) not in [member.public_key for member in chain.members]
    assert is_banned(chain, voting_key(ALICE))


def test_what_is_left_is_released_an_unbonding_time_after_the_report_and_no_epoch_sooner(chain):
    chain.fund(ALICE, NEURO)
    chain.block([a_report(chain)])
    chain.end_epoch()
    assert chain.receipts == (StakeLeft(ALICE.address, STAKE - BASE, 1 + SPAN),)
    chain.end_epochs(SPAN - 1)
    with pytest.raises(InvalidTransaction, match=f"the first from epoch {1 + SPAN} on"):
        chain.try_block(a_withdrawal(chain))
    chain.end_epoch()
    chain.block([a_withdrawal(chain)])
    assert chain.stake(ALICE).bonded == chain.state.supply.unbonding == 0


def test_the_banned_leave_their_place_to_another_when_nothing_of_theirs_is_bonded(chain):
    chain.block([a_report(chain)])
    assert ALICE.address in staking(chain.state).validators
    chain.end_epoch()
    assert ALICE.address not in staking(chain.state).validators
    assert chain.stake(ALICE).tombstoned


def test_the_banned_cannot_ask_their_stake_back_sooner(chain):
    chain.fund(ALICE, NEURO)
    chain.block([an_unbond(chain, STAKE)])
    chain.block([a_report(chain)])
    with pytest.raises(InvalidTransaction, match="of 0 that stay bonded"):
        chain.try_block(an_unbond(chain, 1))


# ---- What it costs later


def lone_penalty(total):
    """Of a stake of 100 NEURO in a set of `total` NEURO: three times its share, rounded up."""
    return -(-STAKE * 3 * 100 // total)


def test_a_lone_offender_loses_three_times_its_share_of_the_power_when_the_unbonding_time_is_over(chain):
    chain.block([a_report(chain)])
    chain.end_epochs(SPAN)
    assert burned_of(chain, ALICE) == BASE - BASE // 32
    chain.end_epoch()  # the last block of epoch SPAN
    assert burned_of(chain, ALICE) == BASE - BASE // 32 + lone_penalty(700)
    assert owned(chain, ALICE) == STAKE - BASE - lone_penalty(700)
    chain.end_epochs(3 * SPAN)
    assert owned(chain, ALICE) == STAKE - BASE - lone_penalty(700)


def test_a_third_of_the_power_loses_everything(chain):
    attackers = (ALICE, *OTHERS[:2])  # 300 of 700
    for attacker in attackers:
        chain.block([a_report(chain, attacker)])
    chain.end_epochs(2 * SPAN)
    assert owned(chain, *attackers) == 0


def test_the_penalty_is_rounded_up_and_never_above_what_is_left():
    chain = a_chain(ALICE, *OTHERS, amount=1, stake_minimum_nanos=1)
    chain.block([a_report(chain)])
    chain.end_epochs(SPAN + 1)
    assert burned_of(chain, ALICE) == 1


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
@pytest.mark.parametrize("epochs", [(0, 0, 0), (0, 1, 2), (0, 0, SPAN)], ids=str)
def test_the_penalty_does_not_depend_on_the_order_of_the_reports(order, epochs):
    chain = a_chain(*OTHERS[:3])
    chain.seat(ALICE, amount=300 * NEURO)
    chain.seat(CAROL, amount=700 * NEURO)  # 1,400 in all
    offenders = (OTHERS[0], OTHERS[1], ALICE)
    proofs = [evidence_against(chain, offender) for offender in offenders]
    for place, epoch in zip(order, epochs, strict=True):
        while chain.epoch < epoch:
            chain.end_epoch()
        chain.quick_block(a_report(chain, evidence=proofs[place]))
    chain.end_epochs(3 * SPAN)
    # 500 of 1,400 offended: three times that is more than everything.
    assert owned(chain, *offenders) == 0
    assert sum(burned_of(chain, wallet) for wallet in offenders) == 500 * NEURO - 25 * NEURO // 32


@pytest.mark.parametrize("order", list(permutations(range(2))), ids=str)
def test_a_part_is_the_same_part_in_either_order(order):
    chain = a_chain(*OTHERS)
    chain.seat(ALICE, amount=300 * NEURO)
    chain.seat(CAROL, amount=2_300 * NEURO)  # 3,200 in all
    offenders = (ALICE, OTHERS[0])
    proofs = [evidence_against(chain, offender) for offender in offenders]
    chain.block([a_report(chain, evidence=proofs[order[0]])])
    chain.end_epochs(SPAN)
    chain.block([a_report(chain, evidence=proofs[order[1]])])
    chain.end_epochs(3 * SPAN)
    parts = [3 * 400 * stake // 3_200 for stake in (300 * NEURO, STAKE)]
    rewards = [5 * stake // 100 // 32 for stake in (300 * NEURO, STAKE)]
    assert [burned_of(chain, wallet) for wallet in offenders] == [
        5 * stake // 100 + part - reward
        for stake, part, reward in zip((300 * NEURO, STAKE), parts, rewards, strict=True)
    ]


@pytest.mark.parametrize(("apart", "together"), [(0, 2), (SPAN, 2), (SPAN + 1, 1)])
def test_reports_an_unbonding_time_apart_add_up_and_one_epoch_further_do_not(apart, together):
    chain = a_chain(ALICE, *OTHERS, amount=1_000 * NEURO, correlation_factor=1)
    stake, totals = 1_000 * NEURO, []
    for offender, epoch in ((ALICE, 0), (OTHERS[0], apart)):
        while chain.epoch < epoch:
            chain.end_epoch()
        totals.append(sum(member.power for member in chain.members))
        chain.block([a_report(chain, offender)])
    chain.end_epochs(2 * SPAN)
    for offender, total, other in ((ALICE, *totals), (OTHERS[0], *totals[::-1])):
        offended = stake + (stake * total // other if together == 2 else 0)  # each counts as its share of its set
        assert burned_of(chain, offender) == 50 * NEURO - NEURO + -(-stake * offended // total)


def test_votes_of_an_earlier_epoch_do_not_part_an_attacker_from_its_accomplices(chain):
    chain.end_epochs(SPAN)
    chain.block([a_report(chain, evidence=evidence_against(chain, ALICE, epoch=0))])
    chain.end_epoch()
    for accomplice in OTHERS[:2]:
        chain.block([a_report(chain, accomplice)])  # with votes of this epoch, more than an unbonding time later
    chain.end_epochs(2 * SPAN)
    assert owned(chain, ALICE, *OTHERS[:2]) == 0


def test_stake_that_still_waits_to_leave_pays_as_well_and_less_of_it_waits_then(chain):
    chain.block([a_report(chain)])
    draft = chain.state.fork()  # still bonded, as if the wallet had no exit free
    settle_tombs(draft, SPAN, chain.network.params)
    stake = stake_of(draft, ALICE.address)
    assert stake.bonded == stake.leaving == STAKE - BASE - lone_penalty(700)


def test_an_offence_is_forgotten_when_it_adds_to_nothing_any_more(chain):
    chain.block([a_report(chain)])
    assert staking(chain.state).tombs == (Tomb(ALICE.address, 0, 0, STAKE, 7 * STAKE, STAKE, False),)
    chain.end_epochs(SPAN + 1)
    assert [tomb.settled for tomb in staking(chain.state).tombs] == [True]
    chain.end_epochs(SPAN - 1)
    assert len(staking(chain.state).tombs) == 1
    chain.end_epoch()
    assert staking(chain.state).tombs == ()


def test_as_many_offences_are_remembered_as_a_set_has_members_and_not_one_more(chain):
    draft = chain.state.fork()
    others = tuple(Tomb(FOUNDER.address, 0, 0, 1, 10**12, 0, False) for _ in range(VALIDATORS_MAXIMUM - 1))
    draft.put(STAKING_KEY, replace(staking(draft), tombs=others))
    chain._keep_outside_of_blocks(draft)
    chain.quick_block(a_report(chain, OTHERS[0]))
    with pytest.raises(InvalidTransaction, match="1024 offences are remembered already"):
        chain.try_block(a_report(chain))


# ---- What answers for it


def test_stake_that_left_the_set_after_the_offence_is_called_back():
    chain = a_chain(*OTHERS)
    chain.seat(ALICE, amount=200 * NEURO)
    chain.fund(ALICE, NEURO)
    chain.block([an_unbond(chain, 100 * NEURO)])
    evidence = evidence_against(chain, ALICE)
    chain.end_epoch()
    assert chain.stake(ALICE).exits == (1 + SPAN,)
    chain.block([a_report(chain, evidence=evidence)])
    assert chain.receipts[-1].lost == 10 * NEURO
    stake = chain.stake(ALICE)
    assert (stake.bonded, stake.leaving, stake.exits) == (190 * NEURO, 190 * NEURO, ())
    assert chain.state.supply.unbonding == 0


def test_all_stake_that_left_after_the_offence_answers_for_it_even_if_none_is_bonded_any_more(chain):
    chain.fund(ALICE, NEURO)
    chain.block([an_unbond(chain, STAKE)])
    evidence = evidence_against(chain, ALICE)
    chain.end_epochs(SPAN)
    assert (chain.stake(ALICE).bonded, chain.stake(ALICE).exits) == (0, (1 + SPAN,))
    chain.block([a_report(chain, evidence=evidence)])
    assert chain.receipts[-1].lost == BASE


def test_stake_that_left_the_set_before_the_offence_does_not_answer_for_it():
    chain = a_chain(*OTHERS)
    chain.seat(ALICE, amount=200 * NEURO)
    chain.fund(ALICE, NEURO)
    chain.block([an_unbond(chain, 100 * NEURO)])
    chain.end_epoch()
    chain.block([a_report(chain, evidence=evidence_against(chain, ALICE, epoch=1))])
    assert chain.receipts[-1].lost == 5 * NEURO
    assert chain.stake(ALICE).exits == (1 + SPAN,)
    assert chain.state.supply.unbonding == 100 * NEURO
    chain.end_epochs(SPAN)
    chain.block([a_withdrawal(chain)])
    assert chain.balance(ALICE) > 100 * NEURO


def test_stake_is_free_only_when_votes_that_it_answers_for_are_no_evidence_any_more(chain):
    chain.fund(ALICE, NEURO)
    chain.block([an_unbond(chain, STAKE)])
    last_votes = evidence_against(chain, ALICE)
    for epoch in range(SPAN + 2):
        can_withdraw = can_accuse = True
        try:
            chain.try_block(a_withdrawal(chain))
        except InvalidTransaction:
            can_withdraw = False
        try:
            chain.try_block(a_report(chain, evidence=last_votes))
        except InvalidTransaction:
            can_accuse = False
        assert (can_accuse, can_withdraw) == (epoch <= SPAN, epoch > SPAN)
        chain.end_epoch()


def test_stake_bonded_after_the_offence_answers_for_it_as_well(chain):
    chain.fund(ALICE, STAKE)
    evidence = evidence_against(chain, ALICE)
    chain.block([a_bond(chain, 60 * NEURO)])
    chain.end_epoch()
    chain.block([a_report(chain, evidence=evidence)])
    assert chain.receipts[-1].lost == 8 * NEURO


# ---- In a block


def test_evidence_stands_before_everything_else_in_a_block(chain):
    chain.fund(ALICE, NEURO)
    report, others = a_report(chain), [a_transfer(chain, 1), an_unbond(chain, STAKE)]
    for other in others:
        with pytest.raises(InvalidBlock, match="evidence stands before all other transactions"):
            chain.try_block(other, report)
    chain.try_block(report, others[0])
    with pytest.raises(InvalidTransaction, match="0 that stay bonded"):
        chain.try_block(report, others[1])


def test_two_reports_may_lead_a_block_and_none_may_follow():
    chain = a_chain(ALICE, *OTHERS, block_gas_maximum=300_000)
    nonce = chain.state.account(BOB.address).nonce
    reports = [a_report(chain), a_report(chain, OTHERS[0], nonce=nonce + 1)]
    between = a_transfer(chain, 1, sender=BOB, nonce=nonce + 1)
    after = a_report(chain, OTHERS[0], nonce=nonce + 2)
    with pytest.raises(InvalidBlock, match="evidence stands before"):
        chain.try_block(reports[0], between, after)
    chain.try_block(*reports, a_transfer(chain, 1, sender=BOB, nonce=nonce + 2))


def test_an_offender_cannot_withdraw_in_the_block_that_accuses_it():
    chain = a_chain(*OTHERS)
    chain.seat(ALICE, amount=200 * NEURO)
    chain.fund(ALICE, NEURO)
    chain.block([an_unbond(chain, 100 * NEURO)])
    chain.end_epochs(SPAN + 1)
    report, withdrawal = a_report(chain), a_withdrawal(chain)
    with pytest.raises(InvalidBlock, match="evidence stands before"):
        chain.try_block(withdrawal, report)
    chain.block([report, withdrawal])
    assert chain.balance(ALICE) > 100 * NEURO  # what had left before the offence
    assert chain.stake(ALICE).bonded == STAKE - BASE


# ---- Getting around it


def test_an_offence_is_punished_once(chain):
    evidence = evidence_against(chain, ALICE)
    chain.block([a_report(chain, evidence=evidence)])
    again = [
        evidence,
        evidence_against(chain, ALICE, view=2),
        report_of(chain, *votes_of(chain, (FINALIZE, ONE), (NULLIFY, ZERO))).action,
    ]
    for each in again:
        with pytest.raises(InvalidTransaction, match="is banned already"):
            chain.try_block(a_report(chain, evidence=each))
    with pytest.raises(InvalidTransaction, match="smaller encoding comes first"):
        chain.try_block(a_report(chain, evidence=Evidence(evidence.second, evidence.first)))


def test_an_offence_is_punished_once_in_a_block_too():
    chain = a_chain(ALICE, *OTHERS, block_gas_maximum=300_000)
    with pytest.raises(InvalidTransaction, match="is banned already"):
        chain.try_block(a_report(chain), a_report(chain, nonce=1))


def test_nobody_reports_himself(chain):
    chain.fund(ALICE, NEURO)
    with pytest.raises(InvalidTransaction, match="nobody reports himself"):
        chain.try_block(a_report(chain, ALICE, reporter=ALICE))
    chain.fund(FOUNDER, NEURO)
    with pytest.raises(InvalidTransaction, match="nobody reports himself"):
        chain.try_block(a_report(chain, secret_of(chain.network.validators[0].public_key), reporter=FOUNDER))


@pytest.mark.parametrize("stake", [1, 2, 31, 32, 33, 640, 641, STAKE, 10_000 * NEURO])
@pytest.mark.parametrize("basis_points", [1, 500, 10_000])
def test_reporting_oneself_from_a_second_wallet_never_gains(stake, basis_points):
    chain = a_chain(*OTHERS, stake_minimum_nanos=1, equivocation_basis_points=basis_points)
    chain.seat(ALICE, amount=stake)
    before = owned(chain, ALICE, BOB)
    report = a_report(chain)
    chain.quick_block(report)
    fee = 10 * transaction_gas(report)
    lost = before - fee - owned(chain, ALICE, BOB)
    assert lost >= 1
    assert 32 * lost >= 31 * chain.receipts[-1].lost


# ---- Bootstrap validators


def founders_of(chain):
    return [secret_of(validator.public_key) for validator in chain.network.validators]


def test_a_bootstrap_validator_that_votes_twice_is_banned_and_has_nothing_to_lose():
    chain = a_chain(founders=4)
    founder = founders_of(chain)[0]
    evidence = evidence_against(chain, founder)
    chain.block([a_report(chain, evidence=evidence)])
    key = bls.public_key(founder)
    assert chain.receipts[-1] == Tombstoned(key, 0, BOB.address, 0)
    assert chain.state.supply.bonded == 0
    with pytest.raises(InvalidTransaction, match="is banned already"):
        chain.try_block(a_report(chain, evidence=evidence))
    for _ in range(2 * SPAN + 1):
        chain.end_epoch()
        assert len(chain.members) == 3
        assert key not in [member.public_key for member in chain.members]
    assert staking(chain.state).tombs == ()


def test_a_banned_bootstrap_key_is_never_bonded():
    chain = a_chain(founders=4)
    founder = founders_of(chain)[0]
    key = bls.public_key(founder)
    chain.fund(ALICE, 2 * STAKE)
    chain.block([a_report(chain, founder)])
    consent = bls.sign(founder, bond_consent(chain.network.chain_id, key, ALICE.address))
    with pytest.raises(InvalidTransaction, match="another wallet's, or banned"):
        chain.try_block(a_transaction(chain, Bond(STAKE, key, consent)))


def test_the_payout_wallet_of_a_banned_bootstrap_validator_keeps_its_own_stake():
    chain = a_chain(FOUNDER, *OTHERS, founders=4)
    before = chain.stake(FOUNDER)
    chain.block([a_report(chain, founders_of(chain)[0])])
    chain.end_epochs(2 * SPAN)
    assert chain.stake(FOUNDER) == before
    assert burned_of(chain, FOUNDER) == 0


def test_phantom_power_that_votes_twice_adds_to_the_penalty_of_the_others(chain):
    chain.block([a_report(chain)])
    chain.block([a_report(chain, founders_of(chain)[0])])
    chain.end_epochs(2 * SPAN)
    assert owned(chain, ALICE) == STAKE - BASE - (3 * 200 * STAKE + 699) // 700


def test_a_lone_bootstrap_validator_keeps_its_place_because_somebody_must_vote():
    chain = a_chain()
    (founder,) = founders_of(chain)
    chain.block([a_report(chain, founder)])
    chain.end_epochs(2)
    assert [member.public_key for member in chain.members] == [bls.public_key(founder)]
    chain.block()


def test_a_chain_of_stake_goes_on_when_all_its_validators_are_banned():
    chain = a_chain(ALICE, block_gas_maximum=300_000)
    draft = chain.state.fork()
    draft.put(STAKING_KEY, replace(staking(draft), phantom=0, latched=True))
    chain._keep_outside_of_blocks(draft)
    chain.end_epoch()
    assert [member.public_key for member in chain.members] == [voting_key(ALICE)]
    chain.block([a_report(chain)])
    chain.end_epochs(2 * SPAN + 1)
    chain.block()
    assert [member.public_key for member in chain.members] == [voting_key(ALICE)]
    stake = chain.stake(ALICE)
    assert (stake.bonded, stake.leaving, stake.power) == (0, 0, 0)  # its penalty was everything


def test_power_never_exceeds_the_stake_behind_it(chain):
    chain.block([a_report(chain)])
    stake = chain.stake(ALICE)
    assert stake.power == stake.bonded == STAKE - BASE
