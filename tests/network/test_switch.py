"""The switch: connections come about, one for each peer, last, and come back; what peers do wrong has consequences."""

import asyncio
import json
import logging
import socket
from itertools import combinations

import pytest

from network import dialling, memory
from network.exchange import encode_addresses
from network.kinds import ADDRESSES, ADDRESSES_REQUEST, STATUS, VOTE
from network.scores import BAN_MS
from network.subnets import Address
from tests.network.switches import Stranger, network, node_key, ordered_names, until


def key_of(name: str) -> bytes:
    return node_key(name).public_key


async def test_two_nodes_meet_and_exchange_messages(tmp_path):
    async with network(tmp_path) as net:
        first = await net.start("first", agent="neuroshard 1", roles=3)
        second = await net.start("second", first.listen_address, listen=None)
        await until(lambda: net.connected("first", "second") and net.connected("second", "first"))
        peer = second.peers[key_of("first")]
        assert (peer.outbound, peer.roles, peer.agent, peer.listen) == (True, 3, "neuroshard 1", first.listen_address)
        second.send(key_of("first"), VOTE, b"a vote")
        first.send(key_of("second"), STATUS, b"for a node that only dials out")
        first.send(key_of("nobody"), STATUS, b"lost")
        await until(lambda: net.heard["first"].messages and net.heard["second"].messages)
        assert net.heard["first"].messages == [(key_of("second"), VOTE, b"a vote")]
        assert net.heard["second"].messages == [(key_of("first"), STATUS, b"for a node that only dials out")]
        (report,) = first.report()
        assert report.peer.key == key_of("second") and report.score == 0 and report.connection.messages_in[VOTE] == 1


async def test_nodes_that_know_a_third_one_only_find_each_other(tmp_path):
    async with network(tmp_path) as net:
        middle = await net.start("middle")
        await net.start("left", middle.listen_address)
        await until(lambda: net.connected("middle", "left"))
        await net.start("right", middle.listen_address)
        await until(lambda: net.connected("left", "middle", "right") and net.connected("right", "middle", "left"))


async def test_nodes_that_dial_each_other_at_once_keep_one_connection(tmp_path):
    ports = free_ports(2)
    small, large = ordered_names()
    async with network(tmp_path) as net:
        addresses = [f"127.0.0.1:{port}" for port in ports]
        await asyncio.gather(
            net.start(small, addresses[1], listen=addresses[0]), net.start(large, addresses[0], listen=addresses[1])
        )
        await until(lambda: net.connected(small, large) and net.connected(large, small))
        for _ in range(20):
            await asyncio.sleep(0.02)
            assert net.connected(small, large) and net.connected(large, small)
        await until(lambda: is_one_connection(net, small, large))


async def test_a_mesh_of_nodes_that_all_dial_each_other_comes_to_rest(tmp_path):
    names = [f"node {number}" for number in range(6)]
    addresses = [f"127.0.0.1:{port}" for port in free_ports(len(names))]
    async with network(tmp_path) as net:
        await asyncio.gather(
            *(net.start(name, *addresses, listen=own) for name, own in zip(names, addresses, strict=True))
        )

        def is_whole():
            return all(net.connected(name, *(other for other in names if other != name)) for name in names)

        await until(is_whole)
        for _ in range(20):
            await asyncio.sleep(0.02)
            assert is_whole()
        await until(lambda: all(is_one_connection(net, one, two) for one, two in combinations(names, 2)))


def is_one_connection(net, one: str, two: str) -> bool:
    """Whether both nodes hold the same connection: the one has dialled, the other not."""
    there, here = net.running[one].peers[key_of(two)], net.running[two].peers[key_of(one)]
    return there.outbound != here.outbound


async def test_a_node_that_dials_itself_notices_and_stops(tmp_path):
    (port,) = free_ports(1)
    async with network(tmp_path) as net:
        own = f"127.0.0.1:{port}"
        switch = await net.start("one", own, listen=own)
        await until(lambda: switch.roster.book.is_own(Address("127.0.0.1", port)))
        assert net.connected("one")


