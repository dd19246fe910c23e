"""`neuroshard localnet` with real processes: one chain, whoever dies is seen, and none is left when it ends."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.node.processes import ROOT, is_alive

PATIENCE_SECONDS = 120
BLOCKS = "chain.block_interval_max_ms=200"


def until(found: Callable[[], Any], words: Callable[[], str]) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if answer := found():
            return answer
        time.sleep(0.05)
    raise AssertionError(words())


class Localnet:
    """The command, running."""

    def __init__(self, root: Path, *arguments: str) -> None:
        self.root = root
        clean = {name: value for name, value in os.environ.items() if not name.startswith("NEUROSHARD")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "node", "localnet", "--data-dir", str(root), "--json", *arguments],
            cwd=ROOT, env=clean, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def addresses(self) -> list[dict[str, Any]]:
        """Where its nodes are, once all have been started."""

        def read() -> list[dict[str, Any]]:
            try:
                found: list[dict[str, Any]] = json.loads((self.root / "localnet.json").read_text())["addresses"]
            except OSError:
                return []
            return found

        found: list[dict[str, Any]] = until(read, self.said)
        return found

    def ask(self, node: dict[str, Any], path: str) -> dict[str, Any]:
        """What a node's API answers; nothing while it does not."""
        try:
            with urllib.request.urlopen(f"http://{node['api']}/v1/{path}", timeout=5) as answer:
                found: dict[str, Any] = json.loads(answer.read())
        except OSError:
            return {}
        return found

    def height(self, node: dict[str, Any]) -> int:
        return int(self.ask(node, "status").get("height", -1))

    def reaches(self, nodes: list[dict[str, Any]], height: int) -> None:
        until(lambda: all(self.height(node) >= height for node in nodes), self.said)

    def said(self) -> str:
        self.process.kill()
        out, err = self.process.communicate()
        return out + err + "".join(path.read_text() for path in (self.root / "output").glob("*"))

    def end(self) -> tuple[int, dict[str, Any], str]:
        """As Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=PATIENCE_SECONDS)
        return self.process.returncode, json.loads(out), err


@pytest.fixture
def running(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Localnet]:
    options = ("--no-training", "--validators", "1", "--set", BLOCKS)
    net = Localnet(tmp_path / "net", "--nodes", str(request.param), *options)
    yield net
    if net.process.poll() is None:
        net.process.kill()
        net.process.communicate()


@pytest.mark.parametrize("running", [3], indirect=True)
def test_nodes_share_one_chain_a_dead_one_is_seen_and_ctrl_c_ends_all(running: Localnet) -> None:
    nodes = running.addresses()
    running.reaches(nodes, 2)
    os.kill(nodes[2]["pid"], signal.SIGKILL)
    running.reaches(nodes[:2], running.height(nodes[0]) + 2)
    status, found, told = running.end()
    assert status == 0 and not any(is_alive(node["pid"]) for node in nodes)
    assert "node 2 ended with SIGKILL: Others can connect to" in told
    assert [row["state"] for row in found["nodes"]] == ["runs", "runs", "ended"]
    assert [row["role"] for row in found["nodes"][:2]] == ["validator", "observer"]
    assert all(row["listen"] == node["listen"] for row, node in zip(found["nodes"], nodes, strict=True))


@pytest.mark.parametrize("running", [2], indirect=True)
def test_when_it_is_killed_its_nodes_end_too_and_the_next_start_goes_on(running: Localnet) -> None:
    nodes = running.addresses()
    running.reaches(nodes, 2)
    height = running.height(nodes[0])
    os.kill(nodes[1]["pid"], signal.SIGSTOP)  # One that stands still has to notice too.
    running.process.kill()
    running.process.communicate()
    until(lambda: not any(is_alive(node["pid"]) for node in nodes), lambda: "a node is left running")
    again = Localnet(running.root, "--no-training", "--nodes", "1", "--until-height", str(height + 1))
    out, err = again.process.communicate(timeout=PATIENCE_SECONDS)
    assert again.process.returncode == 0, err
    assert all(row["height"] > height for row in json.loads(out)["nodes"])
