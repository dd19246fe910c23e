"""What the API refuses: wrong transactions, foreign pages, and too much of anything; always in the one shape."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from chain.transactions import Transfer
from node.api.faults import Refusal
from node.api.limits import BODY_BYTES_MAXIMUM, Crowd, Limits, Rates, check_host
from node.api.questions import HEX_MAXIMUM
from node.api.server import Api
from node.data_directory import DataDirectory
from node.errors import NodeError
from tests.node.lone_node import IDENTITY, named
from tests.node.served import WIDE, Served, a_transfer, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")
HEAD = b"Host: 127.0.0.1\r\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with serving(tmp_path_factory.mktemp("limits") / "home", replace(WIDE, read_seconds=0.5)) as found:
        yield found


def parsed(answer: bytes) -> tuple[int, dict[str, dict[str, str]]]:
    """Status and JSON of a whole HTTP answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Content-Type: application/json" in head, answer
    return int(head.split()[1]), json.loads(body)


# ---- Transactions


async def refused(served: Served, **changes: object) -> tuple[int, str, str]:
    """How a transfer that is wrong in one thing is refused."""
    nonce, amount = int(str(changes.pop("nonce", 2))), int(str(changes.pop("amount", 5)))
    reply = await served.submit(a_transfer(served.network, nonce, amount, **changes))
    assert len(served.node.mempool) == 0
    return reply.status, reply.code, reply.json["error"]["message"]


async def test_a_nonce_that_is_used_or_leaves_a_gap_is_refused(served: Served) -> None:
    assert await refused(served, nonce=1) == (422, "invalid_transaction", "nonce 1 is used, expected 2")
    assert (await refused(served, nonce=3))[:2] == (422, "invalid_transaction")


async def test_more_than_the_account_holds_is_refused(served: Served) -> None:
    status, code, words = await refused(served, amount=10**12)
    assert (status, code) == (422, "not_enough_funds") and "could cost 1000000" in words and "are there" in words


async def test_a_fee_below_the_base_fee_is_refused(served: Served) -> None:
    status, code, words = await refused(served, max_fee=0)
    assert (status, code) == (422, "invalid_transaction") and "base fee" in words


async def test_a_wallet_without_funds_is_refused(served: Served) -> None:
    assert (await refused(served, nonce=0, secret=named("poor")))[:2] == (422, "not_enough_funds")


async def test_a_transaction_that_was_changed_after_signing_is_refused(served: Served) -> None:
    good = a_transfer(served.network, 2, 5)
    assert isinstance(good.action, Transfer)
    for changed in (replace(good, tip=1), replace(good, action=Transfer(IDENTITY.address, 6))):
        reply = await served.submit(changed)
        assert (reply.status, reply.code) == (422, "bad_signature")
    assert len(served.node.mempool) == 0


async def test_transactions_that_wait_are_counted_in_and_a_better_fee_replaces_one(tmp_path: Path) -> None:
    async with serving(tmp_path / "home") as served:
        for nonce in (2, 3):
            assert (await served.submit(a_transfer(served.network, nonce, 5))).status == 202
        gap = await served.submit(a_transfer(served.network, 5, 5))
        assert (gap.status, gap.code) == (422, "invalid_transaction")
        # What waits already has taken its part of the balance.
        rest = served.node.store.state().account(IDENTITY.address).balance
        poor = await served.submit(a_transfer(served.network, 4, rest - 2_000))
        assert (poor.status, poor.code) == (422, "not_enough_funds")
        same_fee = await served.submit(a_transfer(served.network, 3, 6))
        assert (same_fee.status, same_fee.code) == (422, "invalid_transaction")
        better = a_transfer(served.network, 3, 6, max_fee=110)
        assert (await served.submit(better)).status == 202
        assert served.node.mempool.ready()[1] == better and len(served.node.mempool) == 2


