"""Two nodes meet over real sockets, and whatever else may come to the door."""

import asyncio
import logging
import ssl
import warnings
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime

import aiohttp
import pytest
from aiohttp import web

from network import kinds
from network.errors import (
    BadAddress,
    CannotConnect,
    CannotListen,
    Impostor,
    Malformed,
    NetworkError,
    NotANode,
    OtherNetwork,
    Ourselves,
    Refused,
    TimedOut,
)
from network.hello import HELLO_BYTES_MAXIMUM, Greeting, Side
from network.limits import GateLimits
from network.tls import FILE_NAME, client_context, open_certificate
from network.transport import Dialer, Gate
from tests.network.scripted import (
    CHAIN,
    Node,
    certificate,
    node_key,
    nodes,
    peer_of,
    raw,
    relay,
    serving,
    tls_socket,
    until,
)

QUICK = GateLimits(handshake_seconds=0.6)


async def test_two_nodes_learn_who_the_other_is_and_talk():
    async with nodes(Node(1), Node(2)) as (one, two):
        connection = await two.dial(one)
        await until(lambda: one.connections)
        assert connection.peer.key == node_key(1).public_key and connection.peer.outbound
        assert connection.peer.address == one.gate.address
        seen = peer_of(one)
        assert (seen.key, seen.outbound, seen.voucher) == (node_key(2).public_key, False, b"voucher")
        assert (seen.roles, seen.listen, seen.agent) == (1, "", "node 2")
        assert connection.send(kinds.VOTE, b"from two") and one.connections[0].send(kinds.BLOCK, bytes(200_000))
        await until(lambda: one.messages and two.messages)
        assert one.messages == [(kinds.VOTE, b"from two")] and two.messages == [(kinds.BLOCK, bytes(200_000))]


def test_it_runs_on_uvloop_as_well():
    uvloop = pytest.importorskip("uvloop")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test_two_nodes_learn_who_the_other_is_and_talk())
        runner.run(test_a_node_that_stops_tells_its_peers_and_leaves_nothing_behind())


async def test_nothing_below_tls_1_3_is_spoken(tmp_path):
    async with nodes(Node(1)) as (one,):
        old = client_context()
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_2
        host, _, port = one.gate.address.rpartition(":")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection(host, int(port), ssl=old)
        await until(lambda: not one.gate.door.inside)
    heard: list[bytes] = []
    open_certificate(tmp_path, datetime.now(UTC))
    older = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    older.load_cert_chain(tmp_path / FILE_NAME)
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    async with nodes(Node(1)) as (one,), serving(lambda data: heard.append(data) or b"", older) as address:
        with pytest.raises(CannotConnect):
            await one.dialer.dial(address)
    assert not heard


# ---- Whoever is not who he says


async def test_who_stands_between_with_a_certificate_of_his_own_cannot_hand_on_a_hello():
    async with nodes(Node(1), Node(2)) as (one, two), relay(one.gate.address, certificate(3)) as between:
        with pytest.raises(Refused, match="does not fit this connection"):
            await two.dialer.dial(between)
        assert one.gate.failures == {"Impostor": 1} and not one.connections


async def test_the_dialler_finds_out_by_itself_too():
    """Both ends are told the truth by different means; here only the dialler could notice."""

    async def lie(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        theirs = await socket.receive_bytes()
        own = Greeting(CHAIN, bytes(32)).encode()
        await socket.send_bytes(own)
        hello = await socket.receive_bytes()
        await socket.send_bytes(hello)  # its own Hello, reflected
        assert theirs != own and await socket.receive()
        return socket

    async with nodes(Node(2)) as (two,), served(lie) as address:
        with pytest.raises(Impostor, match="signature"):
            await two.dialer.dial(address)


async def test_an_old_hello_a_foreign_one_and_the_wrong_side_are_refused():
    async with nodes(Node(1)) as (one,):
        async with raw(one.gate.address) as first:
            await first.greet()
            old = first.hello()
        for forge in (
            lambda peer: old,
            lambda peer: peer.hello(side=Side.LISTENER),
            lambda peer: node_key(5).public_key + peer.hello()[33:],
        ):
            async with raw(one.gate.address) as peer:
                await peer.greet()
                await peer.socket.send_bytes(forge(peer))
                assert await peer.end() == Impostor.told
        assert one.gate.failures["Impostor"] == 3 and not one.connections


async def test_a_node_that_dials_itself_is_told():
    async with nodes(Node(1)) as (one,):
        with pytest.raises(NetworkError) as caught:
            await one.dialer.dial(one.gate.address)
        assert isinstance(caught.value, Refused | Ourselves)
        assert one.gate.failures == {"Ourselves": 1}


async def test_a_node_of_another_network_is_refused_with_both_names():
    async with nodes(Node(1), Node(2, chain_id=bytes(32))) as (one, two):
        with pytest.raises(OtherNetwork, match=f"{CHAIN.hex()[:16]}, this node to {'0' * 16}"):
            await two.dialer.dial(one.gate.address)
        await until(lambda: one.gate.failures)
        assert not one.connections


async def test_a_node_of_another_version_is_told_so():
    async with nodes(Node(1)) as (one,), raw(one.gate.address) as peer:
        await peer.socket.send_bytes(b"neuroshard\x00\x02 and more")
        assert "another version" in await peer.end()


# ---- Addresses where no node is


def served(handler, path: str = "/peer"):
    """An HTTPS server that is no node of ours."""

    @asynccontextmanager
    async def running():
        app = web.Application()
        app.router.add_get(path, handler)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=certificate(9).context)
        await site.start()
        try:
            yield f"127.0.0.1:{site.port}"
        finally:
            await runner.cleanup()

    return running()


