"""The simulator bites: each known bug, put into the running code, is caught."""

import pytest

from tests.simulator.bugs import BUGS, Bug, catch


@pytest.mark.parametrize("bug", BUGS, ids=[bug.name for bug in BUGS])
def test_an_injected_bug_is_caught(bug: Bug) -> None:
    assert catch(bug), "see `python -m tests.simulator.bugs`; another `first` may catch it"
