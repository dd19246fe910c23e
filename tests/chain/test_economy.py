"""The whole economy at once: whatever people do, in any order, no nano appears without work and none gets lost.

What holds after every block is checked by `Economy.keep`; here stands what is done.
"""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from chain.money import AMOUNT_MAXIMUM, NEURO
from chain.receipts import (
    RECEIPTS,
    AuditDrawn,
    AuditEnded,
    AuditFault,
    AuditMissed,
    AuditPaid,
    AutoBonded,
    Burned,
    Forfeited,
    FraudRewarded,
    Jailed,
    Released,
    RoundClosed,
    ServicePaid,
    StakeLeft,
    Tombstoned,
)
from chain.transactions import ACTIONS, ServicePayment, Transfer, Unjail, Withdraw
from tests.builders import named, voting_key
from tests.chain.economy import COLLUDERS, DAVE, DAVES_NODE, MINIMUM, NETWORK, NODES, Economy

ALICE, BOB, CAROL, ERIN, FRANK = COLLUDERS
OF_AUDITS = {AuditDrawn, AuditEnded, AuditMissed, AuditFault, AuditPaid, Forfeited, FraudRewarded}
EPOCH = NETWORK.params.epoch_blocks
SPAN = NETWORK.params.unbonding_epochs


def place_of(economy: Economy, at: int, key) -> int:
    return [member.public_key for member in economy.sets[at].members].index(voting_key(key))


def to_next_epoch(economy: Economy, epochs: int = 1) -> None:
    economy.pass_time(epochs * EPOCH - economy.chain.height % EPOCH)


def an_economy(*validators) -> Economy:
    """Everybody has one NEURO; the validators named are in the set with the minimum; phantom power is gone."""
    economy = Economy()
    for key in (*COLLUDERS, DAVE):
        economy.fund(key, NEURO)
    for key in validators:
        assert economy.bond(key, MINIMUM)
    economy.pass_time(8 * EPOCH)
    return economy


def test_one_life_with_every_kind_of_transaction_and_receipt():
    economy = an_economy(ALICE, BOB, CAROL, ERIN, DAVE)
    assert len(economy.sets[economy.chain.epoch].members) == 5

    # Payments.
    assert economy.send(ALICE, Transfer(BOB.address, 5), tip=3)
    assert economy.send(BOB, ServicePayment(CAROL.address, 1_001, named("answer")))
    assert economy.pay_many(CAROL, [(ALICE, 1), (CAROL, 2), (ALICE, 3)])

    # Frank earns, and his node bonds it for him.
    assert economy.register(FRANK, NODES[0], True) and economy.register(DAVE, DAVES_NODE, False)
    while not economy.seen[AutoBonded]:
        economy.work(NODES[0])
        economy.work(DAVES_NODE)
        economy.pass_time(1)
    assert 0 < economy.naive.bonded[FRANK.address] < MINIMUM
    assert not economy.unbond(FRANK, MINIMUM)
    assert economy.unbond(FRANK, 1)
    assert not economy.retire(ALICE, NODES[0])
    assert economy.retire(FRANK, NODES[0])
    assert not economy.retire(FRANK, NODES[0]) and not economy.register(FRANK, NODES[0], True)

    # Erin is silent for an epoch and goes to jail.
    to_next_epoch(economy)
    economy.silent.add(voting_key(ERIN))
    to_next_epoch(economy)
    economy.silent.clear()
    assert economy.seen[Jailed] == 1
    assert not economy.send(ERIN, Unjail())
    to_next_epoch(economy)
    assert economy.send(ERIN, Unjail()) and not economy.send(ERIN, Unjail())
    to_next_epoch(economy)

    # Bob leaves, and gets his stake when the unbonding time is over.
    assert economy.unbond(BOB, MINIMUM) and not economy.unbond(BOB, 1)
    to_next_epoch(economy)
    assert economy.seen[StakeLeft] == 1
    to_next_epoch(economy, SPAN - 1)
    assert not economy.send(BOB, Withdraw())
    to_next_epoch(economy)
    assert economy.send(BOB, Withdraw()) and not economy.send(BOB, Withdraw())
    assert BOB.address not in economy.naive.keys

    # Carol votes twice.
    at = economy.chain.epoch
    assert not economy.accuse(ALICE, at, place_of(economy, at, DAVE), forged=True)
    assert not economy.accuse(CAROL, at, place_of(economy, at, CAROL))
    assert economy.accuse(ALICE, at, place_of(economy, at, CAROL))
    assert not economy.accuse(BOB, at, place_of(economy, at, CAROL))
    assert not economy.bond(CAROL, MINIMUM)
    to_next_epoch(economy, SPAN + 2)
    assert economy.naive.offences[0].settled
    assert {kind for kind in (*ACTIONS.values(), *RECEIPTS.values()) if not economy.seen[kind]} == {
        RoundClosed,
        *OF_AUDITS,
        ServicePaid,
    }