async def test_what_does_not_answer_as_a_node_is_named():
    async def moved(_: web.Request) -> web.Response:
        raise web.HTTPFound("http://127.0.0.1:1/inside")

    async def plain(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    async with nodes(Node(1)) as (one,):
        for handler, words in ((moved, "redirection"), (plain, "HTTP status 200")):
            async with served(handler) as address:
                with pytest.raises(NotANode, match=words):
                    await one.dialer.dial(address)
        async with served(plain, "/other") as address:
            with pytest.raises(NotANode, match="HTTP status 404"):
                await one.dialer.dial(address)
        async with serving(lambda data: b"SSH-2.0-x\r\n", None) as address:
            with pytest.raises(NotANode, match="TLS"):
                await one.dialer.dial(address)
        async with serving(lambda data: b"junk\r\n\r\n", certificate(9).context) as address:
            with pytest.raises(NotANode):
                await one.dialer.dial(address)


@pytest.mark.parametrize(
    ("junk", "error"),
    [
        (b"", NotANode),
        (b"neuroshard", NotANode),
        (bytes(HELLO_BYTES_MAXIMUM + 1), Malformed),
        (bytes(10_000_000), Malformed),
        ("text", Malformed),
        (None, Refused),
    ],
    ids=["empty", "short", "too long", "10 MB", "text", "a refusal"],
)
@pytest.mark.parametrize("has_greeted", [False, True])
async def test_a_listener_that_sends_junk_is_named_and_nothing_else_is_raised(junk, error, has_greeted):
    async def answer(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if has_greeted:
            await socket.send_bytes(Greeting(CHAIN, bytes(32)).encode())
            await socket.receive()
        if junk is None:
            await socket.close(code=4000, message=b"full \x1b")
        else:
            with suppress(OSError):
                await (socket.send_str(junk) if isinstance(junk, str) else socket.send_bytes(junk))
                await socket.receive()
        return socket

    async with nodes(Node(1)) as (one,), served(answer) as address:
        with pytest.raises(Malformed if has_greeted and junk is not None else error) as caught:
            await one.dialer.dial(address)
        assert str(caught.value).startswith(f"{address}: ")
        assert junk is not None or str(caught.value).endswith("it refuses: full ?")


async def test_where_nobody_listens_and_where_nobody_answers():
    async with nodes(Node(1)) as (one,):
        async with serving(lambda data: b"", None) as address:
            quick = Dialer(one.endpoint, timeout_seconds=0.2)
            with pytest.raises(TimedOut, match=r"within 0\.2 s"):
                await quick.dial(address)
            await quick.close()
        with pytest.raises(CannotConnect, match="nobody listens"):
            await one.dialer.dial(address)
        with pytest.raises(BadAddress):
            await one.dialer.dial("nowhere")


async def test_a_name_that_nobody_knows(monkeypatch):
    def unknown(*_: object, **__: object) -> None:
        raise OSError("Name or service not known")

    async with nodes(Node(1)) as (one,):
        monkeypatch.setattr("network.resolver.socket.getaddrinfo", unknown)
        with pytest.raises(CannotConnect, match="check the spelling"):
            await one.dialer.dial("node.invalid:1")


async def test_a_port_in_use_is_named():
    async with nodes(Node(1)) as (one,):
        other = Gate(one.endpoint, certificate(2), one.welcome, lambda ip: None, QUICK)
        port = one.gate.address.rpartition(":")[2]
        with pytest.raises(CannotListen, match=f"port {port} is in use; choose another with --listen"):
            await other.start(one.gate.address)
        await other.stop()


# ---- Strangers in the door


async def test_who_stalls_in_the_door_is_sent_away_wherever_he_stalls(monkeypatch):
    monkeypatch.setattr("network.entrance.WORDS_SECONDS", 0.1)
    async with nodes(Node(1, limits=QUICK)) as (one,):
        host, _, port = one.gate.address.rpartition(":")
        below_tls = await asyncio.open_connection(host, int(port))
        in_tls = await tls_socket(one.gate.address)
        in_head = await tls_socket(one.gate.address)
        in_head[1].write(b"GET /peer HTTP/1.1\r\nHost: x\r\nX: ")
        async with raw(one.gate.address) as silent, raw(one.gate.address) as greeted:
            await greeted.greet()
            await until(lambda: one.gate.door.half_open == 5)
            assert await silent.end() == await greeted.end() == TimedOut.told
        for reader, writer in (below_tls, in_tls, in_head):
            with suppress(ConnectionError):
                async with asyncio.timeout(5):
                    assert await reader.read() == b""
            writer.close()
        await until(lambda: one.gate.door.inside == one.gate.door.half_open == 0)
        assert one.gate.failures == {"TimedOut": 2}


async def test_only_so_many_may_be_half_open_and_then_nodes_get_in_again():
    limits = replace(QUICK, half_open=3)
    async with nodes(Node(1, limits=limits), Node(2)) as (one, two):
        host, _, port = one.gate.address.rpartition(":")
        idle = [await asyncio.open_connection(host, int(port)) for _ in range(3)]
        await until(lambda: one.gate.door.half_open == 3)
        with pytest.raises(CannotConnect, match="may be full"):
            await two.dialer.dial(one.gate.address)
        await until(lambda: not one.gate.door.half_open)
        await two.dial(one)
        for _, writer in idle:
            writer.close()


async def test_an_address_that_is_not_admitted_does_not_reach_the_handshake():
    async with nodes(Node(1, admit=lambda ip: "banned" if ip == "127.0.0.1" else None), Node(2)) as (one, two):
        with pytest.raises(CannotConnect, match="banned this address"):
            await two.dialer.dial(one.gate.address)
        assert not one.gate.door.inside and not one.gate.failures


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"junk",
        bytes(HELLO_BYTES_MAXIMUM + 1),
        bytes([kinds.VOTE]) + b"before the Hello",
        bytes(10_000_000),
        "text",
    ],
    ids=["empty", "short", "too long", "frame", "10 MB", "text"],
)
@pytest.mark.parametrize("has_greeted", [False, True])
async def test_junk_in_the_handshake_ends_it(junk, has_greeted):
    async with nodes(Node(1)) as (one,), raw(one.gate.address) as peer:
        if has_greeted:
            await peer.greet()
        with suppress(aiohttp.ClientError):  # It may be cut off while it still sends.
            await (peer.socket.send_str(junk) if isinstance(junk, str) else peer.socket.send_bytes(junk))
        await peer.end()
        await until(lambda: one.gate.failures)
        assert set(one.gate.failures) <= {"Malformed", "NotANode"} and not one.connections


