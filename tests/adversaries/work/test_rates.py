"""In a network that really trains, cheats are caught as often as predicted: a rate off by a third fails these tests.

The chance of a round is the audit's rate times the chance that the drawn segment is a forged one.
"""

from functools import cache

import pytest

from tests.adversaries.work.suite import AUDITED
from tests.audits.parade import Parade, a_parade
from tests.audits.tallies import tally, total

PARTIAL = [*(name for name in AUDITED if name.endswith("_half")), "stale_base", "huge_segment"]
PARTIAL += ["refuses_opening", "refuses_serving", "serves_garbage"]
WHOLE = [name for name in AUDITED if name not in PARTIAL]
STEADY, ALWAYS = 4_000, 10_000
DEVIATIONS = 2.0  # that chance may make; an error of a third makes about three
# A parade takes ten seconds on an idle machine, and far more where many others compute.
pytestmark = pytest.mark.timeout(600)


@cache
def whole() -> Parade:
    """Forged from end to end, at the steady rate."""
    return a_parade(WHOLE, STEADY, 18)


@cache
def partial() -> Parade:
    """Forged in some segments, and always audited."""
    return a_parade(PARTIAL, ALWAYS, 24)


@pytest.mark.parametrize("run", [whole, partial])
def test_cheats_are_caught_at_the_predicted_rate(run):
    found = total(tally(run().village, cheat) for cheat in run().cheats.values())
    assert found.power > DEVIATIONS + 0.7
    assert abs(found.deviations) < DEVIATIONS


@pytest.mark.parametrize("name", AUDITED)
def test_a_drawn_segment_that_is_forged_is_always_found_and_no_other(name):
    parade = whole() if name in WHOLE else partial()
    cheat = parade.cheats[name]
    ended = [each for each in parade.village.audits.values() if each.node == cheat.key.node and each.outcome]
    assert ended
    for audit in ended:
        forged = audit.segment in cheat.history[audit.round].cheated
        assert audit.outcome == (AUDITED[name].end if forged else "passed")


@pytest.mark.parametrize("run", [whole, partial])
def test_nobody_honest_is_found_guilty_of_anything(run):
    parade = run()
    nodes = {node.key.node for node in parade.honest}
    assert {each.outcome for each in parade.village.audits.values() if each.node in nodes} <= {"passed", ""}
    assert not parade.village.named("AuditFault", "AuditMissed", "Jailed")
