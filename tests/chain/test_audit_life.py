"""The life of an audit: what each phase waits for, how it goes on, and that it ends."""

import pytest

from chain.audit_messages import CLEAN, FRAUD, HERE, MISMATCH, MISSING, PASS, UNSERVED, StateParts
from chain.crypto.hashing import ZERO
from chain.genesis import audit_lifetime
from chain.receipts import AuditDrawn, AuditEnded, AuditFault, AuditMissed, Forfeited, Released
from chain.stakes import ValidatorKey, validator_key
from chain.state import (
    ACQUITTED,
    AUDITING,
    CHALLENGED,
    DISPUTED,
    OPENING,
    PASSED,
    PROVEN,
    SHOWING,
    UNCHECKED,
    WITHHELD,
    AuditName,
)
from tests.builders import ALICE, NODE, OTHER_NODE, named
from tests.chain.audits_alone import SECRET, STAKE, VESTING, Audits, wallet_of


def test_a_block_after_the_round_has_ended_draws_and_not_before():
    audits = Audits()
    assert audits.state.audit(1, NODE.node) is None
    audits.block()
    audit = audits.audit()
    assert (audit.phase, audit.attempt, audit.drawn_height) == (OPENING, 1, audits.height)
    assert audits.state.open_audits == (AuditName(1, NODE.node),)
    assert [each.auditors for each in audits.told(AuditDrawn)] == [(audit.auditors[0].validator,)]
    audits.block()
    assert len(audits.told(AuditDrawn)) == 1


def test_an_audit_that_finds_nothing_passes():
    audits = Audits()
    audits.open()
    assert audits.audit().phase == AUDITING
    audits.find(PASS)
    assert audits.audit().phase == PASSED
    assert audits.record().audited_rounds == 1
    assert audits.state.open_audits == ()
    assert audits.told(AuditEnded) == [AuditEnded(1, NODE.node, PASSED, 1)]


def test_a_node_that_has_not_opened_at_the_deadline_has_withheld():
    audits = Audits(opening_blocks=5)
    audits.block()
    audits.blocks(4)
    assert audits.audit().phase == OPENING
    audits.block(release=False)
    assert audits.audit().phase == WITHHELD
    assert [(each.round, each.amount) for each in audits.told(Forfeited)] == [(1, VESTING)]
    assert audits.state.supply.vesting == 0


def test_an_opening_in_the_last_block_before_the_deadline_is_in_time():
    audits = Audits(opening_blocks=5)
    audits.block()
    audits.blocks(4)
    audits.take(audits.opening())
    assert audits.audit().phase == AUDITING


def test_an_opening_shows_the_states_of_the_drawn_segment_and_is_signed_by_the_node():
    audits = Audits()
    audits.block()
    good = audits.opening()
    other = StateParts(named("x"), named("y"), named("z"))
    assert audits.refuses(audits.opening(before=other))
    assert audits.refuses(audits.opening(after=other))
    assert audits.refuses(audits.opening(before=good.after, after=good.before))
    assert audits.refuses(audits.opening(signer=OTHER_NODE))
    assert not audits.refuses(good)
    assert audits.refuses(good)


def test_an_auditor_that_is_silent_misses_and_another_is_drawn_who_was_not_before():
    audits = Audits()
    audits.open()
    seen = [audits.assigned()[0].validator]
    for attempt in (2, 3):
        audits.blocks(audits.params.audit_blocks)
        assert audits.audit().attempt == attempt and audits.assigned() == []
        audits.block()
        seen.append(audits.assigned()[0].validator)
    assert len(set(seen)) == 3
    assert [each.misses for each in audits.told(AuditMissed)] == [1, 1]
    audits.blocks(audits.params.audit_blocks - 1)
    audits.block(release=False)
    assert audits.audit().phase == UNCHECKED
    assert audits.record().audited_rounds == 0


def test_a_later_attempt_is_drawn_by_the_block_after_the_one_that_ended_the_last():
    drawn = set()
    for mix in range(12):
        audits = Audits()
        audits.open()
        first = audits.assigned()[0].validator
        audits.find(MISMATCH)
        assert (audits.audit().attempt, audits.audit().deadline_height) == (2, audits.height + 1)
        assert all(audits.refuses(audits.commit(place)) for place in range(6))
        audits.mix = f"another mix {mix}"
        audits.block()
        (second,) = audits.assigned()
        assert audits.audit().deadline_height == audits.height + audits.params.audit_blocks
        assert audits.told(AuditDrawn)[-1].auditors == (second.validator,)
        drawn.add(second.validator)
    assert len(drawn) > 1 and first not in drawn


def test_if_nobody_is_eligible_any_more_when_the_next_attempt_is_drawn_no_accusation_is_dropped():
    for finding, phase in ((MISMATCH, DISPUTED), (None, UNCHECKED)):
        audits = Audits(powers=(STAKE, STAKE))
        audits.open()
        first = audits.assigned()[0].validator
        if finding:
            audits.find(finding)
        else:
            audits.blocks(audits.params.audit_blocks)
        assert (audits.audit().phase, audits.assigned()) == (AUDITING, [])
        other = audits.state.validators(0).members[1 - first].public_key
        audits.state.put(validator_key(other), ValidatorKey(wallet_of(audits.secrets[other]).address, True))
        audits.block()
        assert audits.audit().phase == phase


