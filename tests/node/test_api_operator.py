"""What the operator may do and nobody else: the token, peers, the log, the end; and who may read from a browser."""

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from rich.console import Console

from chain.crypto import ecdsa
from network.errors import Busy
from network.switch import Switch
from node.api.faults import Refusal
from node.api.limits import BURST_SECONDS, Crowd, Limits
from node.api.operator import FAILURES, TOKEN_FILE, open_token
from node.api.operator_schemas import SettingsInEffect
from node.api.routes import ROUTES
from node.api.schemas import Ban, Peers
from node.data_directory import DataDirectory
from node.errors import NodeError
from node.logs import Logs, log_of
from node.settings import LogSettings, in_effect, settings_of
from tests.node.lone_node import named
from tests.node.served import WIDE, Served, serving
from tests.node.test_api_peers import a_switch

pytestmark = pytest.mark.asyncio(loop_scope="module")
SITE = "https://explorer.example.org"
OPERATORS = [route for route in ROUTES if route.is_operators]
KEY = ecdsa.public_key(named("nobody")).hex()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with serving(tmp_path_factory.mktemp("operator") / "home", replace(WIDE, origins=(SITE,))) as found:
        yield found


@pytest.fixture(autouse=True)
def _nobody_is_tired(served: Served) -> None:
    served.api.desk.control.failures._buckets.clear()
    served.orders.clear()


# ---- The token


async def test_the_token_is_256_bits_of_its_owner_alone_and_kept(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path)
    first = open_token(directory)
    path = tmp_path / TOKEN_FILE
    assert len(bytes.fromhex(first)) == 32 and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert open_token(directory) == first == path.read_text().strip()
    assert open_token(DataDirectory(tmp_path / "other")) != first if (tmp_path / "other").mkdir() is None else False


@pytest.mark.parametrize("content", [b"", b"abc", b"\xff\xfe", b"A" * 64, b"0" * 63])
async def test_a_damaged_token_is_no_token_and_another_is_made(tmp_path: Path, content: bytes) -> None:
    (tmp_path / TOKEN_FILE).write_bytes(content)
    made = open_token(DataDirectory(tmp_path))
    assert len(made) == 64 and made.encode() != content and open_token(DataDirectory(tmp_path)) == made


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
async def test_a_token_that_others_could_read_is_replaced(tmp_path: Path, mode: int) -> None:
    first = open_token(DataDirectory(tmp_path))
    path = tmp_path / TOKEN_FILE
    path.chmod(mode)
    assert open_token(DataDirectory(tmp_path)) != first and stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_token_that_cannot_be_kept_ends_the_start_in_words(tmp_path: Path) -> None:
    (tmp_path / TOKEN_FILE).mkdir()
    with pytest.raises(NodeError, match="something else lies in its place"):
        open_token(DataDirectory(tmp_path))


async def test_nothing_of_the_operators_is_answered_or_done_without_the_token(served: Served) -> None:
    good = served.api.desk.control.token
    wrong = ["", "Bearer", f"Basic {good}", f"Bearer {good[:-1]}", f"Bearer {good}0", f"Bearer {good.upper()}x", good]
    for route in OPERATORS:
        served.api.desk.control.failures._buckets.clear()
        reply = await served.ask(route.path, route.method, json={"level": "debug"})
        assert (reply.status, reply.code) == (401, "unauthorized") and reply.headers["WWW-Authenticate"] == "Bearer"
        assert TOKEN_FILE in reply.json["error"]["message"] and good not in reply.body.decode()
    for header in wrong:
        served.api.desk.control.failures._buckets.clear()
        reply = await served.ask("/v1/operator/settings", headers={"Authorization": header})
        assert reply.status == 401, header
    assert served.orders == [] and len(OPERATORS) == 7
    twice = [("Authorization", f"Bearer {good}"), ("Authorization", f"Bearer {good}")]
    assert (await served.ask("/v1/operator/settings", headers=twice)).status == 401


async def test_who_guesses_too_often_is_told_to_wait_and_the_operator_is_not(served: Served) -> None:
    for _ in range(FAILURES.burst):
        assert (await served.ask("/v1/operator/settings")).status == 401
    reply = await served.ask("/v1/operator/settings", headers={"Authorization": "Bearer x"})
    assert (reply.status, reply.code) == (429, "too_many_requests") and int(reply.headers["Retry-After"]) >= 1
    headers = {"Authorization": f"bearer {served.api.desk.control.token}"}
    assert (await served.ask("/v1/operator/settings", headers=headers)).status == 200
    assert (await served.ask("/v1/status")).status == 200


async def test_the_control_shows_no_token_when_it_is_printed(served: Served) -> None:
    assert served.api.desk.control.token not in repr(served.api.desk.control)


# ---- Settings, log, end


async def test_the_operator_sees_every_setting_in_effect(served: Served) -> None:
    headers = {"Authorization": f"Bearer {served.api.desk.control.token}"}
    told = (await served.ask("/v1/operator/settings", headers=headers)).json
    assert SettingsInEffect().validate(told) == {} and told["log_level"] == "info"
    assert told["settings"] == [{"name": "threads", "value": 2, "source": "flag", "where": "--threads"}]


