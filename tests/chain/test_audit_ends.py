"""What the end of an audit costs and earns: the node, its auditors, and nobody else."""

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chain.audit_messages import CLEAN, FRAUD, HERE, MISMATCH, MISSING, PASS, UNSERVED
from chain.audit_records import add_misses, audit_dues, count_suspended, held_rounds, misses_of
from chain.awaited import open_awaited
from chain.block import Validator
from chain.genesis import audit_lifetime
from chain.money import BondedStake, UnbondingStake, mint, move
from chain.payouts import settle_epoch
from chain.receipts import AuditFault, AuditPaid, Forfeited, FraudRewarded, Released
from chain.seats import has_seat
from chain.stakes import Stake, stake_key, stake_of
from chain.state import (
    AUDITING,
    AUDITS_KEY,
    OPENING,
    PASSED,
    PROVEN,
    SHOWING,
    WITHHELD,
    AuditName,
    AuditQueue,
    Round,
    State,
    ValidatorSet,
    audit_key,
    claim_key,
    round_key,
    set_key,
)
from tests.builders import ALICE, NODE, OTHER_NODE, Key, a_key
from tests.chain.audits_alone import STAKE, VESTING, Audits, wallet_of


def proven(**params) -> Audits:
    audits = Audits(vest_rounds=2, **params)
    mint(audits.state, BondedStake(ALICE.address), 1_000 * STAKE)
    audits.dispute()
    audits.all_vote(FRAUD)
    assert audits.audit().phase == PROVEN
    return audits


def wallets_at(audits: Audits, finding: int) -> list[Key]:
    return [wallet_of(audits.secret_at(each.validator)) for each in audits.audit().auditors if each.finding == finding]


def test_proven_fraud_costs_all_vesting_and_a_share_of_the_stake():
    audits = proven()
    assert audits.state.supply.vesting == 0
    assert stake_of(audits.state, ALICE.address).bonded == 900 * STAKE
    assert audits.record().audited_rounds == 0
    assert next((each.round, each.amount) for each in audits.told(Forfeited)) == (1, VESTING)


