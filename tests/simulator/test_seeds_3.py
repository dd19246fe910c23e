"""Scenarios by seed: real nodes, a made-up world, and everything that must hold after every event."""

import pytest

from tests.simulator.seeds import cases, check_seeds


@pytest.mark.parametrize("seeds", cases(3), ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
def test_whatever_goes_wrong_what_must_hold_holds(seeds: range) -> None:
    check_seeds(seeds)