async def test_the_log_level_and_the_end_are_handed_on_once_they_are_well_formed(served: Served) -> None:
    for content in ({"level": "loud"}, {"level": ["debug"]}, {}, {"level": "debug", "more": 1}, "debug"):
        assert (await served.order("log-level", content)).status == 400, content
    assert (await served.order("stop", {"now": True})).status == 400 and served.orders == []
    assert (await served.order("log-level", {"level": "debug"})).status == 200
    assert (await served.order("stop", {})).status == 202
    assert served.orders == ["debug", "stopped"]


async def test_the_level_of_an_open_log_changes_what_is_written(tmp_path: Path) -> None:
    with Logs(tmp_path, LogSettings(level="warning", terminal_level="error"), Console(quiet=True)) as logs:
        log_of("test").info("unseen")
        logs.level = "error"
        log_of("test").warning("gone")
        logs.level = "debug"
        assert logs.level == "debug"
        log_of("test").debug("seen")
    text = (tmp_path / "node.log").read_text()
    assert " seen " in text and "unseen" not in text and "gone" not in text


async def test_an_order_from_a_page_of_another_site_is_refused_with_the_token_too(served: Served) -> None:
    headers = {"Authorization": f"Bearer {served.api.desk.control.token}", "Origin": SITE}
    reply = await served.ask("/v1/operator/stop", "POST", json={}, headers=headers)
    assert reply.status == 403 and served.orders == []


# ---- Peers


async def test_a_node_that_meets_nobody_says_so(served: Served) -> None:
    for name, content in (("connect", {"address": "127.0.0.1:1"}), ("ban", {"key": KEY}), ("lift", {"key": KEY})):
        reply = await served.order(name, content)
        assert (reply.status, reply.code) == (409, "no_network"), name


@pytest_asyncio.fixture(loop_scope="module")
async def switches(served: Served, tmp_path: Path) -> AsyncIterator[tuple[Switch, Switch]]:
    """The served node's switch, and another one, which listens."""
    own, other = a_switch(tmp_path, "own", listen="127.0.0.1:0"), a_switch(tmp_path, "other", listen="127.0.0.1:0")
    await asyncio.gather(own.start(), other.start())
    served.node.membership = SimpleNamespace(switch=own, peers=1, listens_at="", peer_height=0)
    try:
        yield own, other
    finally:
        served.node.membership = None
        await asyncio.gather(own.stop(), other.stop())


async def connected(served: Served, switches: tuple[Switch, Switch]) -> str:
    """The operator connects the two; the other one's key."""
    reply = await served.order("connect", {"address": switches[1].listen_address})
    assert reply.status == 202, reply.body
    told = await served.until("/v1/peers", lambda found: found["peers"])
    assert Peers().validate(told) == {}
    key: str = told["peers"][0]["key"]
    return key


async def test_the_operator_connects_disconnects_bans_and_lifts(
    served: Served, switches: tuple[Switch, Switch]
) -> None:
    key = await connected(served, switches)
    assert key == ecdsa.public_key(named("other")).hex()
    assert (await served.order("disconnect", {"key": key})).status == 200
    await served.until("/v1/peers", lambda found: not found["peers"])
    assert (await served.order("disconnect", {"key": key})).status == 404
    assert (await served.order("lift", {"key": key})).status == 404
    await connected(served, switches)
    reply = await served.order("ban", {"key": key})
    assert reply.status == 200 and Ban().validate(reply.json) == {} and reply.json["remaining_seconds"] >= 3_590
    assert "banned by the operator" in reply.json["reasons"][-1]
    again = await served.order("ban", {"key": key})
    assert again.json["count"] == reply.json["count"] == 1
    told = await served.get("/v1/peers")
    assert told["peers"] == [] and told["banned"] == 1
    assert (await served.order("lift", {"key": key})).status == 200
    assert (await served.get("/v1/peers"))["banned"] == 0
    await connected(served, switches)


async def test_a_stranger_can_be_banned_and_an_order_for_nobody_is_refused(
    served: Served, switches: tuple[Switch, Switch]
) -> None:
    assert (await served.order("ban", {"key": KEY})).json["remaining_seconds"] >= 3_590
    assert (await served.order("lift", {"key": KEY})).status == 200
    assert (await served.order("disconnect", {"key": KEY})).status == 404
    for wrong in ("", KEY[:-1], KEY + "0", KEY.upper(), "04" + KEY[2:], 7, None):
        assert (await served.order("ban", {"key": wrong})).status == 400, wrong


@pytest.mark.parametrize(
    "address", ["", "nowhere", "127.0.0.1", "127.0.0.1:0", "0.0.0.0:8430", "a:b:1", "h:99999", "http://h:1", "x" * 300]
)
async def test_what_is_no_address_is_not_dialled(served: Served, switches: tuple[Switch, Switch], address: str) -> None:
    reply = await served.order("connect", {"address": address})
    assert reply.status == 400 and "address" in reply.json["error"]["faults"]


