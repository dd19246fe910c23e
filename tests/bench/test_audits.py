"""What `bench audits` makes of its runs: seeds add up, shares are those of the rules, and growth ends at the seats."""

import json

import pytest

from bench.audits import read_records
from bench.audits_growth import audit_bytes, by_nodes, by_size, ledger_bytes, predicted_share, profile
from bench.audits_report import figures, summary
from chain.genesis import PARAMETER_MAXIMUM


def a_cheat(lots: int, caught: int, expected: float) -> dict[str, float]:
    return {"lots": lots, "drawn": lots, "caught": caught, "expected": expected, "variance": expected / 2}


def a_parade(seed: int, **cheat: float) -> dict[str, object]:
    return {
        "run": f"parade {seed}",
        "cheats": {"one": a_cheat(**cheat)},  # type: ignore[arg-type]
        "vesting": {"one": seed},
        "vesting_of_the_honest": 10,
        "rounds_to_conviction": {"one": [seed + 1, seed + 2]},
        "blocks_to_forfeit": [5 + seed],
        "honest_audits": 7,
        "false_accusations": 0,
        "innocent_segments": 0,
    }


def test_runs_of_several_seeds_are_added_up():
    runs = (a_parade(0, lots=10, caught=4, expected=3.0), a_parade(1, lots=30, caught=10, expected=12.0))
    found = summary({str(run["run"]): run for run in runs})
    assert (found["cheats"]["one"]["rate"], found["cheats"]["one"]["predicted"]) == (14 / 40, 15 / 40)
    assert found["cheats"]["one"]["deviations"] == pytest.approx(-1 / 7.5**0.5)
    assert found["cheats"]["one"]["still_vesting"] == 1 / 20
    assert found["time"]["rounds_to_conviction"]["one"] == {"p50": 2, "p99": 3, "count": 4}
    assert found["honest"] == {"audits": 14, "false_accusations": 0}
    assert {figure[0] for figure in figures(found)} >= {"cheats.one", "false_accusations", "blocks_to_forfeit_p50"}


def test_half_a_line_of_a_killed_run_is_no_result(tmp_path):
    path = tmp_path / "audits.jsonl"
    path.write_text(json.dumps({"run": "stamps 0"}) + '\n{"run": "sta')
    assert read_records(path) == {"stamps 0": {"run": "stamps 0"}}
    assert read_records(tmp_path / "none") == {}


def test_the_share_is_the_rate_over_the_segments_and_a_little_more():
    main = profile("main")
    assert (main.segments, main.segment_steps) == (20, 25)
    assert predicted_share(main, 0.4) == pytest.approx(0.4 / 20 * 1.1 * 1.05)
    assert predicted_share(main, 0.4) < 0.05


def test_beyond_the_seats_more_nodes_bring_no_more_audits():
    few, seats, *more = by_nodes(profile("main"))
    assert few["audits"] == pytest.approx(0.4 * 4)
    assert all({**row, "nodes": 64} == seats for row in more)


def test_an_audit_names_every_inner_state_on_the_ledger():
    each, other = ledger_bytes(25), ledger_bytes(10)
    assert each["VerdictReveal"] - other["VerdictReveal"] == 15 * 32
    assert sum(each.values()) < audit_bytes(profile("main")) < 2 * sum(each.values()) < PARAMETER_MAXIMUM


def test_bytes_and_work_of_an_audit_grow_with_the_model():
    small, *_, large = by_size(profile("main"), 28.0)
    times = large["parameters"] / small["parameters"]
    for name in ("fetched_bytes", "replay_flops", "disk_until_drawn_bytes"):
        assert large[name] == pytest.approx(times * small[name])
    assert small["disk_until_drawn_bytes"] == 21 * 12 * small["parameters"]
