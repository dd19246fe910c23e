"""A node's life in real processes, lived once and looked at by many tests.

It is killed, its trainer is killed, Ctrl-C stops it, and it ends by having reached its round.
"""

import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from node.home import open_home
from node.settings import Settings
from node.template import create_network, read_template, template_path
from node.wallet_files import Secrets
from tests.node.processes import PASSWORD, Ended, NodeProcess, is_alive, wait_for
from wallet.keys import Wallet

WORDS = Wallet(bytes(range(16))).words()
# Long rounds of short segments, so that a signal meets a round in the middle.
NUMBERS = {"chain.inner_steps": 30, "chain.segment_steps": 3}
ROUNDS = 2  # closed in this life; it ends in the third


@dataclass
class Life:
    """What was seen, in the order in which it happened."""

    home: Path
    first_status: dict[str, Any] = field(default_factory=dict)
    before_kill: bytes = b""  # the segments of round 1 on disk when node and trainer were gone
    resumed_status: dict[str, Any] = field(default_factory=dict)
    after_kill: bytes = b""
    trainers: list[int] = field(default_factory=list)
    after_trainer_kill: dict[str, Any] = field(default_factory=dict)
    refused: bytes = b""  # the API's answer to nonsense
    stopped_status: dict[str, Any] = field(default_factory=dict)
    stopped: Ended = field(default_factory=lambda: Ended(-1, "", ""))
    finished: Ended = field(default_factory=lambda: Ended(-1, "", ""))

    def segments(self, round_number: int) -> bytes:
        """The work log of a round, as it is now."""
        path = self.home / "work" / f"round-{round_number}.jsonl"
        try:
            return path.read_bytes()
        except OSError:
            return b""


def _network_file(folder: Path) -> Path:
    """A network of the wallet of `WORDS`, with longer rounds."""
    root = folder / "maker"
    home = open_home(Settings(root, None, "lab", True, False, "cpu", 1, None, None), Secrets(WORDS, PASSWORD), None)
    home.directory.unlock()
    template = read_template(template_path(), "lab")
    numbers = template["parameters"] | NUMBERS
    network = create_network({**template, "parameters": numbers}, "life", 1_700_000_000_000, home.network.validators)
    path = folder / "network-file"
    path.write_bytes(network.file_bytes())
    return path


@pytest.fixture(scope="session")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    folder = tmp_path_factory.mktemp("life")
    seen = Life(folder / "home")
    (folder / "token").write_text(WORDS + "\n")
    _first_start(seen, folder)
    _second_start(seen)
    _third_start(seen)
    return seen


def _first_start(seen: Life, folder: Path) -> None:
    """Killed in the middle of round 1."""
    arguments = ("--token-file", str(folder / "token"), "--network", str(_network_file(folder)))
    node = NodeProcess(seen.home, *arguments, environment={"NEUROSHARD_PASSWORD": PASSWORD})
    with _never_left_behind(node):
        wait_for(lambda: seen.segments(1).count(b"\n") >= 2, node)
        seen.first_status = node.status()
        trainer = wait_for(node.trainer, node)
        node.end(signal.SIGKILL)
        # It ends by itself when the node is gone.
        while is_alive(trainer):
            os.sched_yield()
        seen.before_kill = seen.segments(1)


def _second_start(seen: Life) -> None:
    """Goes on in round 1; the trainer is killed in round 2, and Ctrl-C ends it in round 3."""
    # The end of the line does not count; the second variable is misspelt.
    node = NodeProcess(seen.home, environment={"NEUROSHARD_PASSWORD": PASSWORD + "\n", "NEUROSHARD_THREAD": "3"})
    with _never_left_behind(node):
        seen.resumed_status = node.until(lambda status: True)
        seen.refused = node.told_nonsense()
        wait_for(lambda: seen.segments(1).count(b"\n") > seen.before_kill.count(b"\n"), node)
        seen.after_kill = seen.segments(1)
        wait_for(lambda: seen.segments(2).count(b"\n") >= 2, node)
        seen.trainers.append(node.trainer() or 0)
        os.kill(seen.trainers[0], signal.SIGKILL)
        seen.trainers.append(wait_for(lambda: (pid := node.trainer()) != seen.trainers[0] and pid, node))
        seen.after_trainer_kill = node.until(lambda status: status["closed_rounds"] >= 2)
        wait_for(lambda: seen.segments(3).count(b"\n") >= 2, node)
        seen.stopped_status = node.status()
        seen.stopped = node.end(signal.SIGINT)


def _third_start(seen: Life) -> None:
    """Ends by itself, since two rounds are closed."""
    arguments = ("--no-training", "--until-round", str(ROUNDS), "--json")
    node = NodeProcess(seen.home, *arguments, environment={"NEUROSHARD_PASSWORD": PASSWORD})
    with _never_left_behind(node):
        seen.finished = node.ended()


class _never_left_behind:
    """No process outlives a failed test."""

    def __init__(self, node: NodeProcess) -> None:
        self.node = node

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, *_: object) -> None:
        if self.node.process.poll() is None:
            self.node.process.kill()
            self.node.process.communicate()
