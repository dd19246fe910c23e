"""The calibration of audits: real segments, cheats that are what they say, bounds that are not too sure."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.calibration.auditor import Auditor
from bench.calibration.cheats import CHEATS, Case
from bench.calibration.numerics import SETTINGS, environment, products_by, shortened
from bench.calibration.records import append, distances, read
from bench.calibration.summary import rate_bound, summary, tolerances, within
from bench.calibration.trajectory import Size, segments
from training import products
from training.layout import ModelConfig

CONFIG = ModelConfig(
    vocabulary=4096, width=16, layers=1, heads=2, kv_heads=1, ffn_width=24, context=64, rope_base=10_000
)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokens")
    chance = np.random.default_rng(1)
    np.save(folder / "train.npy", (4096 * chance.random(5_000) ** 3).astype(np.uint16))
    return folder


@pytest.fixture(scope="module")
def size(data):
    return replace(Size.load("lab", data, 20), model=CONFIG)


@pytest.fixture(scope="module")
def case(size):
    loop = size.loop()
    found = [
        Case(size, loop, start, ended, np.random.default_rng(3))
        for start, ended in segments(size, loop, 0, (10,))
        if start.shift is not None
    ]
    return found[0]


def test_a_trajectory_visits_rounds_fresh_and_carried(size):
    starts = [start for start, _ in segments(size, size.loop(), 0, (10,))]
    assert [start.round_number for start in starts] == [0, 0, 2, 2, 9, 9, 50, 50, 400, 400]
    assert [start.before.steps_done for start in starts] == [0, 10] * 5
    assert {start.before.v_steps for start in starts if start.fresh} == {0}
    assert all(start.before.v_steps > 0 for start in starts if not start.fresh)


def test_a_segment_replayed_here_has_the_bits_of_the_trajectory(case):
    again = case.train(case.draw())
    assert distances(case.start.before, case.honest, again)["theta"] == 0


@pytest.mark.parametrize("kind", [kind for kind in CHEATS if kind not in ("noise 1e-4", "noise 1e-5", "TF32 products")])
def test_every_cheat_is_found(case, kind):
    forged = CHEATS[kind](case)
    assert forged is not None and forged.steps_done == case.honest.steps_done
    assert not within(distances(case.start.before, forged, case.honest), tolerances())


def test_shortened_products_keep_the_bits_they_say():
    x = torch.tensor([[1 + 2.0**-10, 1 + 2.0**-11, 1 + 2.0**-9]])
    assert torch.equal(
        shortened("tf32")(x.t(), torch.ones(1, 1)).flatten(), torch.tensor([1 + 2.0**-10, 1, 1 + 2.0**-9])
    )
    usual = products.product
    with products_by(shortened("bf16")):
        assert products.product is not usual
    assert products.product is usual


def test_a_child_of_another_numerics_answers_with_its_end(data):
    size = Size.load("lab", data, 20)
    start, ended = next(iter(segments(size, size.loop(), 0, (10,))))
    # Not all 250 steps of a round: what the child takes for its schedule does not matter to the first ten.
    child = Auditor("oldest", "lab", data)
    child.ask(start)
    found = distances(start.before, ended, child.answer())
    child.close()
    assert within(found, tolerances())


def test_a_setting_starts_from_a_clean_environment(monkeypatch):
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    assert "MKL_CBWR" not in environment("plain")
    for name in SETTINGS:
        assert environment(name).items() >= SETTINGS[name].items()


def test_lines_survive_a_half_written_one(tmp_path):
    path = tmp_path / "more" / "lines.jsonl"
    append(path, {"kind": "honest"})
    with path.open("a") as file:
        file.write('{"kind": "ho')
    assert list(read([path, tmp_path / "missing"])) == [{"kind": "honest"}]


def test_the_bound_of_a_rate_is_the_rule_of_three_where_nothing_was_seen():
    assert rate_bound(0, 10_000) == pytest.approx(3e-4, rel=2e-3)
    # One in 100: 4.66 % by Clopper and Pearson.
    assert rate_bound(1, 100) == pytest.approx(0.0466, rel=1e-2)
    assert rate_bound(5, 5) == rate_bound(0, 0) == 1.0


def test_what_is_not_finite_is_never_within():
    record = {"kind": "honest", "size": "lab", "setting": "oldest", "round": 0, "step": 0, "steps": 10, "rate": 1.0}
    record = {**record, "fresh": True, "trajectory": 0, "theta": None, "m": 0.0, "v": 0.0}
    found = summary([record, {**record, "theta": 0.0}], tolerances())
    assert found["false_accusations"] == 1 and found["honest_replays"] == 2
    assert json.loads(json.dumps(found))
