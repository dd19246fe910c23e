"""What a handshake proves, by its bytes alone."""

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from network.errors import Impostor, Malformed, NetworkError, NotANode, OtherNetwork, OtherVersion, Ourselves
from network.hello import (
    HELLO_BYTES_MAXIMUM,
    Greeting,
    Hello,
    Side,
    Transcript,
    check_greeting,
    check_hello,
    decode_hello,
    signed,
)
from tests.network.scripted import CHAIN, node_key

OURS, THEIRS = node_key(1), node_key(2)
DIALLED = Greeting(CHAIN, bytes([1] * 32))
LISTENED = Greeting(CHAIN, bytes([2] * 32))
TRANSCRIPT = Transcript(DIALLED.encode(), LISTENED.encode(), bytes([3] * 32))
HELLO = Hello(THEIRS.public_key, 3, "node.example:7771", b"voucher", "neuroshard/0.1")


def said(hello: Hello = HELLO, side: Side = Side.DIALLER, transcript: Transcript = TRANSCRIPT) -> bytes:
    return signed(hello, THEIRS, side, transcript).encode()


def hand_made(listen: bytes = b"", voucher: bytes = b"", agent: bytes = b"", rest: bytes = bytes(64)) -> bytes:
    sizes = bytes([len(listen)]), len(voucher).to_bytes(2, "big"), bytes([len(agent)])
    return bytes(33) + b"\x01" + sizes[0] + listen + sizes[1] + voucher + sizes[2] + agent + rest


def test_a_hello_proves_who_said_it():
    hello = check_hello(said(), Side.DIALLER, TRANSCRIPT, OURS)
    assert replace(hello, signature=HELLO.signature) == HELLO


@pytest.mark.parametrize(
    "heard",
    [
        {"side": Side.LISTENER},  # our own Hello sent back, or sides swapped
        {"transcript": replace(TRANSCRIPT, dialler=replace(DIALLED, nonce=bytes(32)).encode())},  # an old Hello
        {"transcript": replace(TRANSCRIPT, listener=replace(LISTENED, nonce=bytes(32)).encode())},
        {"transcript": replace(TRANSCRIPT, listener=TRANSCRIPT.dialler, dialler=TRANSCRIPT.listener)},
        {"transcript": replace(TRANSCRIPT, dialler=replace(DIALLED, chain_id=bytes(32)).encode())},
        {"transcript": replace(TRANSCRIPT, certificate=bytes(32))},  # somebody stands between
    ],
)
def test_a_hello_fits_one_side_of_one_connection_only(heard):
    side, transcript = heard.get("side", Side.DIALLER), heard.get("transcript", TRANSCRIPT)
    with pytest.raises(Impostor):
        check_hello(said(), side, transcript, OURS)


@pytest.mark.parametrize(
    "change",
    [
        {"key": OURS.public_key},
        {"key": bytes(33)},
        {"roles": 2},
        {"listen": "node.example:7772"},
        {"voucher": b"Voucher"},
        {"agent": "neuroshard/0.2"},
        {"signature": bytes(64)},
    ],
)
def test_every_field_is_signed(change):
    forged = replace(decode_hello(said()), **change).encode()
    with pytest.raises(Impostor):
        check_hello(forged, Side.DIALLER, TRANSCRIPT, OURS)


def test_ones_own_hello_is_told_from_a_forgery():
    own = signed(replace(HELLO, key=OURS.public_key), OURS, Side.DIALLER, TRANSCRIPT).encode()
    with pytest.raises(Ourselves):
        check_hello(own, Side.DIALLER, TRANSCRIPT, OURS)


def test_fields_may_be_as_long_as_their_maxima_and_no_longer():
    name = ("a" * 63 + ".") * 4
    longest = hand_made((name[:249] + ":65535").encode(), bytes(256), b"~" * 64)
    assert len(longest) == HELLO_BYTES_MAXIMUM and decode_hello(longest).voucher == bytes(256)
    for over in (hand_made(voucher=bytes(257)), hand_made(agent=b"~" * 65), longest + b"\x00"):
        with pytest.raises(Malformed):
            decode_hello(over)


@pytest.mark.parametrize(
    "data",
    [
        hand_made(agent=b"\x1b[2J"),
        hand_made(agent=b"\xff"),
        hand_made(listen=b"no-port"),
        hand_made(listen=b"host:0"),
        hand_made(listen=b"two hosts:1"),
        hand_made(rest=bytes(65)),
        hand_made(rest=bytes(63)),
        b"",
    ],
)
def test_what_is_no_hello_is_malformed(data):
    with pytest.raises(Malformed):
        decode_hello(data)


VALID = said()


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=HELLO_BYTES_MAXIMUM + 2),
        st.builds(
            lambda place, byte, cut: (VALID[:place] + bytes([byte]) + VALID[place + 1 :])[:cut],
            st.integers(0, len(VALID) - 1),
            st.integers(0, 255),
            st.integers(0, len(VALID)),
        ),
        st.builds(hand_made, st.binary(max_size=60), st.binary(max_size=60), st.binary(max_size=60)),
    )
)
def test_any_bytes_are_one_hello_or_malformed(data):
    try:
        hello = decode_hello(data)
    except Malformed:
        return
    assert hello.encode() == data


def greeting(version: int = 1, chain_id: bytes = CHAIN, nonce: bytes = bytes(32), rest: bytes = b"") -> bytes:
    return b"neuroshard" + version.to_bytes(2, "big") + chain_id + nonce + rest


def test_a_greeting_is_taken_from_a_node_of_this_network():
    assert check_greeting(greeting(), LISTENED) == greeting() == Greeting(CHAIN, bytes(32)).encode()


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (b"", NotANode, "greet"),
        (b"neuroshare" + bytes(66), NotANode, "greet"),
        (greeting(2, rest=b"what later versions add"), OtherVersion, "update this program"),
        (greeting(0), OtherVersion, "update the other program"),
        (greeting(chain_id=bytes(32)), OtherNetwork, f"{'00' * 8}, this node to {CHAIN.hex()[:16]}"),
        (greeting(rest=b"\x00"), Malformed, "length"),
        (greeting()[:-1], Malformed, "length"),
        (greeting(nonce=LISTENED.nonce), Malformed, "nonce"),
    ],
)
def test_other_greetings_are_refused_by_name(data, error, words):
    with pytest.raises(error, match=words):
        check_greeting(data, LISTENED)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=100) | st.builds(lambda tail: b"neuroshard\x00\x01" + tail, st.binary(max_size=70)))
def test_no_greeting_raises_anything_else(data):
    with suppress(NetworkError):
        assert check_greeting(data, LISTENED) == data
