"""Auditors that lie, stamp, copy, or have friends: what they can do, how they are found, and what it costs them."""

from math import sqrt

from chain.audit_messages import VerdictReveal
from chain.money import NEURO
from tests.adversaries.work.colluding_pair import Accomplice
from tests.adversaries.work.invented_states import InventedStates
from tests.adversaries.work.lazy_auditor import Copier, RubberStamp
from tests.adversaries.work.lying_auditor import Accuser, Whitewasher
from tests.adversaries.work.selective_refusal import ServesFriends
from tests.audits.auditor import Auditor
from tests.audits.collusion import collusion
from tests.audits.people import a_node, a_school, a_village, an_auditor
from tests.audits.school import School
from tests.audits.village import Village
from tests.builders import a_key

ALWAYS = {"audit_warmup_rounds": 1_000, "audit_floor_rounds": 1_001}
FAULT = 100 * NEURO // 100  # a hundredth of the stake


def a_cheating_village(school: School, *auditors: Auditor, validators: int = 4) -> Village:
    cheat = InventedStates(school, a_key("cheat"), a_key("its wallet"))
    return a_village(school, [a_node(school, "one"), a_node(school, "two"), cheat], auditors, validators)


def an_honest_village(school: School, *auditors: Auditor, validators: int = 4) -> Village:
    return a_village(school, [a_node(school, name) for name in ("one", "two", "three")], auditors, validators)


def outcomes(village: Village) -> set[str]:
    return {each.outcome for each in village.audits.values() if each.outcome}


def lost(village: Village, auditor: Auditor) -> int:
    return 100 * NEURO - village.chain.stake(auditor.wallet).bonded


def test_a_false_accusation_convicts_nobody_and_costs_the_accuser():
    school = a_school(**ALWAYS, plant_basis_points=0)
    liar = an_auditor(school, "liar", Accuser)
    village = an_honest_village(school, liar).until_faulty(liar, 20)
    assert outcomes(village) == {"passed"}
    faults = village.named("AuditFault")
    assert {each.public_key for _, each in faults} == {liar.public_key}
    assert lost(village, liar) >= FAULT
    assert all(lost(village, each) == 0 for each in village.auditors if each is not liar and not each.is_founder)


def test_two_accusers_convict_nobody_either():
    school = a_school(**ALWAYS, plant_basis_points=0, audit_second_basis_points=10_000)
    liars = [an_auditor(school, f"liar {place}", Accuser) for place in range(2)]
    village = an_honest_village(school, *liars, validators=7)
    for liar in liars:
        village.until_faulty(liar, 20)
    assert outcomes(village) == {"passed"}
    assert all(lost(village, each) > 0 for each in liars)


def test_who_passes_a_forgery_that_another_finds_pays_for_it():
    school = a_school(**ALWAYS, plant_basis_points=0, audit_second_basis_points=10_000, suspension_rounds=0)
    liar = an_auditor(school, "liar", Whitewasher)
    village = a_cheating_village(school, liar).until_faulty(liar, 20)
    assert lost(village, liar) >= FAULT
    assert all(lost(village, each) == 0 for each in village.auditors if each is not liar and not each.is_founder)


def test_planted_segments_find_rubber_stamps_at_their_rate():
    planted = 5_000
    school = a_school(**ALWAYS, plant_basis_points=planted, audit_second_basis_points=0, audit_fault_basis_points=0)
    stamps = [an_auditor(school, f"stamp {place}", RubberStamp) for place in range(3)]
    # Of four members nobody is ever jailed, so the stamps go on.
    village = a_village(school, [a_node(school, f"{place} of seven") for place in range(7)], stamps, validators=3).run(
        13
    )
    # The rounds before a node's first reveal have no plants.
    stamped = sum(each.round > 1 for stamp in stamps for each in village.blind(stamp))
    chance = planted / 10_000
    expected, deviation = chance * stamped, sqrt(stamped * chance * (1 - chance))
    found = village.named("AuditFault")
    assert expected / 3 > 2.5 * deviation
    assert abs(len(found) - expected) < 2 * deviation
    assert {each.public_key for _, each in found} == {stamp.public_key for stamp in stamps}


def test_a_stamp_is_fined_and_leaves_the_set():
    school = a_school(**ALWAYS, plant_basis_points=10_000)
    stamp = an_auditor(school, "stamp", RubberStamp)
    village = an_honest_village(school, stamp, validators=6)
    village.until_faulty(stamp, 20).end_epoch()
    assert lost(village, stamp) >= FAULT
    assert [each.wallet for _, each in village.named("Jailed")] == [stamp.wallet.address]
    assert stamp.public_key not in [each.public_key for each in village.chain.members]


def test_a_copied_commitment_cannot_be_shown_and_counts_as_a_miss():
    school = a_school(**ALWAYS, plant_basis_points=0, audit_second_basis_points=10_000)
    copier = an_auditor(school, "copier", Copier)
    village = an_honest_village(school, copier, validators=2).run(6)
    refused = [each for each in village.refused if isinstance(each.item, VerdictReveal)]
    assert refused and all("bound itself to something else" in each.why for each in refused)
    missed = village.named("AuditMissed")
    assert missed and {each.public_key for _, each in missed} == {copier.public_key}


def test_friends_among_the_auditors_hide_a_forgery_as_often_as_they_are_drawn():
    found = collusion(accomplices=3, honest=7, rounds=32)
    hidden, expected = found.lots - found.caught, found.lots - found.expected
    deviation = sqrt(found.variance)
    assert expected / 3 > 1.6 * deviation
    assert abs(hidden - expected) < 1.6 * deviation


def test_a_third_of_the_power_can_prevent_a_conviction():
    found = collusion(accomplices=3, honest=4, rounds=4)
    assert found.lots > 10
    assert found.caught == 0


def test_accomplices_below_a_third_cannot_turn_a_dispute():
    school = a_school(**ALWAYS, plant_basis_points=0, suspension_rounds=0)
    cheat = InventedStates(school, a_key("cheat"), a_key("its wallet"))
    friends = [an_auditor(school, f"friend {place}", Accomplice, friends=[cheat]) for place in range(2)]
    village = a_village(school, [a_node(school, "one"), a_node(school, "two"), cheat], friends, validators=7)
    village.until_convicted(cheat, 6)


def test_who_serves_only_friends_gets_through_with_their_word_alone_and_loses_else():
    school = a_school(**ALWAYS, plant_basis_points=0, audit_second_basis_points=0)
    friend = an_auditor(school, "friend", Accomplice)
    cheat = ServesFriends(school, a_key("cheat"), a_key("its wallet"), friends=frozenset({friend.public_key}))
    friend.friends.append(cheat)
    village = a_village(school, [a_node(school, "one"), a_node(school, "two"), cheat], [friend]).run(8)
    ended = [each for each in village.audits.values() if each.node == cheat.key.node]
    alone = {each.round for each in village.blind(friend) if each.node == cheat.key.node}
    assert {each.outcome for each in ended if each.round in alone} <= {"passed"}
    assert {each.outcome for each in ended if each.round not in alone} == {"withheld"}
