"""Eclipse: an attacker with many nodes and few networks cannot become all the peers of a node."""

import asyncio
from dataclasses import replace
from pathlib import Path
from random import Random

from network.connection import Connection
from network.dialling import Dialling, Plan
from network.peer import Peer
from network.roster import Roster
from network.slots import SlotLimits
from network.subnets import Address
from network.switch_config import SwitchConfig
from tests.network.switches import CHAIN, Heard, Stranger, network, node_key, until

VOUCHER = b"a seat among the validators"


async def test_fifty_peers_of_one_ip_address_leave_outbound_and_validator_places_free(tmp_path):
    def is_validator(_: bytes, voucher: bytes) -> bool:
        return voucher == VOUCHER

    async with network(tmp_path) as net:
        friend = await net.start("friend")
        limits = SlotLimits(inbound=8, validators=3, per_subnet=4)
        more = {"slots": limits, "is_validator": is_validator, "allow_local": False}
        server = await net.start("server", friend.listen_address, **more)
        crowd = [Stranger(number, voucher=b"forged") for number in range(50)]
        for stranger in crowd:
            await stranger.dial(server.listen_address)
        await until(lambda: sum(bool(stranger.ended) for stranger in crowd) == 46)
        assert all("too many peers of one subnet" in stranger.ended for stranger in crowd if stranger.ended)
        inbound = [peer for peer in server.peers.values() if not peer.outbound]
        assert len(inbound) == 4
        assert node_key("friend").public_key in server.peers

        validators = [Stranger(f"validator {number}", voucher=VOUCHER) for number in range(3)]
        for validator in validators:
            await validator.dial(server.listen_address)
        await until(lambda: all(validator.key.public_key in server.peers for validator in validators))
        assert sum(report.is_validator for report in server.report()) == 3
        assert all(peer.key in server.peers for peer in inbound)
        await asyncio.gather(*(stranger.close() for stranger in [*crowd, *validators]))


class Reached(Connection):
    """The end of a connection with a node far away: nothing is ever said on it."""

    def __init__(self, address: str) -> None:
        self.peer = Peer(node_key(address).public_key, address, True, 0, address, b"", "")
        self.over = asyncio.Event()

    def send(self, kind: int, payload: bytes) -> bool:
        return True

    async def run(self, *_: object) -> str:
        await self.over.wait()
        return "it has ended"

    def end(self, reason: str) -> None:
        self.over.set()

    async def close(self, reason: str) -> None:
        self.end(reason)


class Diallers:
    """The real dialling and roster, in an internet where everybody answers."""

    def __init__(self, folder: Path, outbound: int = 8, trusted: int = 2) -> None:
        self.dialled: list[str] = []
        self.errors: list[BaseException] = []
        config = SwitchConfig(CHAIN, folder, self.errors.append)
        self.roster = Roster(config, node_key("own").public_key, Heard(), Random(1), self.changed)
        plan = Plan((), outbound, trusted, allow_local=False)
        self.dialling = Dialling(plan, self.roster, self.dial, Random(1))

    def changed(self) -> None:
        self.dialling.changed()

    async def dial(self, address: str) -> Connection:
        await asyncio.sleep(0)
        self.dialled.append(address)
        return Reached(address)

    async def settle(self) -> list[Peer]:
        """The outbound peers once nothing more is dialled."""
        before = -1
        while before != len(self.dialled):
            before = len(self.dialled)
            self.dialling.changed()
            for _ in range(20):
                await asyncio.sleep(0)
        assert self.errors == []
        return list(self.roster.peers.values())


async def test_two_outbound_peers_never_come_from_those_who_dialled_us(tmp_path):
    net = Diallers(tmp_path)
    for number in range(50):
        net.roster.book.add(Address(f"20.{number}.0.1", 1), f"198.{number}.0.1", from_inbound=True)
    net.dialling.start([], net.errors.append)
    assert len(await net.settle()) == 6
    for number in range(50, 60):
        net.roster.book.add(Address(f"20.{number}.0.1", 1), f"198.{number}.0.1", from_inbound=False)
    assert len(await net.settle()) == 8
    assert sum(not link.from_inbound for link in net.roster.links) == 2
    await net.dialling.stop()


