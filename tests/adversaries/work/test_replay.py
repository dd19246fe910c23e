"""A replay contradicts exactly the segments in which a cheat cheats, and no honest one."""

import pytest

from chain.audit_messages import MISMATCH, PASS
from tests.adversaries.work.suite import AUDITED, a_cheat
from tests.audits.people import a_node, a_school, a_village
from tests.audits.questions import findings

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