def test_who_found_a_fraud_gets_a_capped_part_of_what_it_cost_and_the_rest_is_burned():
    audits = proven()
    lost = VESTING + 100 * STAKE
    reward = min(lost // 32, audits.params.reporter_maximum_nanos) // 2
    finders = wallets_at(audits, MISMATCH)
    assert [audits.state.account(each.address).balance for each in finders] == [reward, reward]
    assert [each.amount for each in audits.told(FraudRewarded)] == [reward, reward]
    assert audits.state.supply.burned == lost - 2 * reward


def test_stake_that_left_after_the_round_answers_for_a_fraud_too():
    audits = Audits(unbonding_epochs=3)
    mint(audits.state, BondedStake(ALICE.address), 20)
    audits.state.put(stake_key(ALICE.address), Stake(bonded=20, exits=(3, 4)))
    for ready in (3, 4):
        move(audits.state, BondedStake(ALICE.address), UnbondingStake(ALICE.address, ready), 10)
    audits.dispute()
    audits.all_vote(FRAUD)
    # Ready in epoch 3 left the set with epoch 0, in which the round was attested; the other one was in it then.
    stake = stake_of(audits.state, ALICE.address)
    assert stake.exits == (3, 4)
    assert audits.state.supply.unbonding == 20 - 1


def test_a_convict_has_no_seat_and_no_round_waits_for_it_until_its_time_is_over():
    audits = proven(suspension_rounds=2)
    until = audits.record().suspended_round
    assert until == audits.state.ledger.round + 2
    current = audits.state.round(audits.state.ledger.round)
    assert current is not None
    assert not has_seat(audits.state, replace(current, number=until), NODE.node, audits.params)
    assert has_seat(audits.state, replace(current, number=until + 1), NODE.node, audits.params)
    assert current.awaited.nodes == 0
    assert open_awaited(audits.state, current, audits.params).nodes == 0
    assert audits.state.ledger.work == 0
    assert count_suspended(audits.state, until) == 1
    assert count_suspended(audits.state, until + 1) == 0


def test_withholding_costs_all_vesting_but_neither_stake_nor_seat():
    audits = Audits()
    mint(audits.state, BondedStake(ALICE.address), 1_000 * STAKE)
    audits.block()
    audits.blocks(audits.params.opening_blocks)
    assert audits.audit().phase == WITHHELD
    assert audits.state.supply.vesting == 0
    assert stake_of(audits.state, ALICE.address).bonded == 1_000 * STAKE
    assert audits.record().suspended_round == 0


def test_a_node_that_owes_an_opening_has_no_seat_until_it_has_shown():
    audits = Audits()
    audits.block()
    current = audits.state.round(audits.state.ledger.round)
    assert current is not None
    assert not has_seat(audits.state, current, NODE.node, audits.params)
    audits.take(audits.opening())
    assert has_seat(audits.state, current, NODE.node, audits.params)


def test_a_node_that_owes_the_secret_of_its_plants_has_no_seat_until_it_has_shown():
    for promised in (True, False):
        audits = Audits(plant=promised)
        audits.open()
        current = audits.state.round(audits.state.ledger.round)
        assert current is not None
        assert has_seat(audits.state, current, NODE.node, audits.params)
        audits.block(audits.commit(audits.assigned()[0].validator))
        assert audits.audit().phase == SHOWING
        assert has_seat(audits.state, current, NODE.node, audits.params) != promised
        if promised:
            audits.take(audits.plant_reveal())
        assert has_seat(audits.state, current, NODE.node, audits.params)


def test_a_forfeited_claim_is_not_audited_and_pays_nothing():
    audits = Audits(NODE, OTHER_NODE)
    key = b"c" + (1).to_bytes(8, "big") + NODE.node
    audits.state.put(key, replace(audits.a_claim(NODE), forfeited=True))
    audits.state.update_ledger(settled_round=0)
    audits.block()
    assert audits.state.audit(1, NODE.node) is None
    before = audits.state.supply.minted
    settle_epoch(audits.state, 0, 10**9, audits.params)
    assert audits.state.supply.minted - before == 8 * audits.params.rate_batch_nanos


def test_verdicts_are_paid_at_the_epochs_end_within_the_share_of_training():
    audits = Audits()
    audits.state.update_ledger(settled_round=0)
    audits.open()
    audits.find(PASS)
    (wallet,) = wallets_at(audits, PASS)
    assert [(due.wallet, due.batches) for due in audit_dues(audits.state)] == [(wallet.address, 2)]
    receipts = settle_epoch(audits.state, 0, 10**9, audits.params)
    # Two batches are 1,000,000 nanos; a tenth of the training of 8 batches is 400,000.
    assert [each.amount for each in receipts if isinstance(each, AuditPaid)] == [400_000]
    assert audits.state.account(wallet.address).balance == 400_000
    assert audit_dues(audits.state) == ()


def test_a_verdict_that_was_a_fault_is_not_paid_and_leads_to_jail():
    audits = Audits(plant=True, plant_basis_points=10_000)
    audits.open()
    audits.find(PASS)
    audits.find(PASS)
    lazy, diligent = wallets_at(audits, PASS)
    assert [due.wallet for due in audit_dues(audits.state)] == [diligent.address]
    place = audits.audit().auditors[0].validator
    key = audits.state.validators(0).members[place].public_key
    assert misses_of(audits.state, key) == audits.params.audit_misses
    assert stake_of(audits.state, lazy.address).bonded == STAKE - STAKE * 200 // 10_000


def test_the_word_that_nothing_is_served_is_paid_only_if_it_turned_out_so():
    for answer, paid in ((MISSING, 1), (HERE, 0)):
        audits = Audits(audit_attempts=1)
        audits.open()
        audits.find(UNSERVED)
        audits.all_vote(answer)
        assert len(audit_dues(audits.state)) == paid


def test_a_verdict_resets_the_misses_unless_they_are_enough_for_jail():
    for missed, left in ((2, 0), (3, 3)):
        audits = Audits()
        audits.open()
        place = audits.assigned()[0].validator
        key = audits.state.validators(0).members[place].public_key
        add_misses(audits.state, key, missed)
        audits.find(PASS)
        assert misses_of(audits.state, key) == left


def test_who_passed_a_proven_fraud_pays_and_who_accused_the_innocent_pays():
    for answer, end, wrong in ((FRAUD, PROVEN, PASS), (CLEAN, PASSED, MISMATCH)):
        audits = Audits()
        audits.open()
        audits.find(MISMATCH)
        audits.find(PASS)
        audits.all_vote(answer)
        assert audits.audit().phase == end
        (loser,) = wallets_at(audits, wrong)
        assert stake_of(audits.state, loser.address).bonded == STAKE - STAKE * 200 // 10_000
        assert len(audits.told(AuditFault)) == 1


def test_a_round_with_an_open_audit_pays_no_reward_of_its_node_however_many_rounds_end():
    audits = Audits(vest_rounds=0, opening_blocks=50)
    audits.block()
    audits.blocks(40)
    assert audits.state.ledger.ended_round > 2
    assert not audits.told(Released)
    audits.take(audits.opening())
    audits.find(PASS)
    assert [each.amount for each in audits.told(Released)] == [VESTING]


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=40),
    st.booleans(),
    st.integers(0, 100),
)
def test_whatever_anybody_says_nothing_is_made_of_nothing_and_the_audit_ends(said, plant, mix):
    audits = Audits(plant=plant, plant_basis_points=5_000, mix=str(mix), audit_second_basis_points=3_000)
    audits.block()
    begin = audits.height
    for kind, place, number in said:
        audit = audits.audit() if audits.state.audit(1, NODE.node) else None
        if audit is None or not audit.is_open:
            break
        if kind == 0:
            audits.blocks(number)
        elif kind == 1:
            audits.refuses(audits.opening())
        elif kind == 2:
            audits.refuses(audits.plant_reveal())
        elif kind == 3:
            audits.refuses(audits.vote(place, number))
        elif audit.phase in (OPENING, AUDITING):
            audits.refuses(audits.commit(place, 1 + number % 3))
        elif audit.phase == SHOWING:
            for finding in (PASS, MISMATCH, UNSERVED):
                audits.refuses(audits.verdict(place, finding))
    while audits.state.open_audits:
        audits.block()
    assert audits.height - begin <= audit_lifetime(audits.params)


