"""What the doctor says of the wallet, of the node that runs, and of peers: each checked against the real thing."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from chain.crypto import ecdsa
from network.peer import NodeKey
from network.switch import Switch
from network.switch_config import SwitchConfig
from node.data_directory import DataDirectory
from node.doctor.finding import OK, PROBLEM, WARNING, Finding, Place, plain
from node.doctor.peers import judged, peers
from node.doctor.ports import answers, judged_health, listen_port
from node.doctor.wallet import wallet
from tests.node.lone_node import named, tiny_network
from tests.node.served import serving
from tests.node.test_api_peers import Silent, fail
from wallet import keystore_file
from wallet.keys import Wallet

WALLET = Wallet(bytes(range(16)))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    home = DataDirectory(tmp_path / "home")
    home.create()
    return Place(home.root)


def verdict(finding: Finding) -> str:
    assert finding.sentence.endswith(".") and bool(finding.advice) == (finding.verdict != OK)
    assert finding.sentence.isprintable()
    return finding.verdict


# ---- The wallet


def test_a_directory_without_a_wallet_is_well_before_the_first_start_and_not_after_it(place: Place) -> None:
    assert verdict(wallet(place)) == OK
    (place.directory / "network").write_bytes(b"x")
    finding = wallet(place)
    assert verdict(finding) == PROBLEM and "--token-file" in finding.advice


def test_a_whole_keystore_is_well_and_whose_it_is_and_what_opens_it_is_said(place: Place) -> None:
    kept = WALLET.to_keystore("a password", scrypt_n=2)
    keystore_file.save(place.directory / "keystore.json", kept)
    finding = wallet(place)
    assert verdict(finding) == OK and kept.address in finding.sentence and "asks for its password" in finding.sentence
    (place.directory / "keystore.password").write_text("a password")
    finding = wallet(place)
    assert verdict(finding) == OK and "made by the node" in finding.sentence and "a password" not in finding.sentence


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"[" * 100_000, b'{"address": "\x1b[2J"}'])
def test_a_damaged_keystore_is_a_problem_in_words(place: Place, content: bytes) -> None:
    (place.directory / "keystore.json").write_bytes(content)
    finding = wallet(place)
    assert verdict(finding) == PROBLEM and "--token-file" in finding.advice


def test_a_folder_in_its_place_is_a_problem(place: Place) -> None:
    (place.directory / "keystore.json").mkdir()
    assert verdict(wallet(place)) == PROBLEM


# ---- The node that runs


async def test_a_node_that_runs_is_asked_and_one_that_does_not_is_not(tmp_path: Path) -> None:
    assert verdict(answers(Place(tmp_path))) == OK
    async with serving(tmp_path / "home") as served:
        place = Place(tmp_path / "home")
        finding = await asyncio.to_thread(answers, place)
        assert verdict(finding) == OK and f"at height {served.node.store.height}" in finding.sentence
        served.node.live.trainer_failure = "no corpus\x1b[2J"
        finding = await asyncio.to_thread(answers, place)
        assert verdict(finding) == WARNING and "degraded" in finding.sentence and "No corpus?[2J" in finding.sentence
        (place.directory / "api.json").write_text('{"address": "127.0.0.1:1"}')
        assert verdict(await asyncio.to_thread(answers, place)) == WARNING


def test_each_trouble_of_a_node_is_told() -> None:
    for health, status, told in (
        ({"status": "stalled"}, {}, "stalled"),
        ({"status": "degraded", "disk_low": True}, {}, "nearly full"),
        ({"status": "degraded", "model_trouble": "lost"}, {}, "Lost"),
        ({"status": "ok"}, {"sync_refusal": "a checkpoint is wanted"}, "A checkpoint is wanted"),
        ({}, {}, "unknown"),
    ):
        finding = judged_health(health, status)
        assert verdict(finding) == WARNING and told in finding.sentence
    assert verdict(judged_health({"status": "ok", "height": 3}, {"peers": 2})) == OK


@contextmanager
def listener() -> Iterator[tuple[str, int]]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        yield "127.0.0.1", held.getsockname()[1]


def test_a_port_for_peers_that_is_taken_is_a_problem(place: Place) -> None:
    assert verdict(listen_port(place)) == OK
    with listener() as address:
        finding = listen_port(replace(place, listen=address))
        assert verdict(finding) == PROBLEM and "--listen" in finding.advice
    assert verdict(listen_port(replace(place, listen=address))) == OK


# ---- Peers


def a_switch(folder: Path, chain_id: bytes) -> Switch:
    secret = named("peer")
    key = NodeKey(ecdsa.public_key(secret), lambda digest: ecdsa.sign(secret, digest), ecdsa.verify)
    return Switch(SwitchConfig(chain_id, folder, fail, "127.0.0.1:0"), key, Silent())


def address_of(switch: Switch) -> tuple[str, int]:
    host, _, port = (switch.listen_address or "").rpartition(":")
    return host, int(port)


async def test_a_peer_of_this_network_shakes_hands_and_one_of_another_does_not(tmp_path: Path) -> None:
    network = tiny_network()
    file = tmp_path / "network-file"
    file.write_bytes(network.file_bytes())
    own, other = a_switch(tmp_path / "own", network.chain_id), a_switch(tmp_path / "other", bytes(32))
    await asyncio.gather(own.start(), other.start())
    try:
        place = Place(tmp_path / "home", network=file, peers=(address_of(own),))
        finding = await asyncio.to_thread(peers, place)
        assert verdict(finding) == OK and "1 of 1 named peers shook hands" in finding.sentence
        finding = await asyncio.to_thread(peers, replace(place, peers=(address_of(own), address_of(other))))
        assert (
            verdict(finding) == WARNING
            and "1 of 2" in finding.sentence
            and "it belongs to network 0000" in finding.sentence
        )
    finally:
        await asyncio.gather(own.stop(), other.stop())


def test_what_answers_nothing_or_something_else_is_told(tmp_path: Path) -> None:
    file = tmp_path / "network-file"
    file.write_bytes(tiny_network().file_bytes())
    finding = peers(Place(tmp_path / "home", network=file, peers=(("127.0.0.1", 1),)))
    assert verdict(finding) == WARNING and "0 of 1" in finding.sentence and "127.0.0.1:1" in finding.sentence


def test_without_a_network_the_ports_are_tried_and_the_reader_is_told_what_was_not_asked(tmp_path: Path) -> None:
    assert verdict(peers(Place(tmp_path / "home"))) == OK
    with listener() as address:
        finding = peers(Place(tmp_path / "home", peers=(address,)))
        assert verdict(finding) == OK and "--network" in finding.sentence
    finding = peers(Place(tmp_path / "home", peers=(address,)))
    assert verdict(finding) == WARNING and "0 of 1" in finding.sentence
    (tmp_path / "no-network").write_bytes(b"nothing")
    with listener() as address:
        place = Place(tmp_path / "home", network=tmp_path / "no-network", peers=(address,))
        assert "no network file" in peers(place).sentence


def test_many_faults_are_cut_and_made_harmless() -> None:
    finding = judged(
        {f"h{number}:1": f"gone\x1b[31m {number}" for number in range(9)} | {"good:1": None}, "shook hands"
    )
    assert verdict(finding) == WARNING and "1 of 10" in finding.sentence and "and 5 more" in finding.sentence
    assert plain("x" * 1_000) == "x" * 300 and plain("a\nb\x1b") == "a?b?"