@pytest.mark.parametrize(
    "content",
    [
        {"transaction": ""},
        {"transaction": "0"},
        {"transaction": "AB"},
        {"transaction": "zz"},
        {"transaction": "ab" * (HEX_MAXIMUM // 2) + "ab"},
        {"transaction": 12},
        {"transaction": None},
        {"transaction": ["ab"]},
        {"transaction": "ab", "more": 1},
        {},
    ],
)
async def test_what_is_not_the_one_field_in_hexadecimal_digits_is_refused(served: Served, content: object) -> None:
    reply = await served.ask("/v1/transactions", "POST", json=content)
    assert (reply.status, reply.code) == (400, "bad_request") and reply.json["error"]["faults"]


async def test_digits_that_are_no_transaction_are_refused_up_to_the_limit(served: Served) -> None:
    good = a_transfer(served.network, 2, 5).encode().hex()
    for text in ("ab", good[:-2], good + "00", "ff" * (HEX_MAXIMUM // 2)):
        reply = await served.ask("/v1/transactions", "POST", json={"transaction": text})
        assert (reply.status, reply.code) == (400, "not_decodable")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"ab"', b"\xff\xfe", b"[" * 60_000, b'{"transaction": "ab", "transaction": "ab"}'],
)
async def test_a_body_that_is_no_flat_object_is_refused(served: Served, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    reply = await served.ask("/v1/transactions", "POST", data=body, headers=headers)
    assert (reply.status, reply.code) == (400, "bad_request")


async def test_a_body_of_another_type_is_refused(served: Served) -> None:
    for headers in ({"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"}):
        reply = await served.ask("/v1/transactions", "POST", data=b"{}", headers=headers)
        assert (reply.status, reply.code) == (415, "unsupported_media_type")


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_huge_body_is_refused(served: Served, is_chunked: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * (BODY_BYTES_MAXIMUM // 20)

    data = pieces() if is_chunked else b" " * (BODY_BYTES_MAXIMUM + 1)
    headers = {"Content-Type": "application/json"}
    reply = await served.ask("/v1/transactions", "POST", data=data, headers=headers)
    assert (reply.status, reply.code) == (413, "too_large")


async def test_a_body_that_does_not_come_ends_in_a_timeout(served: Served) -> None:
    request = (
        b"POST /v1/transactions HTTP/1.1\r\n" + HEAD + b"Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
    )
    status, told = parsed(await served.raw(request))
    assert (status, told["error"]["code"]) == (408, "timeout")


async def test_a_head_that_does_not_come_whole_is_not_waited_for(served: Served) -> None:
    assert await served.raw(b"GET /v1/status HTTP/1.1\r\nHost: 127") == b""
    assert await served.raw(b"") == b""


# ---- The one shape


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v2/status", 404, "not_found"),
        ("GET", "/v1/status/", 404, "not_found"),
        ("GET", "/v1/blocks/..%2f..%2fetc", 400, "bad_request"),
        ("POST", "/v1/status", 405, "method_not_allowed"),
        ("DELETE", "/v1/transactions", 405, "method_not_allowed"),
        ("HEAD", "/v1/status", 405, None),
        ("GET", "/v1/status?verbose=1", 400, "bad_request"),
    ],
)
async def test_what_no_route_answers_is_refused_in_the_one_shape(
    served: Served, method: str, path: str, status: int, code: str | None
) -> None:
    reply = await served.ask(path, method)
    assert reply.status == status and (code is None or reply.code == code)
    if status == 405:
        assert reply.headers["Allow"] in ("GET", "POST")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"no http at all\r\n\r\n",
        b"GET /v1/status HTTP/1.1\r\n" + HEAD + b"Bad Name: x\r\n\r\n",
        b"GET /v1/status HTTP/1.1\r\n" + HEAD + b"X: " + b"x" * 9_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n",
        b"GET /v1/status HTTP/1.1\r\n" + HEAD + b"".join(b"X%d: x\r\n" % i for i in range(99)) + b"\r\n",
        b"POST /v1/transactions HTTP/1.1\r\n" + HEAD + b"Content-Length: -1\r\n\r\n",
    ],
    ids=["noise", "header name", "long header", "long path", "many headers", "length"],
)
async def test_what_is_no_http_request_is_answered_in_the_one_shape(served: Served, request_bytes: bytes) -> None:
    status, told = parsed(await served.raw(request_bytes))
    assert (status, told["error"]["code"]) == (400, "bad_request")


async def test_a_fault_of_our_own_is_answered_in_the_one_shape_and_tells_nothing(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.api.desk.as_json", lambda status: 1 // 0)
    reply = await served.ask("/v1/status")
    assert (reply.status, reply.code) == (500, "internal") and b"division" not in reply.body


async def test_every_answer_carries_the_headers_that_bind_a_browser(served: Served) -> None:
    for path in ("/", "/explorer/frame.js", "/vendor/lightweight-charts.js", "/v1/status", "/nothing", "/metrics"):
        headers = (await served.ask(path)).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"] and "unsafe" not in str(headers)
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Cache-Control"] == "no-store"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"  # nor does it learn that a node is here
        assert "Access-Control-Allow-Origin" not in headers


# ---- Foreign pages


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:1", "127.0.0.1", "127.0.0.1:8420", "[::1]", "[::1]:80", "LOCALHOST"]
)
async def test_this_machine_is_known_by_its_own_names(served: Served, host: str) -> None:
    assert (await served.ask("/v1/status", headers={"Host": host})).status == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8420", "evil@127.0.0.1", "127.0.0.2", ""),
        *("[::1", "127.0.0.1:x", "192.168.0.1", "0.0.0.0", "127.0.0.1/x"),
    ],
)
async def test_a_name_that_a_foreign_site_made_point_here_is_refused(served: Served, host: str) -> None:
    reply = await served.ask("/v1/status", headers={"Host": host})
    assert (reply.status, reply.code) in ((403, "forbidden"), (400, "bad_request"))