async def test_only_so_many_addresses_are_dialled_at_a_time(served: Served, switches: tuple[Switch, Switch]) -> None:
    own, _ = switches
    assert own._dialling is not None

    async def never(_: str) -> Any:
        await asyncio.Event().wait()

    own._dialling._dial = never
    for number in range(16):
        assert (await served.order("connect", {"address": f"192.0.2.{number + 1}:1"})).status == 202
    assert (await served.order("connect", {"address": "192.0.2.1:1"})).status == 202  # under way already
    reply = await served.order("connect", {"address": "192.0.2.99:1"})
    assert (reply.status, reply.code) == (503, "busy")
    with pytest.raises(Busy):
        own.connect("192.0.2.99:1")


async def test_where_peers_are_is_told_on_this_machine_or_to_the_operator_only(
    served: Served, switches: tuple[Switch, Switch]
) -> None:
    key = await connected(served, switches)
    near = await served.get("/v1/peers")
    assert near["peers"][0]["address"] and near["peers"][0]["listen"]
    desk = served.api.desk
    host, desk.host = desk.host, "0.0.0.0"
    try:
        switches[0].roster.scores.ban(bytes.fromhex(KEY), "192.0.2.1", False, switches[0].roster.now_ms())
        far = await served.get("/v1/peers")
        assert Peers().validate(far) == {} and far["peers"][0]["key"] == key
        assert (far["peers"][0]["address"], far["peers"][0]["listen"], far["bans"][0]["host"]) == ("", "", None)
        assert "127.0.0.1" not in json.dumps(far) and "192.0.2.1" not in json.dumps(far)
        headers = {"Authorization": f"Bearer {desk.control.token}"}
        told = (await served.ask("/v1/peers", headers=headers)).json
        assert told["peers"][0]["address"] == near["peers"][0]["address"] and told["bans"][0]["host"] == "192.0.2.1"
    finally:
        desk.host = host


# ---- Pages of other sites


async def test_a_page_of_a_named_site_may_read_and_of_another_may_not(served: Served) -> None:
    reply = await served.ask("/v1/status", headers={"Origin": SITE})
    assert reply.headers["Access-Control-Allow-Origin"] == SITE and reply.headers["Vary"] == "Accept-Encoding, Origin"
    refused = await served.ask("/v1/blocks/0", headers={"Origin": SITE})
    assert refused.status == 400 and refused.headers["Access-Control-Allow-Origin"] == SITE
    for other in ("https://evil.example", SITE + ".evil.example", SITE.upper(), "null", "*", SITE + "/", ""):
        reply = await served.ask("/v1/status", headers={"Origin": other})
        assert reply.status == 200 and "Access-Control-Allow-Origin" not in reply.headers, other


async def test_no_page_may_write_or_see_what_is_the_operators(served: Served) -> None:
    headers = {"Origin": SITE, "Authorization": f"Bearer {served.api.desk.control.token}"}
    reply = await served.ask("/v1/operator/settings", headers=headers)
    assert reply.status == 200 and "Access-Control-Allow-Origin" not in reply.headers
    reply = await served.ask("/v1/transactions", "POST", json={}, headers={"Origin": SITE})
    assert reply.status == 403 and "Access-Control-Allow-Origin" not in reply.headers
    reply = await served.ask("/v1/status", "OPTIONS", headers={"Origin": SITE, "Access-Control-Request-Method": "POST"})
    assert reply.status == 403 and not [name for name in reply.headers if name.startswith("Access-Control")]


async def test_without_the_setting_no_page_of_another_site_may_read(tmp_path: Path) -> None:
    async with serving(tmp_path / "home") as closed:
        reply = await closed.ask("/v1/status", headers={"Origin": SITE})
        assert not [name for name in reply.headers if name.startswith("Access-Control")]


# ---- What the settings set


async def test_the_rate_and_the_sites_come_from_the_settings() -> None:
    usual = Limits.of(settings_of(in_effect({}, {"HOME": "/"}, lambda _: {})))
    assert usual == Limits() and usual.burst == BURST_SECONDS * usual.requests_per_second
    variables = {"NEUROSHARD_API_RATE": "1000", "NEUROSHARD_API_ORIGIN": f"{SITE},http://localhost:3000"}
    limits = Limits.of(settings_of(in_effect({}, variables, lambda _: {})))
    assert (limits.requests_per_second, limits.burst) == (1_000, 4_000)
    assert limits.origins == (SITE, "http://localhost:3000")


async def test_one_address_cannot_take_all_streams() -> None:
    crowd = Crowd(3, "streams", 2)
    with crowd.joined("192.0.2.1"), crowd.joined("192.0.2.1"):
        with pytest.raises(Refusal) as caught, crowd.joined("192.0.2.1"):
            pass
        assert caught.value.status == 429
        with crowd.joined("192.0.2.2"):
            with pytest.raises(Refusal) as caught, crowd.joined("192.0.2.3"):
                pass
            assert caught.value.status == 503
    assert crowd.present == 0 and crowd._of_address == {}
    with crowd.joined("2001:db8::1"), crowd.joined("2001:db8::2"), pytest.raises(Refusal), crowd.joined("2001:db8::3"):
        pass
