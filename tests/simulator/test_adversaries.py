"""One adversary of four validators, and each does what its file says: the honest are safe and go on without it."""

import pytest

from tests.simulator.adversaries import ADVERSARIES
from tests.simulator.bugs import QUIET
from tests.simulator.scenario import generate, with_settings
from tests.simulator.world import World, simulate, surroundings

WORDS = [*QUIET.split(), "founders=4", "chaos_ms=12000"]


@pytest.mark.parametrize("name", ADVERSARIES)
def test_one_of_four_may_do_what_it_likes(name: str) -> None:
    result = simulate(with_settings(generate(1), [*WORDS, f"adversary={name}"]))
    assert not result.failure, result.failure
    assert result.blocks > 5


def played(name: str, *words: str) -> World:
    scenario = with_settings(generate(1), [*WORDS, f"adversary={name}", *words])
    with surroundings(scenario):
        world = World(scenario)
        world.run()
    return world


def test_two_votes_that_exclude_each_other_are_proof_against_who_signed_them() -> None:
    for name in ("equivocator", "twin"):
        world = played(name, "chaos_ms=20000")
        assert world.watch.convicted == {world.machines[0].voter}


def test_who_changes_messages_is_blamed_and_a_silent_leader_is_not() -> None:
    assert played("mutator").machines[0].blamed
    assert not played("silent_leader").machines[0].blamed