async def test_what_a_peer_tells_is_no_better_than_how_we_heard_of_it(tmp_path):
    net = Diallers(tmp_path)
    net.roster.book.add(Address("20.0.0.1", 1), "198.0.0.1", from_inbound=True)
    net.dialling.start([], net.errors.append)
    await net.settle()
    (link,) = net.roster.links
    net.roster._take_addresses(link, bytes([1]) + bytes(10) + b"\xff\xff\x14\x02\x00\x01\x00\x01")
    assert net.roster.book.get(Address("20.2.0.1", 1)).from_inbound
    await net.dialling.stop()


async def test_outbound_peers_are_of_different_providers(tmp_path):
    net = Diallers(tmp_path)
    for number in range(10):
        net.roster.book.add(Address(f"20.0.{number}.1", 1), "198.0.0.1", from_inbound=False)
    net.roster.book.add(Address("20.1.0.1", 1), "198.0.0.1", from_inbound=False)
    net.dialling.start([], net.errors.append)
    addresses = [peer.address for peer in await net.settle()]
    assert len(addresses) == 2 and "20.1.0.1:1" in addresses
    await net.dialling.stop()


async def test_banned_peers_and_their_machines_are_not_dialled(tmp_path):
    net = Diallers(tmp_path)
    for number in range(3):
        net.roster.book.add(Address(f"20.{number}.0.1", 1), "198.0.0.1", from_inbound=False)
    net.roster.book.met(Address("20.0.0.1", 1), b"bad key", now_s=1)
    now_ms = net.roster.now_ms()
    net.roster.scores.ban(b"bad key", "", False, now_ms)
    net.roster.scores.ban(b"other key", "20.1.0.1", False, now_ms)
    net.dialling.start([], net.errors.append)
    assert [peer.address for peer in await net.settle()] == ["20.2.0.1:1"]
    await net.dialling.stop()


async def test_a_peer_that_dialled_us_from_the_internet_is_banned_with_its_machine(tmp_path):
    net = Diallers(tmp_path)
    for address, is_outbound, hosts in (("20.0.0.1:9", False, ["20.0.0.1"]), ("20.1.0.1:9", True, [""])):
        connection = Reached(address)
        connection.peer = Peer(node_key(address).public_key, address, is_outbound, 0, "", b"", "")
        task = asyncio.create_task(net.roster.serve(connection, None))
        await asyncio.sleep(0)
        net.roster.blame(connection.peer.key, 100, "bad")
        assert [ban.host for ban in net.roster.bans() if ban.key == connection.peer.key] == hosts
        await task
    assert "banned" in (net.roster.admit("20.0.0.1") or "")
    assert net.roster.admit("20.0.0.2") is None and net.roster.admit("20.1.0.1") is None


async def test_when_all_places_are_taken_a_newcomer_takes_that_of_the_worst_or_is_told_why_not(tmp_path):
    net = Diallers(tmp_path)

    def come(number: int) -> tuple[Reached, asyncio.Task[str]]:
        connection = Reached(f"20.{number}.0.1:9")
        connection.peer = Peer(node_key(number).public_key, connection.peer.address, False, 0, "", b"", "")
        return connection, asyncio.create_task(net.roster.serve(connection, None))

    inbound = [come(number) for number in range(16)]
    await asyncio.sleep(0)
    refused, refusal = come(16)
    assert "all places are taken" in await refusal
    net.roster.blame(inbound[3][0].peer.key, 10, "slow")
    newcomer, served = come(17)
    await inbound[3][1]
    assert set(net.roster.peers) == {
        connection.peer.key for connection, _ in [*inbound[:3], *inbound[4:], (newcomer, served)]
    }
    for connection, task in [*inbound, (newcomer, served)]:
        connection.end("the test is over")
        await task
    assert not net.roster.peers and refused.over.is_set()


async def test_who_becomes_a_validator_later_is_noticed(tmp_path):
    net = Diallers(tmp_path)
    chosen: list[bytes] = []
    net.roster._config = replace(net.roster._config, is_validator=lambda key, voucher: key in chosen)
    links = []
    for number in range(2):
        connection = Reached(f"20.{number}.0.1:9")
        connection.peer = replace(connection.peer, outbound=False, voucher=VOUCHER)
        links.append((connection, asyncio.create_task(net.roster.serve(connection, None))))
        await asyncio.sleep(0.002)
    chosen.append(links[1][0].peer.key)
    for _ in range(2):
        net.roster.assess_next()
        await asyncio.sleep(0.002)
    assert [link.key for link in net.roster.links if link.is_validator] == chosen
    for connection, task in links:
        connection.end("the test is over")
        await task