def test_a_verdict_that_is_not_shown_is_a_miss():
    audits = Audits()
    audits.open()
    place = audits.assigned()[0].validator
    audits.block(audits.commit(place))
    assert audits.audit().phase == SHOWING
    audits.blocks(audits.params.showing_blocks)
    assert (audits.audit().phase, audits.audit().attempt) == (AUDITING, 2)
    assert len(audits.told(AuditMissed)) == 1


def test_who_is_no_auditor_of_this_attempt_has_no_verdict():
    audits = Audits()
    audits.open()
    first = audits.assigned()[0].validator
    others = [place for place in range(6) if place != first]
    assert all(audits.refuses(audits.commit(place)) for place in others)
    late = audits.commit(first, MISMATCH)
    audits.blocks(audits.params.audit_blocks)
    assert audits.refuses(late)


def test_a_verdict_is_bound_by_its_commitment_and_by_the_signature():
    audits = Audits()
    audits.open()
    place = audits.assigned()[0].validator
    other = next(each for each in range(6) if each != place)
    assert audits.refuses(audits.by(audits.commit(place), other))
    audits.take(audits.commit(place))
    assert audits.refuses(audits.commit(place, MISMATCH))
    assert audits.refuses(audits.verdict(place, MISMATCH))
    assert audits.refuses(audits.by(audits.verdict(place), other))
    audits.take(audits.verdict(place))
    assert audits.audit().phase == PASSED
    assert audits.refuses(audits.verdict(place))


@pytest.mark.parametrize(("finding", "inner"), [(PASS, 1), (MISMATCH, 3), (PASS, 0), (UNSERVED, 1), (0, 2), (4, 2)])
def test_a_verdict_names_every_inner_state_or_none_and_is_a_finding(finding, inner):
    audits = Audits()
    audits.open()
    place = audits.assigned()[0].validator
    names = tuple(named(str(step)) for step in range(inner))
    audits.take(audits.commit(place, finding, inner=names))
    assert audits.refuses(audits.verdict(place, finding, inner=names))


def test_two_that_find_a_mismatch_on_the_true_data_put_it_to_all_validators():
    audits = Audits()
    audits.open()
    audits.find(MISMATCH)
    assert (audits.audit().phase, audits.audit().attempt) == (AUDITING, 2)
    audits.find(MISMATCH)
    assert audits.audit().phase == DISPUTED
    audits.all_vote(FRAUD, 4)
    assert audits.audit().phase == DISPUTED
    audits.take(audits.vote(4, FRAUD))
    assert audits.audit().phase == PROVEN


def test_findings_that_disagree_put_it_to_all_validators_and_the_loser_pays():
    audits = Audits()
    audits.open()
    audits.find(MISMATCH)
    audits.find(PASS)
    assert audits.audit().phase == DISPUTED
    audits.all_vote(CLEAN)
    assert audits.audit().phase == PASSED
    (fault,) = audits.told(AuditFault)
    assert fault.lost == STAKE * 200 // 10_000
    assert audits.record().audited_rounds == 1


def test_a_dispute_without_a_majority_costs_nobody_anything_but_the_history():
    audits = Audits()
    audits.dispute()
    audits.all_vote(FRAUD, 4)
    for place in (4, 5):
        audits.take(audits.vote(place, CLEAN))
    audits.blocks(audits.params.dispute_blocks)
    assert audits.audit().phase == ACQUITTED
    assert not audits.told(AuditFault) + audits.told(Forfeited)


def test_a_single_accusation_with_nobody_left_to_look_is_put_to_all_validators():
    audits = Audits(powers=(STAKE,))
    audits.open()
    audits.find(MISMATCH)
    assert audits.audit().phase == DISPUTED


def test_one_attempt_more_than_usual_confirms_a_single_accusation():
    audits = Audits(audit_attempts=1)
    audits.open()
    audits.find(MISMATCH)
    assert (audits.audit().phase, audits.audit().attempt) == (AUDITING, 2)
    audits.blocks(1 + audits.params.audit_blocks)
    assert audits.audit().phase == DISPUTED


@pytest.mark.parametrize(("answer", "phase"), [(MISSING, WITHHELD), (HERE, AUDITING)])
def test_whether_a_segment_is_served_is_for_all_validators_to_say(answer, phase):
    audits = Audits()
    audits.open()
    audits.find(UNSERVED)
    assert audits.audit().phase == CHALLENGED
    assert audits.refuses(audits.vote(0, FRAUD))
    audits.all_vote(answer, 4)
    assert audits.audit().phase == CHALLENGED
    assert audits.refuses(audits.vote(0, MISSING))
    assert audits.refuses(audits.vote(5, answer, attempt=2))
    audits.take(audits.vote(4, answer))
    assert audits.audit().phase == phase


