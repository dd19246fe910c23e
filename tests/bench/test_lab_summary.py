"""Costs are paired differences within a seed, and the tuning seed is in none of them."""

import json
from dataclasses import asdict, replace

import pytest

from bench.lab.cells import SEEDS, TUNING_SEED, Cell, Rates, default_order, tuned_name, tuning_cells
from bench.lab.summary import finals_of, paired, pooled, summary, tables, words

ONE = Cell("fp32", 2, 250, "reset", 8_000, 600, 900, 1)
FOUR = replace(ONE, method="4bit")


def record(cell, loss):
    return {"cell": asdict(cell), "losses": [9.0, loss], "device": "cpu"}


def test_a_cost_is_the_mean_of_the_ratios_within_seeds():
    records = [record(replace(ONE, seed=seed), loss) for seed, loss in ((1, 4.0), (2, 5.0), (3, 8.0))]
    records += [record(replace(FOUR, seed=seed), loss) for seed, loss in ((1, 4.04), (2, 5.15), (4, 1.0))]
    records.append(record(replace(FOUR, seed=TUNING_SEED), 0.1))
    found = paired(finals_of(records), replace(FOUR, seed=0), replace(ONE, seed=0))
    assert found == {"mean": pytest.approx(2.0), "standard_error": pytest.approx(1.0), "seeds": 2, "diverged": 0}


def test_a_diverged_run_is_counted_and_left_out():
    records = [record(replace(ONE, seed=seed), 4.0) for seed in (1, 2)]
    records += [record(replace(FOUR, seed=1), 4.04), record(replace(FOUR, seed=2), None)]
    found = paired(finals_of(records), replace(FOUR, seed=0), replace(ONE, seed=0))
    assert (found["seeds"], found["diverged"], found["standard_error"]) == (1, 1, None)
    assert paired(finals_of(records), replace(FOUR, seed=0), replace(ONE, seed=0, block=64)) is None


def loss_of(cell):
    """A world in which compression costs 0.1 %, reset 1 %, v-only half of that, and replicas 2 % each."""
    factor = {"4bit": 1.001, "payload": 1.0005}.get(cell.method, 1.0)
    factor *= {"reset": 1.01, "v": 1.005}.get(cell.state, 1.0)
    outer = 1 if cell.method == "sync" else 1 + abs(cell.rate - 800) / 1e5
    return (4 + cell.seed / 100) * factor * outer * (1 + 0.02 * cell.replicas)


def test_the_tables_find_what_was_put_in(tmp_path):
    grid = [cell for replicas in (1, 2, 4, 8) for cell in tuning_cells(replicas)]
    records = [record(cell, loss_of(cell)) for cell in grid]
    names = {tuned_name(cell.method, cell.replicas, cell.round_steps, cell.state) for cell in grid}
    tuned = {name: Rates(8_000, 800, 900) for name in sorted(names)}
    records += [record(cell, loss_of(cell)) for batch in default_order(tuned, SEEDS) for cell in batch]
    content = summary(records)
    assert {(row["rate"], row["momentum"]) for name, row in content["tuned"].items() if "sync" not in name} == {
        (800, 900)
    }
    found = tables(records)
    assert {round(row["cost_percent"]["mean"], 3) for row in found["compression"]} == {0.1}
    assert pooled(found["compression"])["largest"] == pytest.approx(0.1, abs=1e-3)
    assert {round(row["cost_percent"]["mean"], 2) for row in found["not_carrying"] if row["rate"] == 800} == {0.5, 1.0}
    assert {round(row["cost_percent"]["mean"], 3) for row in found["payload_alone"]} == {0.05}
    assert {row["block"] for row in found["block"]} >= {64, 1024} and {row["rewarm"] for row in found["rewarm"]} == {
        1,
        25,
        50,
    }
    gaps = [row for row in found["gap_to_synchronous_percent"] if row["method"] == "4bit" and row["rate"] == 800]
    assert {(row["replicas"], row["round_steps"]) for row in gaps} == {
        (m, h) for m in (1, 2, 4, 8) for h in (50, 250, 500)
    }
    assert json.loads(json.dumps(content))["parameters"] == 71_376
    assert "± 0.0000 (6)" in words(found["compression"][0])