async def test_a_request_without_a_host_is_refused(served: Served) -> None:
    status, _ = parsed(await served.raw(b"GET /v1/status HTTP/1.0\r\n\r\n"))
    assert status == 403


async def test_a_node_that_listens_to_other_machines_has_names_that_it_does_not_know() -> None:
    from aiohttp.test_utils import make_mocked_request

    request = make_mocked_request("GET", "/", headers={"Host": "node.example:8420"})
    check_host(request, "0.0.0.0")
    check_host(request, "192.168.0.1")
    for loopback in ("127.0.0.1", "127.0.0.2", "::1", "localhost"):
        with pytest.raises(Refusal):
            check_host(request, loopback)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "https://{own}"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_a_page_of_another_site_can_submit_nothing(served: Served, headers: dict[str, str]) -> None:
    sent = {name: value.replace("{own}", served.address) for name, value in headers.items()}
    reply = await served.ask("/v1/transactions", "POST", json={"transaction": "ab"}, headers=sent)
    assert (reply.status, reply.code) == (403, "forbidden")


async def test_our_own_page_may_submit(served: Served) -> None:
    sent = {"Origin": served.url, "Sec-Fetch-Site": "same-origin"}
    reply = await served.ask("/v1/transactions", "POST", json={"transaction": "ab"}, headers=sent)
    assert (reply.status, reply.code) == (400, "not_decodable")


# ---- Too much


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def wait_of(rates: Rates, address: str) -> int:
    """Seconds to wait until the next request is welcome; 0 if this one is."""
    try:
        rates.take(address)
    except Refusal as refusal:
        assert refusal.status == 429
        return int(refusal.headers["Retry-After"])
    return 0


async def test_a_client_may_ask_so_often_and_then_at_the_rate() -> None:
    clock = Clock()
    rates = Rates(Limits(requests_per_second=2, burst=3), clock)
    assert [wait_of(rates, "1.1.1.1") for _ in range(4)] == [0, 0, 0, 1]
    assert wait_of(rates, "1.1.1.2") == 0
    clock.now = 0.5
    assert [wait_of(rates, "1.1.1.1") for _ in range(2)] == [0, 1]
    clock.now = 100
    assert [wait_of(rates, "1.1.1.1") for _ in range(4)] == [0, 0, 0, 1]


async def test_the_addresses_of_one_ipv6_network_share_their_rate() -> None:
    rates = Rates(Limits(burst=1), Clock())
    assert [wait_of(rates, address) for address in ("fd00::1", "fd00::2", "fd00:0:0:1::1")] == [0, 1, 0]
    assert [wait_of(rates, address) for address in ("fe80::1%eth0", "fe80::2", "no address")] == [0, 1, 0]


async def test_the_table_of_addresses_is_bounded_and_forgets_the_oldest() -> None:
    rates = Rates(Limits(burst=1, addresses=2), Clock())
    for address in ("1.1.1.1", "1.1.1.2", "1.1.1.3"):
        assert wait_of(rates, address) == 0
    assert len(rates) == 2 and wait_of(rates, "1.1.1.3") == 1 and wait_of(rates, "1.1.1.1") == 0


async def test_a_crowd_has_its_limit_and_who_leaves_makes_room() -> None:
    crowd = Crowd(2, "requests")
    with crowd.joined(), crowd.joined():
        third = crowd.joined()
        with pytest.raises(Refusal, match="2 requests are open already"):
            third.__enter__()
        assert crowd.present == 2
    assert crowd.present == 0
    with crowd.joined(), crowd.joined():
        assert crowd.present == 2


async def test_too_many_requests_are_told_when_to_come_again(tmp_path: Path) -> None:
    async with serving(tmp_path / "home", replace(WIDE, burst=2, requests_per_second=0.01)) as served:
        assert [(await served.ask("/v1/status")).status for _ in range(2)] == [200, 200]
        reply = await served.ask("/v1/status")
        assert (reply.status, reply.code) == (429, "too_many_requests")
        assert int(reply.headers["Retry-After"]) == reply.json["error"]["retry_after_seconds"] > 1


