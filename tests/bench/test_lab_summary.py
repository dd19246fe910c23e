"""Costs are paired differences within a seed, and the tuning seed is in none of them."""

import json
from dataclasses import asdict, replace

import pytest

from bench.lab.cells import REPLICAS, SEEDS, TUNING_SEED, Cell, Rates, reported_cells, tuned_name, tuning_cells
from bench.lab.summary import finals_of, paired, pooled, summary, words

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
    """A world where 4 bits cost 0.1 %, reset 1 %, v-only half of that, replicas 2 % each, a tenth epsilon 0.2 %."""
    factor = {"4bit": 1.001, "payload": 1.0005}.get(cell.method, 1.0)
    factor *= {"reset": 1.01, "v": 1.005}.get(cell.state, 1.0)
    factor *= 1 + 0.002 * (8 - cell.epsilon)
    outer = 1 if cell.replicas == 1 or cell.method == "sync" else 1 + abs(cell.rate - 700) / 1e5
    return (4 + cell.seed / 100) * factor * outer * (1 + 0.02 * cell.replicas)


def costs_of(rows, **wanted):
    """The costs of the rows with these values, rounded."""
    return {round(r["cost_percent"]["mean"], 2) for r in rows if all(r[key] == wanted[key] for key in wanted)}


def test_the_tables_find_what_was_put_in():
    grid = [cell for replicas in REPLICAS for cell in tuning_cells(replicas)]
    records = [record(cell, loss_of(cell)) for cell in grid]
    tuned = {tuned_name(c.method, c.replicas, c.round_steps, c.state): Rates(8_000, 700, 500) for c in grid}
    cells = [cell for replicas in REPLICAS for batch in reported_cells(tuned, replicas, SEEDS) for cell in batch]
    content = summary(records + [record(cell, loss_of(cell)) for cell in cells])
    assert {
        row["rate"] for name, row in content["tuned"].items() if not name.startswith("sync") and "/1/" not in name
    } == {700}
    found = content["tables"]
    assert costs_of(found["compression"]) == costs_of(found["block"]) == {0.1}
    assert pooled(found["compression"])["largest"] == pytest.approx(0.1, abs=1e-3)
    assert costs_of(found["payload_alone"]) == {0.05}
    assert costs_of(found["not_carrying"], state="reset", epsilon=8) == {1.0}
    assert costs_of(found["not_carrying"], state="v") == {0.5}
    assert {row["replicas"] for row in found["not_carrying"] if row["sequences"] == 16} == {1}
    assert costs_of(found["start_of_a_round"], epsilon=5) == costs_of(found["epsilon_when_carrying"]) == {0.6}
    assert costs_of(found["start_of_a_round"], rewarm=100) == costs_of(found["start_of_a_round"], cold=20) == {0}
    assert costs_of(found["gap_to_synchronous"], method="4bit", state="reset") == {1.1}
    gaps = {(row["replicas"], row["round_steps"]) for row in found["gap_to_synchronous"]}
    assert gaps == {(m, h) for m in (1, 2, 4, 8) for h in (50, 250, 500)}
    (many,) = costs_of(found["gap_to_many_small_updates"], method="fp32", state="carried", replicas=8)
    assert many == pytest.approx(100 * (1.16 / 1.02 - 1), abs=0.01)
    assert json.loads(json.dumps(content))["parameters"] == 71_376
    assert "± 0.0000 (3)" in words(found["compression"][0])
