"""A replay contradicts exactly the segments in which a cheat cheats, and no honest one."""

import pytest

from chain.audit_messages import MISMATCH, PASS
from tests.adversaries.work.suite import AUDITED, a_cheat
from tests.audits.other_machine import EdgeMachine, OtherMachine
from tests.audits.people import a_node, a_school, a_village
from tests.audits.questions import findings
from tests.audits.trainer import Trainer
from tests.builders import a_key

ROUNDS = 3  # with the second moments of earlier rounds, a stale model, and a neighbour to copy


@pytest.mark.parametrize("name", AUDITED)
def test_a_replay_contradicts_every_segment_that_was_cheated_in_and_no_other(name):
    school = a_school(audit_warmup_rounds=0, audit_steady_basis_points=0, audit_floor_basis_points=0)
    honest = a_node(school, "honest")
    cheat = a_cheat(school, name, honest)
    village = a_village(school, [honest, a_node(school, "other"), cheat]).run(ROUNDS)
    cheated = cheat.history[ROUNDS].cheated
    assert cheated
    segments = range(school.params.segments)
    assert findings(village, cheat, ROUNDS) == [MISMATCH if at in cheated else PASS for at in segments]
    assert set(findings(village, honest, ROUNDS)) == {PASS}


def test_an_honest_machine_with_other_last_bits_is_never_contradicted():
    school = a_school(audit_warmup_rounds=100, audit_floor_rounds=1_000)
    other = OtherMachine(school, a_key("other machine"), a_key("its wallet"))
    village = a_village(school, [a_node(school, "one"), a_node(school, "two"), other]).run(ROUNDS)
    assert set(findings(village, other, ROUNDS)) == {PASS}
    audits = [each for each in village.audits.values() if each.node == other.key.node and each.outcome]
    assert len(audits) >= ROUNDS
    assert {each.outcome for each in audits} == {"passed"}
    # It really is another machine.
    draw, begun = school.draw(bytes(32), bytes(32)), other.work[ROUNDS].states[0]
    usual = Trainer(school, other.key, other.wallet)
    after = [each.segment(begun, village.chain.round, 0, draw).theta for each in (usual, other)]
    assert (after[0] != after[1]).any()


@pytest.mark.parametrize(("bounds", "end"), [(0.5, "passed"), (2.0, "acquitted"), (8.0, "fraud")])
def test_what_may_be_rounding_at_its_worst_convicts_nobody(bounds, end):
    school = a_school(audit_warmup_rounds=100, audit_floor_rounds=1_000)
    edge = EdgeMachine(school, a_key("edge machine"), a_key("its wallet"), bounds=bounds)
    village = a_village(school, [a_node(school, "one"), a_node(school, "two"), edge]).run(2)
    ended = {each.outcome for each in village.audits.values() if each.node == edge.key.node and each.outcome}
    assert ended == {end}
    assert not village.named("AuditFault")