async def test_a_connection_beyond_the_limit_is_closed(tmp_path: Path) -> None:
    async with serving(tmp_path / "home", replace(WIDE, connections=2)) as served:
        held = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(2)]
        await served.raw_is_closed()
        for _, writer in held:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for _, writer in held))
        await served.until("/v1/status", lambda status: status["height"] > 0)


async def test_a_head_of_which_no_request_can_be_made_does_not_keep_its_connection(served: Served) -> None:
    before = len(served.api._runner.server.connections)  # type: ignore[union-attr]
    for head in (b"CONNECT \r\nHost: localhost\r\n\r\n", b"CONNECT \r\n\r\n", b"CONNECT  HTTP/1.1\r\n\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(head)
        async with asyncio.timeout(20):
            with suppress(ConnectionError):
                await reader.read()
        writer.close()
    assert len(served.api._runner.server.connections) <= before  # type: ignore[union-attr]
    assert (await served.ask("/v1/health")).status == 200


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "x-unknown", "GZIP, gzip"])
async def test_a_body_that_says_it_is_packed_is_refused_and_never_unpacked(served: Served, coding: str) -> None:
    for path in (b"/v1/transactions", b"/v1/operator/log-level"):
        token = served.as_operator["Authorization"].encode()
        head = b"POST " + path + b" HTTP/1.1\r\n" + HEAD + b"Connection: close\r\nContent-Type: application/json\r\n"
        head += b"Authorization: " + token + b"\r\nContent-Encoding: " + coding.encode() + b"\r\nContent-Length: 2\r\n"
        status, content = parsed(await served.raw(head + b"\r\n{}"))
        assert (status, content["error"]["code"]) == (415, "unsupported_media_type")


async def test_what_a_client_expects_is_to_send_its_body_or_refused_in_the_one_shape(served: Served) -> None:
    head = b"POST /v1/transactions HTTP/1.1\r\n" + HEAD + b"Connection: close\r\nContent-Type: application/json\r\n"
    head += b"Content-Length: 2\r\nExpect: "
    answer = await served.raw(head + b"100-continue\r\n\r\n{}")
    first, _, rest = answer.partition(b"\r\n\r\n")
    assert first == b"HTTP/1.1 100 Continue" and parsed(rest)[0] == 400
    assert parsed(await served.raw(head + b"wonders\r\n\r\n{}"))[0] == 417


async def test_one_address_leaves_places_to_others() -> None:
    crowd = Crowd(4, "requests", 2)
    with crowd.joined("1.1.1.1"), crowd.joined("1.1.1.1"):
        with pytest.raises(Refusal, match="2 requests of this address") as caught:
            crowd.joined("1.1.1.1").__enter__()
        assert caught.value.status == 429
        with crowd.joined("1.1.1.2"):
            assert crowd.present == 3
    assert Limits().at_once_of_address * 2 == Limits().at_once
    assert Limits().connections_of_address * 2 == Limits().connections


async def test_bodies_that_do_not_come_hold_half_of_the_places_at_most(tmp_path: Path) -> None:
    async with serving(tmp_path / "home", replace(WIDE, at_once_of_address=2)) as served:
        head = (
            b"POST /v1/transactions HTTP/1.1\r\n"
            + HEAD
            + b"Content-Type: application/json\r\nContent-Length: 9\r\n\r\n"
        )
        held = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(2)]
        for _, writer in held:
            writer.write(head)
        while served.api.desk.requests.present < 2:
            await asyncio.sleep(0.01)
        assert (await served.ask("/v1/health")).status == 429
        with served.api.desk.requests.joined("192.0.2.1"):
            assert served.api.desk.requests.present == 3
        for _, writer in held:
            writer.close()


async def test_connections_of_one_address_beyond_its_part_are_closed_and_others_make_room(tmp_path: Path) -> None:
    async with serving(tmp_path / "home", replace(WIDE, connections_of_address=2)) as served:
        held = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(2)]
        await served.raw_is_closed()
        for _, writer in held:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for _, writer in held))
        await served.until("/v1/status", lambda status: status["height"] > 0)


async def test_a_name_that_only_this_machine_has_is_refused(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(limits: Limits) -> Api:
        return Api(served.node, DataDirectory(tmp_path), served.api.desk.control, limits)

    api = other(WIDE)
    address = await api.start("LocalHost:0")
    assert api.desk.host == "localhost" and address.startswith("localhost:")
    await api.stop()
    # As a host's own name does, which stands for 127.0.1.1 on some systems.
    monkeypatch.setattr("node.api.server.is_loopback", lambda host: host != "localhost")
    api = other(WIDE)
    with pytest.raises(NodeError, match=r"a name for this machine alone: say --api 127.0.0.1:0"):
        await api.start("localhost:0")
    await api.stop()
