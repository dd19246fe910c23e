"""A full disk, a directory that may not be written, a second copy, a killed trainer: told in words, nothing lost."""

import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.trainer import how_it_ended
from tests.crash.lives import Lives
from tests.crash.promises import broken, verified
from tests.crash.strikes import go_on
from tests.node.processes import NodeProcess
from tests.torch_absence import need_torch

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def small_disk(tmp_path: Path, tokens: Path) -> Iterator[Lives]:
    """A node on a disk of its own, a little larger than the corpus."""
    need_torch()
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=10m", "tmpfs", str(place)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("a small disk can be mounted by root only")
    lives = Lives(tmp_path, place / "home").with_cheap_wallet().with_tokens(tokens)
    try:
        yield lives
    finally:
        lives.kill_all()
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_ends_the_node_in_words_and_nothing_is_lost(small_disk: Lives) -> None:
    go_on(small_disk, and_train=True)
    ballast = small_disk.home.parent / "ballast"
    small_disk.start()
    blocks = len(small_disk.of("final"))
    small_disk.until(lambda: len(small_disk.of("final")) > blocks)
    fill(ballast)
    assert small_disk.ended() == 1
    said = small_disk.last_words()
    assert "the disk is full: free some space and start again" in said and "Traceback" not in said
    ballast.unlink()
    go_on(small_disk, and_train=True)
    assert broken(small_disk) == [] and verified(small_disk)["ok"]


def fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


def test_a_start_on_a_full_disk_is_refused_in_words_or_runs_and_nothing_is_lost(small_disk: Lives) -> None:
    go_on(small_disk, and_train=False)
    ballast = small_disk.home.parent / "ballast"
    fill(ballast)
    small_disk.start()
    assert small_disk.ended() == 1
    assert "the disk is full: free some space and start again" in small_disk.last_words()
    assert "Traceback" not in small_disk.last_words()
    ballast.unlink()
    go_on(small_disk, and_train=False)
    assert broken(small_disk) == []


def test_a_trainer_that_is_killed_or_without_memory_is_told_of_and_goes_on_where_it_was(lives: Lives) -> None:
    lives.start()
    lives.until(lambda: len(lives.of("segment")) > 2)
    os.kill(lives.until(lives.trainer), signal.SIGKILL)
    lives.until(lambda: len(lives.of("failed")) == 1)
    trainer = lives.until(lives.trainer)
    # Too little to import torch in: how it ends is torch's matter, but it ends, and the node does not.
    resource.prlimit(trainer, resource.RLIMIT_AS, (64 << 20, 64 << 20))
    lives.until(lambda: len(lives.of("failed")) == 2)
    blocks = len(lives.of("final"))
    lives.until(lambda: len(lives.of("final")) > blocks)
    assert "memory ran out" in lives.of("failed")[0]["message"]
    assert lives.end() == 0
    go_on(lives, and_train=True)
    assert broken(lives) == [] and verified(lives)["rounds_void"] == 0


def test_a_kill_is_explained_and_other_ends_are_named() -> None:
    assert "killed (signal 9), most likely because memory ran out" in how_it_ended(-9)
    assert "--threads 1" in how_it_ended(-9)
    assert how_it_ended(-11) == "the trainer process ended with signal 11"
    assert how_it_ended(3) == "the trainer process ended with status 3"


def test_a_second_copy_names_the_first_and_leaves_it_alone(lives: Lives) -> None:
    lives.start("note:/dev/null", "--no-training")
    lives.until(lambda: lives.of("final"))
    assert lives.process is not None
    second = NodeProcess(lives.home, "--no-training").ended()
    assert second.status == 1 and f"(process {lives.process.pid})" in second.err
    blocks = len(lives.of("final"))
    lives.until(lambda: len(lives.of("final")) > blocks)
    assert lives.end() == 0 and broken(lives) == []
