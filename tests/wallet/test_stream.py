"""Reading a node's events, when the node is honest, away, or a liar."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wallet.errors import ApiError, BadAnswer, NodeAway, Refused
from wallet.stream import EVENT_BYTES_MAXIMUM, Follower, Stream

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
PATIENCE = 30


@contextlib.contextmanager
def answering(*answers: bytes, stays: bool = False) -> Iterator[tuple[str, list[bytes]]]:
    """A program that says these bytes, one answer for each who connects; its address and what it was asked."""
    asked: list[bytes] = []
    open_ones: list[socket.socket] = []
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for answer in answers:
            try:
                stream, _ = listening.accept()
                asked.append(stream.recv(10_000))
                with contextlib.suppress(OSError):
                    stream.sendall(answer)
            except OSError:
                return
            open_ones.append(stream)
            if not stays:
                stream.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{listening.getsockname()[1]}", asked
    finally:
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        for stream in open_ones:
            stream.close()
        thread.join(PATIENCE)


def heard(answer: bytes) -> list[tuple[str, dict]]:
    with answering(answer) as (address, _):
        return [(name, dict(content.raw)) for name, content in Stream(address).events()]


def test_an_address_that_is_none_is_told_and_looked_at_again():
    told: list[ApiError] = []
    follower = Follower(lambda: "nonsense" if not told else "127.0.0.1:1", lambda: [])

    def away(error: ApiError) -> None:
        told.append(error)
        if len(told) == 2:
            follower.stop()

    follower.run(lambda _kind, _content: None, away)
    assert "no address of an API" in str(told[0]) and "127.0.0.1:1 is away" in str(told[1])


def test_events_are_read_with_their_names():
    body = b'retry: 2000\n\nid: 1\nevent: block\ndata: {"height": 7}\n\n: heartbeat\n\nevent: end\ndata: {}\n\n'
    assert heard(HEAD + body) == [("block", {"height": 7}), ("end", {})]


def test_an_event_that_was_cut_off_is_none():
    assert heard(HEAD + b'event: block\ndata: {"height": 7}\n') == []


def test_addresses_are_asked_for():
    with answering(HEAD) as (address, asked):
        list(Stream(address, ["neuro1a", "neuro1b"]).events())
    assert asked[0].startswith(b"GET /v1/events?address=neuro1a%2Cneuro1b HTTP/1.1\r\n")


def test_nobody_there_is_a_node_that_is_away():
    with answering() as (address, _):
        pass
    with pytest.raises(NodeAway):
        list(Stream(address).events())


def test_a_refusal_has_the_nodes_words():
    body = b'{"error": {"code": "busy", "message": "too many \\u001b[2J"}}'
    head = b"HTTP/1.1 503 Busy\r\nContent-Length: " + str(len(body)).encode() + b"\r\n\r\n"
    with pytest.raises(Refused) as caught:
        heard(head + body)
    assert caught.value.code == "busy" and "too many" in str(caught.value) and "\x1b" not in str(caught.value)


def test_another_program_is_not_taken_for_a_node():
    with pytest.raises(BadAnswer):
        heard(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\n<p/>")


def test_an_event_has_a_largest_size():
    def event(size: int) -> bytes:  # of the line, with its end
        return HEAD + b"data: {" + b" " * (size - len(b"data: {}\n")) + b"}\n\n"

    assert heard(event(EVENT_BYTES_MAXIMUM)) == [("message", {})]
    with pytest.raises(BadAnswer):
        heard(event(EVENT_BYTES_MAXIMUM + 1))


def test_an_event_in_many_lines_has_the_same_largest_size():
    with pytest.raises(BadAnswer):
        heard(HEAD + b"data: 123456789\n" * (EVENT_BYTES_MAXIMUM // 8))


LINES = st.sampled_from(
    [b"data: {", b"data:}", b'data: "a": 1', b"event: block", b"event: \xff", b"", b"data", b": x", b"\r"]
)
BODIES = st.binary(max_size=300) | st.lists(LINES | st.binary(max_size=20), max_size=12).map(b"\n".join)


@settings(max_examples=150)
@given(BODIES | BODIES.map(lambda body: HEAD + body))
def test_bytes_of_anybody_raise_nothing_but_the_familys_errors(answer):
    with contextlib.suppress(ApiError):
        heard(answer)


def follow(address: str, addresses: tuple[str, ...] = ()) -> tuple[list[object], Follower, threading.Thread]:
    told: list[object] = []
    follower = Follower(lambda: address, lambda: addresses)
    thread = threading.Thread(target=follower.run, args=(lambda name, _: told.append(name), told.append))
    thread.start()
    return told, follower, thread


def wait(true_of) -> None:
    for _ in range(PATIENCE * 100):
        if true_of():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not come")


def test_a_node_that_comes_back_is_followed_again():
    with answering(HEAD + b"event: one\ndata: {}\n\n", HEAD + b"event: two\ndata: {}\n\n") as (address, _):
        told, follower, thread = follow(address)
        wait(lambda: "one" in told)
        follower.again()
        wait(lambda: "two" in told)
        follower.stop()
        thread.join(PATIENCE)
    assert not thread.is_alive()


def test_stopping_ends_a_quiet_stream_at_once():
    with answering(HEAD + b"event: one\ndata: {}\n\n", stays=True) as (address, _):
        told, follower, thread = follow(address)
        wait(lambda: told)
        follower.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive() and told == ["one"]


def test_a_node_that_refuses_addresses_is_asked_without():
    body = b'{"error": {"code": "bad_request", "message": "address: unknown"}}'
    refusal = b"HTTP/1.1 400 Bad\r\nContent-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body
    with answering(refusal, HEAD + b"event: one\ndata: {}\n\n") as (address, asked):
        told, follower, thread = follow(address, ("neuro1a",))
        wait(lambda: told)
        follower.stop()
        thread.join(PATIENCE)
    assert told[0] == "one" and b"?" not in asked[1].split(b"\r\n")[0]


def test_whoever_is_away_is_told_of():
    with answering() as (address, _):
        pass
    told, follower, thread = follow(address)
    wait(lambda: told)
    follower.stop()
    thread.join(PATIENCE)
    assert isinstance(told[0], NodeAway)
