"""Cheats that no audit is needed for: the ledger refuses them, or no validator attests them, and nothing is paid."""

import pytest

from chain.rounds import counted
from tests.adversaries.work.suite import REFUSED, a_cheat
from tests.audits.people import a_node, a_school, a_village

ROUNDS = 3


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_rules_refuse_is_never_counted_or_paid(name):
    school = a_school(audit_warmup_rounds=0, audit_steady_basis_points=0, audit_floor_basis_points=0)
    honest = a_node(school, "honest")
    cheat = a_cheat(school, name, honest)
    village = a_village(school, [honest, a_node(school, "other"), cheat]).run(ROUNDS)
    words = REFUSED[name][1]
    assert any(words in each.why for each in village.refused)
    last = village.state.round(ROUNDS)
    assert last is not None
    assert [each.node for each in counted(village.state, last)] == sorted(
        node.key.node for node in village.nodes.values() if node is not cheat
    )
