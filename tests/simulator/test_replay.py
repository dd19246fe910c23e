"""A scenario is its seed: it happens the same way each time, in any process, and a failure says how to see it again."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulator.bugs import BUGS, injected
from tests.simulator.many import run_many, shrunk
from tests.simulator.scenario import generate, with_settings
from tests.simulator.world import simulate

ROOT = Path(__file__).parents[2]
SEED = 9


def trace_elsewhere(hash_seed: str) -> str:
    """The trace of the seed in a process of its own, whose sets and dictionaries hash in another way."""
    command = [sys.executable, "-m", "tests.simulator", "--seed", str(SEED)]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    trace: str = json.loads(done.stdout)["trace"]
    return trace


def test_equal_seeds_give_equal_traces_whatever_hashes_are_salted_with() -> None:
    here = simulate(generate(SEED))
    assert not here.failure and here.blocks
    assert {simulate(generate(SEED)).trace, trace_elsewhere("1"), trace_elsewhere("2")} == {here.trace}
    assert simulate(generate(SEED + 1)).trace != here.trace


def test_settings_are_a_part_of_the_command_that_does_it_again() -> None:
    scenario = with_settings(generate(3), ["crash_ms=77", "adversary=liar"])
    command = scenario.command()
    words = command.partition('SET="')[2].rstrip('"').split()
    assert command.startswith("make sim SEED=3 ")
    assert with_settings(generate(3), words) == scenario
    with pytest.raises(ValueError, match="none of"):
        with_settings(scenario, ["speed=3"])


def test_a_failure_is_told_with_a_command_and_shrinks_to_a_simpler_scenario() -> None:
    bug = next(bug for bug in BUGS if bug.name == "a certificate is believed")
    scenario = with_settings(generate(1), bug.scenario_words())
    with injected(bug):
        result = simulate(scenario)
        assert "believes a certificate" in result.failure
        assert result.as_json()["command"].startswith("make sim SEED=1")
        simpler = shrunk(scenario, tries=20)
        assert simpler.chaos_ms < scenario.chaos_ms or simpler.transaction_ms == 0
        assert "believes a certificate" in simulate(simpler).failure


def test_a_run_of_many_that_was_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    out = tmp_path / "runs.jsonl"
    first, _ = run_many(range(1, 3), ("chaos_ms=1000",), jobs=1, out=out)
    before = out.read_text()
    out.write_text(before + '{"seed": 3, "fail')  # cut short
    again, _ = run_many(range(1, 4), ("chaos_ms=1000",), jobs=1, out=out)
    assert out.read_text().startswith(before)
    assert (first["seeds"], again["seeds"]) == (2, 3)
    third, _ = run_many(range(1, 4), ("chaos_ms=1000",), jobs=1, out=out)
    assert third["events"] == again["events"]
