"""One connection under peers that send too much, take too little, or leave without a word."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import aiohttp
import psutil
import pytest

from network import kinds
from network.connection import SLICE_FRAMES
from network.kinds import KIB, MIB
from network.limits import DROPPED_PER_FAULT, FLOODING, MALFORMED, PINGS
from network.outbox import BYTES_MAXIMUM, FRAME_BYTES_MAXIMUM, MESSAGE_OVERHEAD
from network.traffic import Traffic
from tests.network.scripted import Node, nodes, raw, until

JUNK = 100_000


class Recorder(list[object]):
    """A list that only tells what is appended to it."""

    def __init__(self, tell: Callable[[object], None]) -> None:
        super().__init__()
        self.append = tell  # type: ignore[method-assign, assignment]


VOTE = bytes([kinds.VOTE]) + bytes(200)


async def test_all_that_is_sent_comes_in_the_order_of_its_priority():
    async with nodes(Node(1), Node(2)) as (one, two):
        connection = await two.dial(one)
        for number in range(1_000):
            assert connection.send(kinds.CLAIM, number.to_bytes(4, "big"))
        assert connection.send(kinds.BLOCK, block := bytes(range(256)) * (8 * MIB // 256))
        assert connection.send(kinds.VOTE, b"vote")
        await until(lambda: len(one.messages) == 1_002)
        assert one.messages[:2] == [(kinds.VOTE, b"vote"), (kinds.BLOCK, block)]
        assert [payload for _, payload in one.messages[2:]] == [number.to_bytes(4, "big") for number in range(1_000)]


async def test_a_vote_overtakes_a_block_that_is_on_its_way():
    async with nodes(Node(1), Node(2)) as (one, two):
        connection = await two.dial(one)
        connection.send(kinds.BLOCK, bytes(8 * MIB))
        whole = connection.report().queued_messages
        await until(lambda: connection._outbox._queues[kinds.BLOCKS].sent > 0)
        connection.send(kinds.VOTE, b"vote")
        await until(lambda: len(one.messages) == 2)
        assert whole == 1 and [kind for kind, _ in one.messages] == [kinds.VOTE, kinds.BLOCK]


async def test_a_report_counts_by_kind():
    async with nodes(Node(1), Node(2)) as (one, two):
        connection = await two.dial(one)
        connection.send(kinds.BLOCK, bytes(100_000))
        connection.send(kinds.VOTE, b"abc")
        connection.send(kinds.VOTE, b"de")
        await until(lambda: len(one.messages) == 3)
        sent, got = connection.report(), one.connections[0].report()
        assert sent.messages_out == got.messages_in == {kinds.VOTE: 2, kinds.BLOCK: 1}
        assert sent.bytes_out == got.bytes_in == {kinds.VOTE: 5, kinds.BLOCK: 100_000}
        assert (sent.queued_messages, sent.queued_bytes, sent.messages_in, got.messages_out) == (0, 0, {}, {})
        assert 0 <= got.silent_seconds <= got.open_seconds


async def test_what_connections_carried_is_counted_beyond_their_end():
    async with nodes(Node(1), Node(2)) as (one, two):
        for number in (1, 2):
            connection = await two.dial(one)
            connection.send(kinds.VOTE, b"abc")
            await until(lambda number=number: len(one.messages) == number)
            connection.end("enough")
            await until(lambda number=number: len(one.ended) == len(two.ended) == number)
        assert two.endpoint.shared.traffic == Traffic(6, 0) and one.endpoint.shared.traffic == Traffic(0, 6)


# ---- Who sends what he should not


@pytest.mark.parametrize(
    ("junk", "words"),
    [
        ("text", "a text frame"),
        (b"", "an empty frame"),
        (bytes([kinds.VOTE]) + bytes(KIB + 1), "vote of more than 1024 bytes"),
        (bytes([kinds.BLOCK]) + bytes(FRAME_BYTES_MAXIMUM + 1), "exceeds limit"),
        (bytes(10_000_000), "exceeds limit"),
    ],
)
async def test_frames_that_no_node_sends_end_the_connection(junk, words):
    async with nodes(Node(1, end_at_fault=False)) as (one,), raw(one.gate.address, shake_hands=7) as peer:
        await peer.socket.send_bytes(VOTE)
        with suppress(aiohttp.ClientError):
            await (peer.socket.send_str(junk) if isinstance(junk, str) else peer.socket.send_bytes(junk))
            await peer.socket.send_bytes(VOTE)
        await peer.end()
        await until(lambda: one.ended)
        assert [fault.points for fault in one.faults] == [MALFORMED] and words in one.faults[0].reason
        assert words in one.ended[0] and one.messages == [(kinds.VOTE, bytes(200))]


async def test_broken_websocket_frames_end_the_connection():
    async with nodes(Node(1)) as (one,), raw(one.gate.address, shake_hands=7) as peer:
        peer.socket._writer.transport.write(b"\xff" * 20)
        await until(lambda: one.ended)
        assert [fault.points for fault in one.faults] == [MALFORMED]


async def test_a_flood_of_junk_takes_no_memory_and_no_ones_turn():
    """The flood is of an unknown kind, and nobody ends it. If it were kept it would be 100 MB."""
    frame = (
        b"\x82\xfe" + (KIB + 1).to_bytes(2, "big") + bytes(4) + b"\x7f" + bytes(KIB)
    )  # RFC 6455 5.2, a mask of zeros
    burst = frame * 100
    process = psutil.Process()
    async with nodes(Node(1, end_at_fault=False), Node(2)) as (one, two):
        async with raw(one.gate.address, shake_hands=7) as peer:
            honest = await two.dial(one)
            await until(lambda: len(one.connections) == 2)
            flooded, writer = one.connections[0], peer.socket._writer

            async def flood() -> None:
                for _ in range(JUNK // 100):
                    writer.transport.write(burst)
                    while writer.transport.get_write_buffer_size() > len(burst):
                        await asyncio.sleep(0)

            flooding = asyncio.create_task(flood())
            await until(lambda: flooded.report().unknown_in > 2_000)
            before = most = process.memory_info().rss
            honest.send(kinds.VOTE, b"through")
            await until(lambda: one.messages)
            assert not flooding.done()
            while flooded.report().unknown_in < JUNK:
                most = max(most, process.memory_info().rss)
                await asyncio.sleep(0.05)
            await flooding
        assert most - before < 8 * MIB
        assert len(one.faults) == -(-flooded.report().dropped_in // DROPPED_PER_FAULT)
        assert {fault.points for fault in one.faults} == {FLOODING}


async def test_after_so_many_frames_of_one_peer_others_have_their_turn():
    turns: list[int] = []
    turn = 0

    def next_turn() -> None:
        nonlocal turn
        turn += 1
        loop.call_soon(next_turn)

    loop = asyncio.get_running_loop()
    async with nodes(Node(1)) as (one,), raw(one.gate.address, shake_hands=7) as peer:
        one.messages = Recorder(lambda _: turns.append(turn))  # type: ignore[assignment]
        loop.call_soon(next_turn)
        peer.socket._writer.transport.write((b"\x82\x81" + bytes(4) + bytes([kinds.VOTE])) * 500)
        await until(lambda: len(turns) == 500)
    assert max(Counter(turns).values()) == SLICE_FRAMES


async def test_pings_are_answered_within_a_rate():
    async with nodes(Node(1)) as (one,), raw(one.gate.address, shake_hands=7, autoping=False) as peer:
        await peer.socket.ping(b"hello")
        message = await peer.socket.receive(5)
        assert (message.type, message.data) == (aiohttp.WSMsgType.PONG, b"hello")
        for _ in range(PINGS.per_minute):
            await peer.socket.ping()
        assert "pings" in await peer.end()
        await until(lambda: one.ended)
        assert [fault.points for fault in one.faults] == [FLOODING]


# ---- Who takes too little


async def test_a_peer_that_does_not_read_fills_its_queue_and_no_more():
    async with nodes(Node(1)) as (one,), raw(one.gate.address, shake_hands=7) as peer:
        [connection] = one.connections
        peer.socket._conn.transport.pause_reading()
        for _ in range(40):
            connection.send(kinds.ANNOUNCE, bytes(MIB - MESSAGE_OVERHEAD))
            await asyncio.sleep(0)
        report = connection.report()
        assert report.queued_bytes == BYTES_MAXIMUM and report.dropped_out > 0 and not one.ended
        assert connection.send(kinds.BLOCK, bytes(4 * MIB))  # announcements make room
        assert connection.report().queued_bytes <= BYTES_MAXIMUM
        votes = 0
        while connection.send(kinds.VOTE, bytes(KIB)):
            votes += 1
        assert 900 < votes < 1_024  # one mebibyte
        await until(lambda: one.ended, seconds=3)
        assert "too slow" in one.ended[0] and connection.report().queued_bytes == 0


async def test_a_peer_that_takes_nothing_for_long_is_too_slow(monkeypatch):
    monkeypatch.setattr("network.connection.STALL_SECONDS", 0.05)
    async with nodes(Node(1)) as (one,), raw(one.gate.address, shake_hands=7) as peer:
        [connection] = one.connections
        assert connection.send(kinds.STATUS, b"") is True
        await asyncio.sleep(0.1)
        assert connection.send(kinds.STATUS, b"") is True  # nothing was waiting
        peer.socket._conn.transport.pause_reading()
        for _ in range(8):
            connection.send(kinds.ANNOUNCE, bytes(2 * MIB - MESSAGE_OVERHEAD))
        await asyncio.sleep(0.1)
        await until(lambda: not connection.send(kinds.STATUS, b""))
        await until(lambda: one.ended, seconds=3)
        assert one.ended[0].startswith("too slow: nothing was taken")


async def test_a_peer_that_does_not_answer_a_heartbeat_is_let_go(monkeypatch):
    monkeypatch.setattr("network.transport.HEARTBEAT_SECONDS", 0.1)
    async with nodes(Node(1)) as (one,), raw(one.gate.address, shake_hands=7, autoping=False) as peer:
        message = await peer.socket.receive(5)
        assert message.type is aiohttp.WSMsgType.PING
        await until(lambda: one.ended)
        assert one.ended == ["the peer did not answer a heartbeat"]


# ---- The end


async def test_a_reason_reaches_the_other_side_fit_to_be_shown():
    async with nodes(Node(1), Node(2)) as (one, two):
        connection = await two.dial(one)
        await until(lambda: one.connections)
        connection.end("bad \x1b[31mmood\n" + "x" * 200)
        connection.end("a second reason does not count")
        assert not connection.send(kinds.VOTE, b"")
        await until(lambda: one.ended and two.ended)
        told = "bad ?[31mmood?" + "x" * 109
        assert one.ended == [f"the peer has closed the connection: {told}"] and two.ended[0].startswith("bad ")
    async with nodes(Node(1)) as (one,), raw(one.gate.address, shake_hands=7) as peer:
        await peer.socket.close(code=4_321, message="bad \x07 mood é".encode())
        await until(lambda: one.ended)
        assert one.ended == ["the peer has closed the connection: bad ? mood ?"]


async def test_closing_waits_for_no_one(monkeypatch):
    monkeypatch.setattr("network.connection.CLOSE_SECONDS", 0.2)
    monkeypatch.setattr("network.entrance.STOP_SECONDS", 60)  # what TLS would wait for a peer's goodbye
    async with nodes(Node(1)) as (one,), raw(one.gate.address, shake_hands=7) as peer:
        peer.socket._conn.transport.pause_reading()
        one.connections[0].send(kinds.BLOCK, bytes(8 * MIB))
        await asyncio.sleep(0.01)
        async with asyncio.timeout(2):
            await one.connections[0].close("enough")
        await until(lambda: one.ended == ["enough"])
        await until(lambda: not one.gate.door.inside)


async def test_no_message_comes_after_the_end():
    async with nodes(Node(1), Node(2)) as (one, two):
        connection = await two.dialer.dial(one.gate.address)
        came: list[bytes] = []

        def enough(_: int, payload: bytes) -> None:
            came.append(payload)
            connection.end("enough")

        await until(lambda: one.connections)
        for number in range(50):
            one.connections[0].send(kinds.VOTE, bytes([number]))
        assert await connection.run(enough, two.faults.append) == "enough"
        assert came == [b"\x00"]


async def test_a_connection_can_be_refused_without_being_run():
    async with nodes(Node(1), Node(2)) as (one, two):
        connection = await two.dialer.dial(one.gate.address)
        await connection.close("too many peers")
        await until(lambda: one.ended)
        assert one.ended == ["the peer has closed the connection: too many peers"]


async def test_a_lost_connection_is_noticed_and_a_cancelled_one_is_closed():
    async with nodes(Node(1), Node(2)) as (one, two):
        async with raw(one.gate.address, shake_hands=7) as peer:
            peer.socket._conn.transport.abort()
            await until(lambda: one.ended == ["the connection was lost"])
        connection = await two.dialer.dial(one.gate.address)
        running = asyncio.create_task(connection.run(lambda *_: None, lambda _: None))
        await until(lambda: len(one.connections) == 2)
        one.connections[1].send(kinds.VOTE, b"")
        await until(lambda: connection.report().messages_in)
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()
        await until(lambda: len(one.ended) == 2)
        assert one.ended[1].startswith("the peer has closed")
