"""What docs/economics.md says in numbers is what the ledger's functions give."""

import json
from fractions import Fraction

import pytest

from bench.economics import (
    GPU_STEP_MS,
    MACHINES,
    MEASURED_TOKENS_PER_S,
    TABLES,
    Machine,
    Profile,
    day_of,
    network_of,
    steps_of,
)
from bench.tables import ROOT
from chain.fees import proof_gas
from chain.money import burn_share
from chain.rewards import MINUTE_MS, Work, data_budget, epoch_rewards, uptime_budget
from tests.builders import a_proof, a_training_chain

TEMPLATE = json.loads((ROOT / "genesis.json").read_text())
DEV, MAIN = (Profile(name, TEMPLATE) for name in ("dev", "main"))
BOARD, LAPTOP, PC, SERVER = MACHINES


def test_the_committed_tables_are_those_that_the_script_computes():
    text = TABLES.document.read_text()
    assert TABLES.rewritten(text) == text, "run: python -m bench economics --write"


def test_the_one_measured_speed_is_that_of_the_notebook():
    assert f"{MEASURED_TOKENS_PER_S:,}" in (ROOT / "docs" / "lab.md").read_text()


def test_a_lone_machine_earns_the_base_rate_for_every_batch():
    machine = Machine("the measured one", Fraction(1), False, 0, 0, 0)
    assert day_of(machine, 1, DEV).training == Fraction(MEASURED_TOKENS_PER_S * 86_400, 1_024 * 2_000)


def test_machines_have_the_speed_of_their_multiple_but_a_gpu_makes_no_step_faster_than_its_shortest():
    assert DEV.speed(LAPTOP) == 16 * DEV.speed(BOARD) == 2 * MEASURED_TOKENS_PER_S
    assert DEV.speed(SERVER) == DEV.speed(PC) == Fraction(1_024 * 1_000, GPU_STEP_MS)
    assert 3 * MAIN.speed(SERVER) == 10 * MAIN.speed(PC)


def test_the_mixed_networks_have_all_their_nodes():
    for nodes in (100, 10_000):
        assert sum(count for _, count in network_of(LAPTOP, nodes)) == nodes


def test_who_cannot_prove_half_of_the_segments_in_time_earns_nothing_in_a_closed_round():
    deadline = MAIN.params.train_blocks * MAIN.params.block_interval_ms
    assert 2 * steps_of(LAPTOP, Fraction(deadline), MAIN) < MAIN.params.inner_steps
    assert 2 * steps_of(PC, Fraction(deadline), MAIN) >= MAIN.params.inner_steps
    assert day_of(LAPTOP, 100, MAIN).in_rounds == 0 < day_of(PC, 100, MAIN).in_rounds
    assert day_of(LAPTOP, 1, MAIN).in_rounds > 0  # alone its rounds are void, and void rounds pay


@pytest.mark.parametrize("profile", [DEV, MAIN], ids=["dev", "main"])
@pytest.mark.parametrize("nodes", [1, 100, 10_000])
def test_rounds_never_pay_more_than_the_work_they_leave_time_for(profile, nodes):
    for machine in MACHINES:
        day = day_of(machine, nodes, profile)
        most = Fraction(profile.params.rate_batch_nanos) * profile.batches(machine, 86_400_000) / 10**9
        assert 0 <= day.in_rounds <= most
        assert 0 < day.training <= most


def test_the_worked_example_is_right():
    text = TABLES.document.read_text()
    rewards = epoch_rewards(Work([90_000, 60_000], [MINUTE_MS] * 3, [150_000 * DEV.params.sequences]), DEV.params)
    ada, ben = rewards.training
    emission = ada + ben
    debt = 9_000 * proof_gas(a_proof(a_training_chain()))
    assert 9_000 * DEV.params.segment_steps == 90_000
    price, bonded = 1_000_000_001, 20 * 10**9
    share = burn_share(price, DEV.params.burn_basis_points)
    told = [emission, 150_000 * DEV.params.rate_batch_nanos, ada, ben, debt, ada - debt, bonded, ada - debt - bonded]
    told += [price, share, price - share, sum(rewards.uptime), uptime_budget(10**14, emission, DEV.params)]
    told += [150_000 * DEV.params.sequences, data_budget(10**9, emission, DEV.params), sum(rewards.data)]
    assert [f"{number:,}" for number in told if f"{number:,}" not in text] == []