def test_stake_that_answers_for_two_votes_cannot_be_withdrawn_first():
    economy = an_economy(ALICE, BOB, CAROL, ERIN, DAVE)
    at = economy.chain.epoch
    place = place_of(economy, at, BOB)
    assert economy.unbond(BOB, MINIMUM)
    to_next_epoch(economy, SPAN)
    assert economy.naive.bonded[BOB.address] == 0
    held = economy.naive.held(BOB.address)
    assert economy.accuse(ALICE, at, place)
    assert economy.naive.held(BOB.address) == held - MINIMUM * 5 // 100
    to_next_epoch(economy, 2)
    assert not economy.send(BOB, Withdraw())


def test_who_waits_to_leave_altogether_is_paid_out_and_not_bonded_again():
    economy = an_economy(ALICE, BOB, CAROL, DAVE)  # the last four: who wants to leave waits
    assert economy.register(BOB, NODES[0], True)
    assert economy.unbond(BOB, MINIMUM)
    while not economy.seen[Released]:
        economy.work(NODES[0])
        economy.pass_time(1)
    assert not economy.seen[AutoBonded]
    assert economy.naive.leaving[BOB.address] == MINIMUM and economy.naive.staying(BOB.address) == 0


@pytest.mark.parametrize("stake", [MINIMUM, MINIMUM + 1, 3 * MINIMUM, 20 * MINIMUM])
def test_a_report_by_ones_other_wallet_launders_no_penalty(stake):
    economy = an_economy(ALICE, CAROL, ERIN, DAVE)
    assert economy.bond(BOB, stake)
    to_next_epoch(economy, 8)
    at, us = economy.chain.epoch, (BOB.address, FRANK.address)
    held = economy.naive.held(*us)
    burned_before = economy.naive.burned
    assert economy.accuse(FRANK, at, place_of(economy, at, BOB))
    [told] = [receipt for receipt in economy.chain.receipts if isinstance(receipt, Tombstoned)]
    assert told.lost == -(-stake // 20)
    assert told.reward == min(told.lost // 32, NETWORK.params.reporter_maximum_nanos)
    assert held - economy.naive.held(*us) == economy.naive.burned - burned_before > 31 * told.lost // 32


def test_two_that_offend_together_lose_more_than_one_and_in_either_order_of_reports():
    lost = {}
    for order in [(BOB,), (BOB, CAROL), (CAROL, BOB)]:
        economy = an_economy(ALICE, BOB, CAROL, ERIN, DAVE)
        at = economy.chain.epoch
        for offender in order:
            assert economy.accuse(FRANK, at, place_of(economy, at, offender))
        to_next_epoch(economy, SPAN + 2)
        slashed = [r for applied in economy.chain.blocks for r in applied.receipts if isinstance(r, Burned)]
        lost[order] = sum(r.amount for r in slashed if r.reason == 4 and r.payer == BOB.address)
    assert lost[BOB, CAROL] == lost[CAROL, BOB]
    assert lost[BOB,] < lost[BOB, CAROL] == MINIMUM - MINIMUM // 20 // 32  # all but the reporter's reward


# ---- Anything in any order

PEOPLE = st.sampled_from(COLLUDERS)
EVERY_NODE = st.sampled_from((*NODES, DAVES_NODE))
AMOUNTS = st.one_of(
    st.sampled_from([0, 1, 19, 20, 21, MINIMUM - 1, MINIMUM, MINIMUM + 1, 2 * MINIMUM, AMOUNT_MAXIMUM]),
    st.integers(0, 10 * MINIMUM),
)


class Anything(RuleBasedStateMachine):
    @initialize(
        bonds=st.lists(st.integers(MINIMUM, 4 * MINIMUM), min_size=5, max_size=5),
        epochs=st.integers(0, 9),
    )
    def begin(self, bonds, epochs):
        self.economy = Economy()
        for key in (*COLLUDERS, DAVE):
            self.economy.fund(key, NEURO)
        for key, amount in zip((*COLLUDERS[:4], DAVE), bonds, strict=True):
            assert self.economy.bond(key, amount)
        self.economy.register(DAVE, DAVES_NODE, False)
        self.economy.register(FRANK, NODES[0], True)
        self.economy.pass_time(epochs * EPOCH)

    @rule(payer=PEOPLE, payee=PEOPLE, amount=AMOUNTS, tip=st.integers(0, 9), service=st.booleans())
    def pay(self, payer, payee, amount, tip, service):
        reference = (named("reference"),) if service else ()
        kind = ServicePayment if service else Transfer
        self.economy.send(payer, kind(payee.address, amount, *reference), tip=tip)

    @rule(payer=PEOPLE, payments=st.lists(st.tuples(PEOPLE, AMOUNTS), max_size=3))
    def pay_many(self, payer, payments):
        self.economy.pay_many(payer, payments)

    @rule(wallet=PEOPLE, node=st.sampled_from(NODES), intent=st.booleans(), leave=st.booleans())
    def register_or_retire(self, wallet, node, intent, leave):
        if leave:
            self.economy.retire(wallet, node)
        else:
            self.economy.register(wallet, node, intent)

    @rule(nodes=st.lists(EVERY_NODE, min_size=1, max_size=4))
    def work(self, nodes):
        for node in nodes:
            if not self.economy.work(node):
                self.economy.pass_time(1)

    @rule(wallet=PEOPLE, amount=AMOUNTS, whose=st.one_of(st.none(), PEOPLE), proven=st.integers(0, 4))
    def bond(self, wallet, amount, whose, proven):
        self.economy.bond(wallet, amount, whose, proven > 0)

    @rule(wallet=PEOPLE, amount=AMOUNTS, everything=st.booleans())
    def unbond(self, wallet, amount, everything):
        self.economy.unbond(wallet, self.economy.naive.staying(wallet.address) if everything else amount)

    @rule(wallet=PEOPLE)
    def withdraw(self, wallet):
        self.economy.send(wallet, Withdraw())

    @rule(wallet=PEOPLE)
    def unjail(self, wallet):
        self.economy.send(wallet, Unjail())

    @rule(wallet=PEOPLE)
    def stop_or_begin_to_vote(self, wallet):
        self.economy.silent ^= {voting_key(wallet)}

    @rule(reporter=PEOPLE, back=st.integers(0, SPAN + 1), place=st.integers(0, 5), forged=st.integers(0, 3))
    def accuse(self, reporter, back, place, forged):
        economy = self.economy
        at = max(0, economy.chain.epoch - back)
        place %= len(economy.sets[at].members)
        is_dave = economy.sets[at].members[place].public_key == voting_key(DAVE)
        economy.accuse(reporter, at, place, forged=is_dave or forged == 0)

    @rule(blocks=st.integers(1, 2 * EPOCH))
    def time_passes(self, blocks):
        self.economy.pass_time(blocks)


def run(examples: int, steps: int) -> None:
    limits = {"max_examples": examples, "stateful_step_count": steps, "deadline": None, "database": None}
    phases = [Phase.generate, Phase.shrink]
    quiet = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    run_state_machine_as_test(Anything, settings=settings(**limits, phases=phases, suppress_health_check=quiet))


def test_whatever_people_do_both_ledgers_agree():
    run(examples=20, steps=40)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_whatever_people_do_for_long_both_ledgers_agree():
    run(examples=300, steps=100)
