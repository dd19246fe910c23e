"""What `bench byzantine` makes of its runs: none twice, none compared with another seed."""

import json
from math import nan

import pytest

from bench.byzantine_cells import Cell, cells, finished, waves
from bench.byzantine_report import against, comparisons, final_losses


def a_result(cell: Cell, loss: float | None, ended: str | None = None) -> dict[str, object]:
    return {
        "cell": cell.name,
        "rule": cell.rule,
        "attack": cell.attack,
        "liars": cell.liars,
        "absent": cell.absent,
        "seed": cell.seed,
        "curve": [(4, 7.0), (8, loss)],
        "complete": True,
        "ended": ended,
        "liar_shares": [0.25],
    }


def test_every_cell_is_named_once_and_what_all_are_compared_to_comes_first():
    every = list(cells(["mean", "krum"], ["zero", "echo"], [2, 1], (3, 5)))
    assert len({cell.name for cell in every}) == len(every) == 3 * (2 + 2 + 2 * 2 * 2) + 2 * 2
    assert [(cell.absent, cell.honest) for cell in every[:3]] == [(2, 6), (1, 7), (0, 8)]


def test_liars_take_a_row_of_the_fleet_only_if_they_train():
    assert Cell("mean", "zero", 2, 0).trained == 6
    assert Cell("mean", "label_flip", 2, 0).trained == 8
    assert Cell("mean", "none", 0, 0, absent=2).trained == 6


def test_waves_keep_the_order_and_never_exceed_the_rows_but_for_a_single_run():
    every = list(cells(["mean"], ["zero", "sleeper"], [2], (2, 0)))
    cut = list(waves(every, 20))
    assert [cell for wave in cut for cell in wave] == every
    assert all(sum(cell.trained for cell in wave) <= 20 for wave in cut)
    assert [len(wave) for wave in waves(every, 1)] == [1] * len(every)


def test_a_line_that_was_cut_short_or_a_run_that_was_is_made_again(tmp_path):
    done, cut = a_result(Cell("mean", "zero", 2, 0), 6.0), a_result(Cell("mean", "zero", 2, 1), 6.0)
    path = tmp_path / "runs.jsonl"
    path.write_text(json.dumps(done) + "\n" + json.dumps({**cut, "complete": False}) + "\n" + json.dumps(cut)[:40])
    assert [result["cell"] for result in finished(path)] == [done["cell"]]


def test_losses_are_compared_seed_by_seed():
    found = against({0: 1.1, 1: 2.4, 2: 9.0}, {0: 1.0, 1: 2.0, 3: 5.0}, guess=8.3)
    assert (found["seeds"], found["diverged"]) == (2, 0)
    assert found["mean"] == pytest.approx(0.15)
    assert found["error"] == pytest.approx(0.05)


def test_one_diverged_seed_leaves_no_mean_to_hide_it():
    found = against({0: 1.1, 1: nan}, {0: 1.0, 1: 2.0}, guess=8.3)
    assert (found["diverged"], found["mean"]) == (1, None)


def test_a_loss_above_that_of_a_guess_counts_as_diverged():
    found = against({0: 8.29, 1: 8.31}, {0: 4.0, 1: 4.0}, guess=8.3)
    assert found["diverged"] == 1
    assert found["mean"] == pytest.approx(1.075)


def test_a_run_is_compared_with_as_many_honest_nodes_as_it_has():
    results = [
        a_result(Cell("mean", "none", 0, 0, absent=2), 5.0),
        a_result(Cell("mean", "none", 0, 0, absent=1), 4.0),
        a_result(Cell("mean", "none", 0, 0), 3.0),
        a_result(Cell("krum", "echo", 2, 0), 6.0),
        a_result(Cell("krum", "echo", 1, 0), 6.0),
        a_result(Cell("krum", "none", 0, 0), 3.3),
        a_result(Cell("krum", "noise", 1, 0), 5.0, ended="round 3: momentum"),
    ]
    found = {(each["rule"], each["attack"], each["liars"]): each for each in comparisons(final_losses(results), 8.3)}
    assert found["krum", "echo", 2]["mean"] == pytest.approx(0.2)
    assert found["krum", "echo", 1]["mean"] == pytest.approx(0.5)
    assert found["krum", "none", 0]["mean"] == pytest.approx(0.1)
    assert found["krum", "noise", 1]["diverged"] == 1
