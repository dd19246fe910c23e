"""The convergence experiment: paired cells, results that survive a kill, rates from the tuning seed alone."""

import json

import numpy as np
import pytest
import torch

from bench.convergence import Session, read_records
from bench.lab.cells import (
    BATCHES,
    REPLICAS,
    ROUNDS,
    SEEDS,
    TUNING_SEED,
    Cell,
    Rates,
    informative_order,
    reported_cells,
    tuned_from,
    tuned_name,
    tuning_cells,
)
from bench.lab.data import Tokens
from bench.lab.execute import MEASURED, Lab, curve, lab_profile, train_cells
from training.layout import ModelConfig, parameter_count

CONFIG = ModelConfig(vocabulary=128, width=8, layers=1, heads=2, kv_heads=1, ffn_width=12, context=16, rope_base=10_000)


@pytest.fixture(scope="module")
def lab():
    chance = np.random.default_rng(1)
    train = (128 * chance.random(3_000) ** 3).astype(np.int32)
    windows = (128 * chance.random((8, 17)) ** 3).astype(np.int64)
    tokens = Tokens(torch.from_numpy(train), torch.from_numpy(windows))
    return Lab(CONFIG, 2, 16, tokens, torch.device("cpu"), batches=240)


def cell(method="fp32", replicas=2, round_steps=10, state="reset", seed=1, **extra):
    numbers = {"peak": 5_000, "rate": 700, "momentum": 0, "rewarm": 5, "sequences": 2, **extra}
    return Cell(method, replicas, round_steps, state, seed=seed, **numbers)


def every_rate():
    return {
        tuned_name(method, m, h, state): Rates(8_000, 600, 900)
        for m in REPLICAS
        for h in ROUNDS
        for method, state in (("sync", ""), ("fp32", "reset"), ("fp32", "carried"))
    }


def all_batches(seeds):
    return [batch for replicas in REPLICAS for batch in reported_cells(every_rate(), replicas, seeds)]


def test_the_lab_profile_has_the_size_that_the_results_name():
    config, sequences, length = lab_profile()
    assert (parameter_count(config), sequences, length) == (71_376, 4, 64)


def test_every_round_ends_where_losses_are_measured():
    for cells in [tuning_cells(m) for m in REPLICAS] + all_batches(SEEDS):
        assert len({(each.replicas, each.sequences) for each in cells}) == 1
        for each in cells:
            steps = BATCHES * 4 // (each.replicas * each.sequences)
            assert steps * each.replicas * each.sequences == 4 * BATCHES and steps % MEASURED == 0
            assert each.round_steps == 0 or (steps // MEASURED) % each.round_steps == 0


def test_no_reported_cell_has_the_tuning_seed_and_none_comes_twice():
    cells = [each for batch in all_batches(SEEDS) for each in batch]
    assert TUNING_SEED not in {each.seed for each in cells}
    assert len({each.key for each in cells}) == len(cells)
    ordered = [each for batch in informative_order(every_rate(), REPLICAS, SEEDS) for each in batch]
    assert {each.key for each in ordered} == {each.key for each in cells}
    assert {each.round_steps for each in ordered[:60]} == {0, 250}
    first = [each for batch in all_batches(SEEDS[:2]) for each in batch]
    assert {each.key for each in first} < {each.key for each in cells}


def test_the_rate_warms_up_falls_to_a_tenth_and_warms_up_again_in_every_round():
    whole = curve(240, 0, 1)
    assert whole[0] == pytest.approx(1 / 10) and whole[9] == 1 and whole[-1] == pytest.approx(0.1)
    assert (np.diff(whole[9:]) < 0).all()
    rounds = curve(240, 20, 5) / whole
    assert rounds[100:106] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])
    assert (curve(240, 20, 1) == whole).all()
    cold = curve(240, 20, 5, 3) / whole
    assert cold[100:109] == pytest.approx([0, 0, 0, 0.2, 0.4, 0.6, 0.8, 1, 1])


def test_all_kinds_of_cells_learn_and_like_cells_agree(lab):
    cells = [
        cell("sync", round_steps=0, rewarm=1),
        cell(),
        cell("4bit"),
        cell("4bit", block=64),
        cell("payload"),
        cell(state="carried", rewarm=1),
        cell(state="v"),
        cell(round_steps=20),
        cell(epsilon=4),
        cell(cold=4),
    ]
    losses = {Cell(**each["cell"]).key: each["losses"] for each in train_cells(lab, cells)}
    assert set(losses) == {each.key for each in cells}
    assert all(len(each) == MEASURED and each[-1] < 4.8 for each in losses.values())  # born at ln 128 = 4.85
    assert len({each[-1] for each in losses.values()}) == len(cells)
    exact = losses[cell().key][-1]
    assert losses[cell("4bit").key][-1] == pytest.approx(exact, rel=0.01)


def test_larger_batches_are_fewer_so_that_the_tokens_stay(lab):
    (record,) = train_cells(lab, [cell(sequences=4)])
    assert len(record["losses"]) == MEASURED and record["losses"][-1] < 4.8
    with pytest.raises(AssertionError):
        list(train_cells(lab, [cell(), cell(sequences=4)]))


def test_a_stopped_session_goes_on_where_it_was(lab, tmp_path):
    out = tmp_path / "some" / "results.jsonl"
    cells = [cell(replicas=1, seed=seed, round_steps=20) for seed in (1, 2, 3)]
    assert not Session(lab, out, deadline=0, rows=1).train(cells)
    assert not out.exists()
    assert Session(lab, out, deadline=float("inf"), rows=2).train(cells[:1])
    with out.open("a") as file:
        file.write('{"cell": {"meth')  # a kill while writing
    assert Session(lab, out, deadline=float("inf"), rows=2).train(cells)
    assert [record["cell"]["seed"] for record in read_records([out])] == [1, 2, 3]


def test_rates_come_from_the_best_run_of_the_tuning_seed():
    def record(loss, **extra):
        return {"cell": cell(**{"seed": TUNING_SEED, **extra}).__dict__, "losses": [9.0, loss]}

    records = [
        record(5.0, rate=600),
        record(4.0, rate=800),
        record(None, rate=1000),
        record(1.0, rate=400, seed=1),
        record(4.5, state="carried"),
        record(4.4, method="sync", round_steps=0, state="carried", peak=9_000),
    ]
    found = tuned_from(json.loads(json.dumps(records)))
    assert found == {
        "reset/2/10": Rates(5_000, 800, 0),
        "carried/2/10": Rates(5_000, 700, 0),
        "sync/2": Rates(9_000, 700, 0),
    }