async def test_a_seed_that_was_away_is_found_again_at_the_same_address(tmp_path):
    async with network(tmp_path) as net:
        address = (await net.start("server")).listen_address
        await net.start("client", address, listen=None)
        await until(lambda: net.connected("client", "server"))
        await net.stop("server")
        await until(lambda: net.connected("client"))
        await net.start("server", listen=address)
        await until(lambda: net.connected("client", "server") and net.connected("server", "client"))


async def test_a_peer_of_the_book_that_was_away_is_found_again(tmp_path, monkeypatch):
    monkeypatch.setattr(dialling, "REFUSED_MS", 100)
    async with network(tmp_path) as net:
        address = (await net.start("server", listen="127.0.0.1:0")).listen_address
        client = await net.start("client", listen=None)
        client.roster.book.add(Address("127.0.0.1", int(address.rpartition(":")[2])), "127.0.0.1", False)
        await until(lambda: net.connected("client", "server"))
        await net.stop("server")
        await until(lambda: net.connected("client"))
        await net.start("server", listen=address)
        await until(lambda: net.connected("client", "server"))


async def test_after_a_restart_the_anchors_are_dialled_without_any_seed(tmp_path):
    async with network(tmp_path) as net:
        address = (await net.start("server")).listen_address
        await net.start("client", address, listen=None)
        await until(lambda: net.connected("client", "server"))
        await net.stop("client")
        saved = json.loads((tmp_path / "client" / memory.NAME).read_text())
        assert saved["anchors"] == [address]
        (tmp_path / "client" / memory.NAME).write_text(json.dumps({**saved, "addresses": []}))
        await net.start("client", listen=None)
        await until(lambda: net.connected("client", "server"))


@pytest.mark.parametrize(
    "content",
    ["{", '{"version": 1, "scores": [[1]]}', '{"version": 1, "anchors": ["x"]}', '{"version": 1, "scores": 1}'],
)
async def test_a_damaged_memory_is_a_line_in_the_log_and_an_empty_start(tmp_path, caplog, content):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / memory.NAME).write_text(content)
    async with network(tmp_path) as net:
        await net.start("one", listen=None)
        assert [record.levelname for record in caplog.records if "damaged" in record.message] == ["WARNING"]
    assert json.loads((tmp_path / "one" / memory.NAME).read_text())["anchors"] == []


async def test_a_fault_of_ours_reaches_the_node(tmp_path):
    async with network(tmp_path) as net:
        first = await net.start("first")
        second = await net.start("second", first.listen_address, listen=None)
        await until(lambda: net.connected("second", "first") and net.connected("first", "second"))

        def fail(*_: object) -> None:
            raise RuntimeError("a bug")

        net.heard["first"].received = fail
        second.send(key_of("first"), VOTE, b"")
        await until(lambda: net.errors)
        assert [str(error) for error in net.errors] == ["a bug"] and net.connected("first", "second")
        net.errors.clear()


# ---- Bans


async def test_a_banned_peer_is_put_out_kept_out_and_shown(tmp_path, caplog):
    async with network(tmp_path) as net:
        server = await net.start("server")
        stranger = Stranger("bad")
        await stranger.dial(server.listen_address)
        await until(lambda: net.connected("server", "bad"))
        server.blame(stranger.key.public_key, 60, "a bad block")
        assert net.connected("server", "bad") and server.report()[0].score == -60
        server.blame(stranger.key.public_key, 40, "a bad\nvote")
        assert net.connected("server")
        await until(lambda: stranger.ended)
        assert "banned for 3600 s: a bad?vote" in stranger.ended
        (ban,) = server.bans()
        assert ban.key == stranger.key.public_key and ban.reasons == ("a bad block", "a bad?vote")
        assert ban.host == ""  # The loopback stands for many nodes.
        lines = [record.message for record in caplog.records if record.levelname == "WARNING"]
        assert len(lines) == 1 and ban.address in lines[0] and "a bad?vote" in lines[0]
        await stranger.close()

        await net.stop("server")
        server = await net.start("server")
        assert BAN_MS - 60_000 < server.bans()[0].remaining_ms <= BAN_MS
        again = Stranger("bad")
        await again.dial(server.listen_address)
        await until(lambda: again.ended)
        assert "banned" in again.ended and net.heard["server"].joins == 0
        await again.close()