def test_an_accused_node_that_serves_nobody_else_is_still_judged():
    audits = Audits(audit_attempts=1)
    audits.open()
    audits.find(MISMATCH)
    audits.find(UNSERVED)
    assert audits.audit().phase == CHALLENGED
    audits.blocks(audits.params.challenge_blocks)
    assert audits.audit().phase == DISPUTED


# ---- Plants


def test_a_secret_that_is_not_shown_is_withheld():
    audits = Audits(plant=True)
    audits.open()
    place = audits.assigned()[0].validator
    audits.block(audits.commit(place))
    audits.take(audits.verdict(place))
    audits.blocks(audits.params.showing_blocks + audits.params.opening_blocks - 1)
    assert audits.audit().phase == SHOWING
    audits.block()
    assert audits.audit().phase == WITHHELD


def test_a_secret_is_the_promised_one_and_shown_once_by_its_node_and_not_too_early():
    audits = Audits(plant=True)
    audits.open()
    assert audits.refuses(audits.plant_reveal())
    place = audits.assigned()[0].validator
    audits.block(audits.commit(place))
    assert audits.refuses(audits.plant_reveal(secret=named("other")))
    assert audits.refuses(audits.plant_reveal(secret=ZERO))
    assert audits.refuses(audits.plant_reveal(signer=OTHER_NODE))
    audits.take(audits.plant_reveal())
    assert audits.refuses(audits.plant_reveal())
    assert audits.audit().secret == SECRET


def test_who_passes_a_planted_segment_has_not_looked_and_pays_for_it():
    audits = Audits(plant=True, plant_basis_points=10_000)
    audits.open()
    audits.find(PASS)
    assert (audits.audit().phase, audits.audit().attempt) == (AUDITING, 2)
    audits.find(PASS)
    assert audits.audit().phase == PASSED
    (fault,) = audits.told(AuditFault)
    assert fault.lost == STAKE * 200 // 10_000


def test_who_finds_a_mismatch_on_a_planted_segment_has_looked_and_nobody_is_accused():
    audits = Audits(plant=True, plant_basis_points=10_000)
    audits.open()
    audits.find(MISMATCH)
    audits.find(PASS)
    assert audits.audit().phase == PASSED
    assert not audits.told(AuditFault)


def test_the_first_attempt_with_a_commitment_is_the_one_that_does_not_know_the_plants():
    audits = Audits(plant=True, plant_basis_points=10_000)
    audits.open()
    audits.blocks(audits.params.audit_blocks)
    assert audits.audit().attempt == 2
    audits.find(MISMATCH)
    assert (audits.audit().phase, audits.audit().attempt) == (AUDITING, 3)
    audits.find(PASS)
    assert audits.audit().phase == PASSED


# ---- Nobody to look, and time


@pytest.mark.parametrize("is_own", [True, False])
def test_a_node_without_an_auditor_of_another_wallet_is_unchecked_at_once(is_own):
    audits = Audits(powers=(STAKE,))
    if is_own:
        key = audits.state.validators(0).members[0].public_key
        audits.state.put(validator_key(key), ValidatorKey(ALICE.address, False))
    audits.block()
    assert audits.audit().phase == (UNCHECKED if is_own else OPENING)
    assert bool(audits.state.open_audits) == (not is_own)


def test_rewards_of_an_audited_node_wait_and_those_of_others_do_not():
    audits = Audits(NODE, OTHER_NODE, vest_rounds=0, opening_blocks=10)
    audits.block()
    assert audits.state.ledger.released_round >= 1
    audits.take(audits.opening(OTHER_NODE))
    audits.find(PASS, key=OTHER_NODE)
    assert [each.node for each in audits.told(Released)] == [OTHER_NODE.node]
    assert audits.state.round(1) is not None
    audits.take(audits.opening())
    audits.find(PASS)
    assert [each.node for each in audits.told(Released)] == [OTHER_NODE.node, NODE.node]
    assert audits.state.round(1) is None
    assert audits.state.audit(1, NODE.node) is None


@pytest.mark.parametrize("serve", range(6))
def test_every_audit_ends_within_the_sum_of_its_deadlines(serve):
    audits = Audits(plant=True, plant_basis_points=5_000, mix=f"mix {serve}")
    audits.block()
    begin, lifetime = audits.height, audit_lifetime(audits.params)
    finding = UNSERVED if serve > 2 else MISMATCH
    while audits.state.open_audits:
        audit = audits.audit()
        left = audit.deadline_height - audits.height
        if audit.phase == AUDITING and not audits.assigned():
            left += audits.params.audit_blocks  # after the draw
        audits.blocks(
            left - 1 + (audits.params.opening_blocks if audit.phase == SHOWING and audit.secret == ZERO else 0)
        )
        if audit.phase == OPENING:
            audits.take(audits.opening())
        elif audit.phase == AUDITING and serve % 2:
            audits.take(
                *(audits.commit(each.validator, UNSERVED if serve > 2 else MISMATCH) for each in audits.assigned())
            )
        elif audit.phase == SHOWING:
            audits.take(*(audits.verdict(each.validator, finding) for each in audits.assigned()))
            if audit.secret == ZERO:
                audits.take(audits.plant_reveal())
        else:
            audits.block()
    assert audits.height - begin <= lifetime
