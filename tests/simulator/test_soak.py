"""The long runs: `make soak`. With SIMULATOR_OUT=FOLDER what has been done stays there, and is not done again."""

import json
import os
from pathlib import Path

import pytest

from tests.simulator.many import run_many
from tests.simulator.twins import play_many

SEEDS, SCENARIOS, BATCH = 10_000, 50_000, 1_000
pytestmark = [pytest.mark.soak, pytest.mark.timeout(0)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(os.environ.get("SIMULATOR_OUT", tmp_path))


def test_ten_thousand_seeds(folder: Path) -> None:
    found, failures = run_many(range(1, SEEDS + 1), out=folder / "simulator.jsonl")
    (folder / "simulator.json").write_text(json.dumps(found, indent=1) + "\n")
    assert not failures, found["failures"]


def test_fifty_thousand_scenarios_of_twins(folder: Path) -> None:
    out = folder / "twins.jsonl"
    done = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    for batch in range(len(done), SCENARIOS // BATCH):
        done.append(play_many(seed=batch + 1, number=BATCH))
        out.write_text("".join(json.dumps(line) + "\n" for line in done))
    assert not [violation for line in done for violation in line["violations"]]
