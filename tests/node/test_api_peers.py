"""What the API tells of peers is what the switch knows: who is connected, and who is banned and why."""

from pathlib import Path
from types import SimpleNamespace

from chain.crypto import ecdsa
from network.kinds import STATUS
from network.peer import TRAINER, VALIDATOR, NodeKey
from network.switch import Switch
from network.switch_config import SwitchConfig
from node.api.peer_answers import BANS_SHOWN
from node.api.schemas import Peers
from tests.node.lone_node import named
from tests.node.served import serving


class Silent:
    """A listener that does nothing."""

    def joined(self, peer: object) -> None: ...

    def left(self, key: bytes) -> None: ...

    def received(self, key: bytes, kind: int, payload: bytes) -> None: ...


def fail(error: BaseException) -> None:
    raise error


def a_switch(folder: Path, name: str, *seeds: str, listen: str | None = None, roles: int = 0) -> Switch:
    secret = named(name)
    key = NodeKey(ecdsa.public_key(secret), lambda digest: ecdsa.sign(secret, digest), ecdsa.verify)
    config = SwitchConfig(bytes(32), folder / name, fail, listen, seeds=seeds, roles=roles, agent=name)
    return Switch(config, key, Silent())


async def test_a_node_without_a_network_has_no_peers(tmp_path: Path) -> None:
    async with serving(tmp_path / "home") as served:
        assert await served.get("/v1/peers") == {"peers": [], "bans": [], "banned": 0}


async def test_peers_are_told_with_score_and_traffic_and_then_as_banned(tmp_path: Path) -> None:
    first = a_switch(tmp_path, "first", listen="127.0.0.1:0")
    await first.start()
    second = a_switch(tmp_path, "second", first.listen_address or "", roles=TRAINER | VALIDATOR)
    await second.start()
    try:
        async with serving(tmp_path / "home") as served:
            served.node.membership = SimpleNamespace(switch=first, peers=1, listens_at="", peer_height=0)
            await served.until("/v1/peers", lambda found: found["peers"])
            [key] = first.peers
            second.send(ecdsa.public_key(named("first")), STATUS, b"news")
            first.blame(key, 30, "slow\n")
            told = await served.until("/v1/peers", lambda found: found["peers"][0]["messages_in"] > 1)
            assert Peers().validate(told) == {}
            [peer] = told["peers"]
            assert (peer["key"], peer["agent"], peer["listen"]) == (key.hex(), "second", "")
            assert (peer["roles"], peer["validator"]) == (["trainer", "validator"], False)
            assert (peer["score"], peer["reasons"], peer["outbound"]) == (-30, ["slow?"], False)
            first.blame(key, 100, "malformed")
            told = await served.get("/v1/peers")
            assert Peers().validate(told) == {} and told["peers"] == [] and told["banned"] == 1
            [ban] = told["bans"]
            assert (ban["key"], ban["reasons"], ban["host"]) == (key.hex(), ["slow?", "malformed"], None)
            assert 3_590 <= ban["remaining_seconds"] <= 3_600
            for number in range(BANS_SHOWN + 5):
                first.roster.scores.ban(named(str(number)) + b"x", "", False, first.roster.now_ms())
            told = await served.get("/v1/peers")
            assert len(told["bans"]) == BANS_SHOWN and told["banned"] == BANS_SHOWN + 6
            served.node.membership = None
    finally:
        await second.stop()
        await first.stop()