async def test_other_routes_live_on_the_same_port():
    async def blob(request: web.Request) -> web.Response:
        return web.Response(body=request.match_info["hash"].encode())

    one, tls = Node(1), client_context()
    await one.start()
    await one.gate.stop()
    one.gate = Gate(one.endpoint, certificate(1), one.welcome, one.admit, QUICK)
    one.gate.add_routes([web.get("/blob/{hash}", blob)])
    await one.gate.start("127.0.0.1:0")
    async with nodes(Node(2)) as (two,), aiohttp.ClientSession() as session:
        async with session.get(f"https://{one.gate.address}/blob/abc", ssl=tls) as answer:
            assert await answer.read() == b"abc"
        await asyncio.sleep(0.7)  # longer than a half-open connection may last: it has said what it wants
        assert one.gate.door.inside == 1 and one.gate.door.half_open == 0
        async with session.get(f"https://{one.gate.address}/other", ssl=tls) as answer:
            assert answer.status == 404
        await until(lambda: not one.gate.door.inside)
        await two.dial(one)
        assert one.gate.door.inside == 1
    await one.stop()


# ---- The end


async def test_a_node_that_stops_tells_its_peers_and_leaves_nothing_behind(caplog=None):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loop = asyncio.get_running_loop()
        strange: list[object] = []
        loop.set_exception_handler(lambda _, context: strange.append(context))
        async with nodes(Node(1), Node(2)) as (one, two):
            host, _, port = one.gate.address.rpartition(":")
            _, idle = await asyncio.open_connection(host, int(port))
            async with raw(one.gate.address) as half, raw(one.gate.address, shake_hands=7):
                await two.dial(one)
                await until(lambda: len(one.connections) == 2 and one.gate.door.half_open == 2)
                one.connections[0].send(kinds.BLOCK, bytes(8_000_000))  # one of them never reads
                begun = loop.time()
                await one.stop()
                assert loop.time() - begun < 2
                await until(lambda: two.ended)
                assert two.ended == ["the peer has closed the connection: this node stops"]
                assert one.ended == ["this node stops"] * 2 and await half.end() == ""
            idle.close()
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()} and not strange


async def test_a_dialler_that_is_closed_tells_those_it_has_dialled_and_dials_no_more():
    async with nodes(Node(1), Node(2)) as (one, two):
        await two.dial(one)
        await until(lambda: one.connections)
        await two.dialer.close()
        await until(lambda: one.ended)
        assert one.ended == ["the peer has closed the connection: this node stops"]
        with pytest.raises(CannotConnect, match="this node stops"):
            await two.dialer.dial(one.gate.address)


async def test_stopping_says_nothing_in_the_log(caplog):
    with caplog.at_level(logging.INFO):
        await test_a_node_that_stops_tells_its_peers_and_leaves_nothing_behind()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