async def test_blame_for_a_peer_that_has_left_counts(tmp_path):
    async with network(tmp_path) as net:
        server = await net.start("server")
        stranger = Stranger("bad")
        await stranger.dial(server.listen_address)
        await until(lambda: net.connected("server", "bad"))
        await stranger.close()
        await until(lambda: net.connected("server"))
        server.blame(stranger.key.public_key, 100, "its block was bad")
        assert [ban.key for ban in server.bans()] == [stranger.key.public_key]
        server.blame(b"nobody", 100, "never seen")
        assert len(server.bans()) == 1


async def test_what_the_connection_finds_wrong_counts(tmp_path):
    async with network(tmp_path) as net:
        server = await net.start("server")
        stranger = Stranger("bad")
        connection = await stranger.dial(server.listen_address)
        await until(lambda: net.connected("server", "bad"))
        await connection._socket.send_str("text")
        await until(server.bans)
        assert net.connected("server")
        await stranger.close()


async def test_a_seed_is_banned_for_a_minute_only(tmp_path):
    async with network(tmp_path) as net:
        seed = await net.start("seed")
        client = await net.start("client", seed.listen_address, listen=None)
        await until(lambda: net.connected("client", "seed"))
        client.blame(key_of("seed"), 100, "perhaps our own bug")
        (ban,) = client.bans()
        assert ban.remaining_ms <= 60_000
        assert net.connected("client")


# ---- Peer exchange on the wire


async def test_addresses_that_nobody_asked_for_are_blamed_and_not_taken(tmp_path):
    async with network(tmp_path) as net:
        server = await net.start("server")
        stranger = Stranger("loud")
        connection = await stranger.dial(server.listen_address)
        await until(lambda: net.connected("server", "loud"))
        for number in range(5):
            connection.send(ADDRESSES, encode_addresses([Address(f"20.0.{number}.1", 1)]))
        await until(server.bans)
        assert len(server.roster.book) == 0 and net.heard["server"].messages == []
        assert server.bans()[0].reasons == ("addresses that nobody asked for",) * 5
        await stranger.close()


async def test_a_peer_that_asks_gets_addresses_once_a_minute(tmp_path):
    async with network(tmp_path) as net:
        server = await net.start("server")
        assert server.roster.book.add(Address("20.0.0.1", 1), "127.0.0.1", False)
        server.roster.book.failed(Address("20.0.0.1", 1), 10**12, is_online=False)
        stranger = Stranger("curious")
        connection = await stranger.dial(server.listen_address)
        for _ in range(3):
            connection.send(ADDRESSES_REQUEST, b"")
        connection.send(VOTE, b"last")
        await until(lambda: net.heard["server"].messages)
        await until(lambda: stranger.heard)
        assert stranger.heard == [(ADDRESSES, encode_addresses([Address("20.0.0.1", 1)]))]
        await stranger.close()


async def test_where_a_peer_listens_is_learnt_from_itself(tmp_path):
    async with network(tmp_path) as net:
        server = await net.start("server", outbound=0)
        stranger = Stranger("one", listen="0.0.0.0:7777")
        await stranger.dial(server.listen_address)
        await until(lambda: net.connected("server", "one"))
        entry = server.roster.book.get(Address("127.0.0.1", 7777))
        assert entry.claimed_by == stranger.key.public_key and entry.from_inbound
        await stranger.close()


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


# ---- Dialling a seed that is not there


async def test_trouble_with_a_seed_is_told_once_and_dialling_goes_on(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(dialling, "BACKOFF_MS", 2)
    monkeypatch.setattr(dialling, "BACKOFF_MAXIMUM_MS", 4)
    caplog.set_level(logging.INFO)
    async with network(tmp_path) as net:
        (port,) = free_ports(1)
        switch = await net.start("one", f"127.0.0.1:{port}", "not an address", listen=None)
        dials = []
        dial = switch._dialling._dial

        async def counted(address):
            dials.append(address)
            return await dial(address)

        switch._dialling._dial = counted
        await until(lambda: len(dials) >= 5)
        told = [record.message for record in caplog.records if record.name == "neuroshard.network"]
        assert len([line for line in told if str(port) in line]) == 1
        assert len([line for line in told if "not an address" in line]) == 1
        await net.start("late", listen=f"127.0.0.1:{port}")
        await until(lambda: net.connected("one", "late"))
