"""Each attack against the real outer step on a problem small enough for a test: who gets how near to the best weights.

Eight nodes learn the same quadratic, each with noise of its own; payloads are encoded and merged as the protocol does.
The measure is the loss after the last round, as a multiple of what the honest nodes reach alone with a plain mean.
"""

from functools import cache

import numpy as np
import pytest

from bench.byzantine_cells import Cell
from bench.byzantine_round import Run, Setting
from tests.adversaries.sign_flip import sign_flip
from tests.adversaries.suite import SUITE, Adversary
from training.outer import OuterRate, OuterSpec
from training.robust import RULE_NAMES

SIZE, ROUNDS, STEPS = 1024, 12, 50
CURVATURE = np.random.default_rng(1).uniform(0.02, 1, SIZE)
BEST = np.random.default_rng(2).standard_normal(SIZE) * 0.5
RATE, NOISE = 0.15, 0.02
RATES = (OuterRate(1, 800, 900),)
SETTING = Setting((SIZE,), STEPS, ROUNDS, {rule: OuterSpec(STEPS, RATES, k) for k, rule in enumerate(RULE_NAMES)})
# What these do to the mean at f = 2 of 8: at least so many times the loss of the honest nodes alone.
MEAN_FAILS = {"sign_flip_10": 100, "sleeper_flip": 20, "noise": 5, "alie_1.5": 1.3, "aligned": 1.3, "min_max": 1.3}


@cache
def loss_after(cell: Cell) -> float:
    run = Run(cell, SETTING, np.zeros(SIZE, dtype=np.float32))
    for number in range(ROUNDS):
        weights = run.state.weights
        run.end_round(number, np.stack([weights - delta(cell, number, node, weights) for node in range(cell.trained)]))
    assert run.ended is None
    return float((CURVATURE * (run.state.weights - BEST) ** 2).sum() / 2)


def delta(cell: Cell, number: int, node: int, weights: np.ndarray) -> np.ndarray:
    """A step towards the best weights, or towards their negative for who learns wrong labels."""
    wrong = cell.adversary.training == "flipped" and node >= cell.honest
    noise = np.random.default_rng([cell.seed, number, node]).standard_normal(SIZE)
    return (RATE * CURVATURE * (weights - (-BEST if wrong else BEST)) + NOISE * noise).astype(np.float32)


def against_honest_only(rule: str, attack: str, liars: int) -> float:
    return loss_after(Cell(rule, attack, liars, 0)) / loss_after(Cell("mean", "none", 0, 0, absent=liars))


def test_the_problem_is_learnt():
    start = float((CURVATURE * BEST**2).sum() / 2)
    assert loss_after(Cell("mean", "none", 0, 0)) < start / 10


@pytest.mark.parametrize("attack", SUITE)
@pytest.mark.parametrize("liars", [1, 2])
def test_clip_trust_ends_near_the_honest_nodes_alone_whatever_a_quarter_of_the_nodes_says(attack, liars):
    assert against_honest_only("clip_trust", attack, liars) < 1.25


@pytest.mark.parametrize("attack", MEAN_FAILS)
def test_the_mean_does_not(attack):
    assert against_honest_only("mean", attack, 2) > MEAN_FAILS[attack]


def test_a_payload_a_hundred_times_as_long_in_the_right_direction_counts_no_more_than_others(monkeypatch):
    monkeypatch.setitem(SUITE, "long", Adversary(sign_flip(-100)))
    assert against_honest_only("clip_trust", "long", 2) < 1.1
    assert against_honest_only("mean", "long", 2) > 10


def test_without_liars_clip_trust_costs_next_to_nothing():
    assert loss_after(Cell("clip_trust", "none", 0, 0)) < 1.03 * loss_after(Cell("mean", "none", 0, 0))


def test_three_liars_of_eight_are_more_than_is_promised_and_still_no_disaster():
    assert against_honest_only("clip_trust", "sign_flip_10", 3) < 2
