"""What a local network is made of: made once, gone on with, never changed behind the user's back."""

import os
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from node.errors import DataDirectoryError, NodeError
from node.localnet import hosts
from node.localnet.crew import Crew, last_line
from node.localnet.hosts import API_PORT, LISTEN_PORT, Loopback, Namespaces, Place
from node.localnet.plan import NOTE, Plan, Wishes, lock, prepared
from node.network_file import kept_network


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "net"


def made(root: Path, wishes: Wishes) -> Plan:
    os.close(lock(root))
    return prepared(root, wishes)


def test_the_first_nodes_are_the_bootstrap_validators(root: Path) -> None:
    plan = made(root, Wishes(nodes=3, founders=2, numbers=("chain.epoch_blocks=7",)))
    network = kept_network(plan.network)
    assert len(network.validators) == 2 and network.params.epoch_blocks == 7
    assert all((plan.home(number) / "keystore.json").exists() for number in range(3))


def test_a_network_is_gone_on_with_and_may_get_more_nodes(root: Path) -> None:
    made(root, Wishes(nodes=2))
    before = (root / "network").read_bytes()
    plan = made(root, Wishes(nodes=3))
    assert (plan.nodes, plan.founders) == (3, 2) and (root / "network").read_bytes() == before
    assert made(root, Wishes()).nodes == 3


@pytest.mark.parametrize(
    "wishes",
    [
        Wishes(founders=1),
        Wishes(profile="dev"),
        Wishes(numbers=("chain.epoch_blocks=7",)),
        Wishes(nodes=1),
    ],
)
def test_what_cannot_be_changed_later_is_refused_with_what_to_do(root: Path, wishes: Wishes) -> None:
    made(root, Wishes(nodes=2))
    with pytest.raises(NodeError, match=r"has a network already .*choose another folder"):
        made(root, wishes)


def test_no_more_bootstrap_validators_than_nodes_or_seven(root: Path) -> None:
    with pytest.raises(NodeError, match="of 2 nodes 1 to 2 can be"):
        made(root, Wishes(nodes=2, founders=3))
    assert made(root, Wishes(nodes=2, founders=2)).founders == 2


def test_a_start_that_was_cut_short_is_gone_on_with(root: Path) -> None:
    plan = made(root, Wishes(nodes=2))
    wallet = (plan.home(0) / "keystore.json").read_bytes()
    for name in (NOTE, "network"):
        (root / name).unlink()
    assert made(root, Wishes(nodes=2)).founders == 2
    assert (plan.home(0) / "keystore.json").read_bytes() == wallet


def test_wallets_that_are_not_the_networks_are_refused(root: Path, tmp_path: Path) -> None:
    plan, other = made(root, Wishes(nodes=1)), made(tmp_path / "other", Wishes(nodes=1))
    plan.network.write_bytes(other.network.read_bytes())
    with pytest.raises(DataDirectoryError, match="are not those of its network"):
        made(root, Wishes())


def test_a_folder_with_something_else_in_it_or_a_running_localnet_is_left_alone(root: Path) -> None:
    descriptor = lock(root)
    with pytest.raises(DataDirectoryError, match="another localnet is running"):
        lock(root)
    os.close(descriptor)
    (root / "thesis.txt").write_text("years of work")
    with pytest.raises(DataDirectoryError, match=r"holds something else \(thesis.txt\)"):
        lock(root)


# ---- Where they listen


def test_ports_in_use_are_passed_over() -> None:
    with ExitStack() as held:
        for port in (LISTEN_PORT, API_PORT + 1):
            stream = held.enter_context(socket.socket())
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                stream.bind(("127.0.0.1", port))
                stream.listen()
            except OSError:
                continue  # Somebody else has it, which is as good.
        with Loopback().places(2) as places:
            taken = {places[0].listen, places[1].api}
    assert not taken & {f"127.0.0.1:{LISTEN_PORT}", f"127.0.0.1:{API_PORT + 1}"}
    assert len({address for place in places for address in (place.listen, place.api)}) == 4


@pytest.mark.parametrize(
    ("platform", "has_ip", "user", "words"),
    [
        ("darwin", True, 0, "needs Linux"),
        ("linux", False, 0, "install the package iproute2"),
        ("linux", True, 1000, "needs root"),
    ],
)
def test_where_namespaces_cannot_be_made_it_is_said_why(
    monkeypatch: pytest.MonkeyPatch, root: Path, platform: str, has_ip: bool, user: int, words: str
) -> None:
    monkeypatch.setattr(hosts.sys, "platform", platform)
    monkeypatch.setattr(hosts.shutil, "which", lambda _: "/sbin/ip" if has_ip else None)
    monkeypatch.setattr(hosts.os, "geteuid", lambda: user)
    with pytest.raises(NodeError, match=words), Namespaces(root).places(1):
        pass


def test_every_node_is_given_the_others_as_peers(root: Path) -> None:
    plan = made(root, Wishes(nodes=3, founders=1))
    places = [Place(f"127.0.0.1:{number}", f"127.0.0.1:{10 + number}") for number in range(1, 4)]
    words = Crew(plan, places, ["--no-training"], {2: ["--validator"]})._arguments(2)
    assert [words[at + 1] for at, word in enumerate(words) if word == "--peer"] == ["127.0.0.1:1", "127.0.0.1:2"]
    assert words[-2:] == ["--no-training", "--validator"] and "--allow-local" in words


def test_the_last_line_of_a_node_is_shown_without_what_acts_on_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"x" * 9000 + b"\nneuroshard: \x1b[31mthe disk is full\xff\n\n")
    assert last_line(tmp_path / "out") == "neuroshard: [31mthe disk is full\ufffd"
    assert last_line(tmp_path / "nowhere") == ""


def test_two_networks_that_start_at_once_are_given_different_ports() -> None:
    with Loopback().places(3) as first, Loopback().places(3) as second:
        ports = [address for place in (*first, *second) for address in (place.listen, place.api)]
        assert len(set(ports)) == len(ports)