def test_a_founder_without_stake_loses_nothing_but_its_faults_are_counted():
    audits = Audits(plant=True, plant_basis_points=10_000)
    founder = Validator(audits.network.validators[0].public_key, STAKE)
    founder, other = replace(founder, power=2**40 * STAKE), audits.state.validators(0).members[0]
    members = sorted((founder, other), key=lambda member: member.public_key)
    audits.state.put(set_key(0), ValidatorSet(tuple(members)))
    audits.secrets[founder.public_key] = 1
    audits.open()
    audits.find(PASS)
    audits.find(PASS)  # who knows the secret
    assert [each.lost for each in audits.told(AuditFault)] == [0]
    assert misses_of(audits.state, founder.public_key) == audits.params.audit_misses


def test_a_node_that_promises_a_plant_and_reads_the_public_data_cannot_have_an_honest_auditor_fined():
    audits = Audits(plant=True, plant_basis_points=10_000)
    audits.open()
    audits.find(PASS)  # It replayed the public order, and the node had trained on that.
    audits.find(MISMATCH)  # Who knows the secret finds that the node has not kept its promise.
    audits.find(MISMATCH)
    audits.all_vote(FRAUD)
    assert audits.audit().phase == PROVEN
    assert audits.told(AuditFault) == []


def test_the_queue_is_written_once_in_a_block_however_many_audits_end_in_it(monkeypatch):
    keys = tuple(a_key(f"audited {place}") for place in range(6))
    audits = Audits(*keys, opening_blocks=5)
    audits.block()
    audits.blocks(4)
    audits.take(audits.opening(keys[2]))
    writes, put = [], State.put
    monkeypatch.setattr(State, "put", lambda state, key, record: (writes.append(key), put(state, key, record))[1])
    audits.block(release=False)
    assert [audits.audit(key).phase == WITHHELD for key in keys] == [key != keys[2] for key in keys]
    assert writes.count(AUDITS_KEY) == 1
    assert audits.state.open_audits == (AuditName(1, keys[2].node),)


def test_what_two_audits_of_a_node_held_back_is_released_when_the_second_ends_in_the_same_block():
    audits = Audits(vest_rounds=0, opening_blocks=3)
    audits.block()
    again = audits.audit()
    audits.state.put(claim_key(2, NODE.node), audits.a_claim(NODE, 2))
    audits.state.put(round_key(2), replace(audits.state.need(Round, round_key(1)), number=2))
    audits.state.put(audit_key(2, NODE.node), again)
    audits.state.put(AUDITS_KEY, AuditQueue((*audits.state.open_audits, AuditName(2, NODE.node))))
    assert held_rounds(audits.state, NODE.node) == (1,)
    audits.blocks(audits.params.opening_blocks)
    assert audits.state.open_audits == () and audits.state.get(AUDITS_KEY) is None
    assert held_rounds(audits.state, NODE.node) == ()
    assert audits.state.round(1) is None and audits.state.audit(1, NODE.node) is None
