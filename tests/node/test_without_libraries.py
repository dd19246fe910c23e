"""Real nodes where the fast libraries, or torch, cannot be imported: whatever stands in for them, the node lives."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.node.processes import ROOT, NodeProcess
from tests.torch_absence import need_torch

FAST = ("plyvel", "pyblst", "coincurve")
# Imported by every Python that starts, the trainer's too: a module that is None there cannot be imported.
BLOCKER = "import os, sys\nsys.modules.update(dict.fromkeys(os.environ['BLOCKED'].split()))\n"


def without(folder: Path, *modules: str) -> dict[str, str]:
    """The environment of a machine that lacks these modules."""
    (folder / "blocker").mkdir()
    (folder / "blocker" / "sitecustomize.py").write_text(BLOCKER)
    return {"PYTHONPATH": str(folder / "blocker"), "BLOCKED": " ".join(modules)}


def ran(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """`neuroshard` on such a machine."""
    command = [sys.executable, "-m", "node", *arguments]
    return subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False)


def verified(home: Path, environment: dict[str, str]) -> dict[str, Any]:
    """What `neuroshard archive verify` finds on such a machine."""
    done = ran(environment, "archive", "verify", "--data-dir", str(home), "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def lived(home: Path, environment: dict[str, str], *arguments: str) -> dict[str, Any]:
    """The last words of a node that ended by itself."""
    ended = NodeProcess(home, *arguments, "--until-round", "1", "--json", environment=environment).ended()
    assert ended.status == 0, ended.err
    found: dict[str, Any] = json.loads(ended.out)
    return found


def test_without_plyvel_a_node_trains_on_lmdb_goes_on_and_is_verified(tmp_path: Path) -> None:
    home, environment = tmp_path / "home", without(tmp_path, "plyvel")
    first = lived(home, environment)
    assert (home / "ledger" / "data.mdb").exists()
    again = lived(home, environment, "--no-training")
    assert again["height"] >= first["height"] > 0 and again["outer_root"] == first["outer_root"]
    found = verified(home, environment)
    assert (found["rounds_closed"], found["outer_root"]) == (1, first["outer_root"])
    # Where there is plyvel, the ledger stays what it is.
    assert verified(home, {}) == found
    # And where there is no torch, its model is kept but not asked.
    refused = ran(environment | {"BLOCKED": "plyvel torch"}, "generate", "The", "--data-dir", str(home))
    assert refused.returncode == 1 and "text is made with torch, which cannot be imported here" in refused.stderr


def test_without_any_fast_library_and_torch_a_node_that_does_not_train_makes_blocks_and_is_verified(
    tmp_path: Path,
) -> None:
    home, environment = tmp_path / "home", without(tmp_path, *FAST, "torch")
    node = NodeProcess(home, "--no-training", environment=environment)
    status = node.until(lambda status: status["height"] >= 1)
    assert status["device"] == "none"
    ended = node.end()
    assert ended.status == 0 and "Traceback" not in ended.err
    assert verified(home, environment)["blocks"] >= 1


def test_without_torch_training_is_refused_in_words_and_nothing_is_made(tmp_path: Path) -> None:
    done = ran(without(tmp_path, "torch"), "--data-dir", str(tmp_path / "home"))
    assert (done.returncode, done.stdout) == (1, "") and not (tmp_path / "home").exists()
    assert "training needs torch, which is not installed here" in done.stderr and "--no-training" in done.stderr


def test_the_trainer_obeys_the_environment_too(tmp_path: Path) -> None:
    need_torch()
    command = [sys.executable, "-m", "node.trainer_main", str(tmp_path), "00", "cpu", "1", "auto"]
    environment = os.environ | {"NEUROSHARD_BLS": "fastest"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    assert done.returncode == 1 and b"NEUROSHARD_BLS is 'fastest': give auto, pyblst or py_ecc" in done.stdout


@pytest.mark.portability
def test_without_any_fast_library_a_round_is_trained_and_closed(tmp_path: Path) -> None:
    home, environment = tmp_path / "home", without(tmp_path, *FAST)
    closed = lived(home, environment)
    assert verified(home, environment)["outer_root"] == closed["outer_root"] == verified(home, {})["outer_root"]
