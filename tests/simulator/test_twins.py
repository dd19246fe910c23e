"""Two machines with one key, in many partitions: the honest never split, and go on once they reach each other."""

from tests.simulator.twins import play_many


def test_twins_with_less_than_a_third_of_the_power_break_nothing() -> None:
    found = play_many(seed=1, number=400)
    assert not found["violations"]
    assert found["blocks"] > 400  # It is not that nothing happens.
