"""Four processes train one model: the same after every round on each node, whoever dies, and on who only looks on."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.model_store import load_base
from node.network_file import kept_network
from node.template import Learning
from tests.localnet.test_localnet import Localnet, until
from tests.node.processes import NodeProcess
from tests.torch_absence import need_torch

# Whoever is late is waited for so long, in blocks: the test kills one.
GRACE = "chain.grace_blocks_minimum=20"
# One may die: more than two thirds of the work is done without it, so the round does not wait for the deadline.
NODES = 4


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Localnet]:
    """Three validators that train, and a node that only trains."""
    need_torch()
    net = Localnet(tmp_path / "net", "--nodes", str(NODES), "--validators", "3", "--set", GRACE)
    yield net
    if net.process.poll() is None:
        net.process.kill()
        net.process.communicate()


def measured(net: Localnet, node: dict[str, Any], after: int = 0) -> dict[int, dict[str, Any]]:
    """The closed rounds above `after` whose model this node has, and has measured."""
    rounds = net.ask(node, "rounds?limit=50").get("rounds", [])
    return {each["round"]: each for each in rounds if each["round"] > after and each["validation_loss"] is not None}


def counted(each: dict[str, Any]) -> int:
    return sum(payload["counted"] is True for payload in each["payloads"])


def model_root(home: Path, learning: Learning, number: int) -> str:
    """Of the model file after this round, verified from its weights; nothing if there is none."""
    path = home / "model" / f"outer-{number}.safetensors"
    return load_base(path, learning).root.hex() if path.exists() else ""


@pytest.mark.timeout(480)
def test_all_nodes_have_the_same_model_after_every_round_whoever_dies(net: Localnet, tmp_path: Path) -> None:
    nodes = net.addresses()
    until(lambda: sum(counted(each) == NODES for each in measured(net, nodes[-1]).values()) >= 2, net.said)
    told = [until(lambda node=node: len(found := measured(net, node)) > 1 and found, net.said) for node in nodes]
    shared = sorted(set.intersection(*(set(each) for each in told)))
    assert len(shared) >= 2
    for number in shared:
        # The ledger's root is the same for all, and the loss is what each has measured on its own model.
        found = {(str(each[number]["outcome"]), each[number]["validation_loss"]) for each in told}
        assert len(found) == 1, found
    assert told[0][shared[-1]]["validation_loss"] < told[0][shared[0]]["loss_before"] - 0.05

    os.kill(nodes[-1]["pid"], signal.SIGKILL)
    last = max(measured(net, nodes[0]))
    network = net.root / "network"
    joining = ["--no-training", "--network", str(network), "--allow-local"]
    observer = NodeProcess(tmp_path / "observer", *joining, *(f"--peer={node['listen']}" for node in nodes[:-1]))
    after = until(lambda: measured(net, nodes[0], last + 1), net.said)
    assert all(counted(each) == NODES - 1 for each in after.values())

    learning = Learning.of(kept_network(network))

    def agrees() -> bool:
        """The observer has a model that the ledger calls so: by what rounds accepted, for it has no payload."""
        path = max((observer.home / "model").glob("outer-*"), default=None, key=lambda each: each.stat().st_mtime)
        number = 0 if path is None else int(path.stem.removeprefix("outer-"))
        outcome = measured(net, nodes[0]).get(number, {}).get("outcome") if number > last else None
        return outcome is not None and model_root(observer.home, learning, number) == outcome["outer_root"]

    until(agrees, net.said)
    assert list((observer.home / "payloads").iterdir()) == []
    assert observer.end().status == 0 and net.end()[0] == 0
