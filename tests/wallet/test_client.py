"""What a node answers is a stranger's: bounded in bytes and time, of the right form, or refused by name."""

import json
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wallet.hostile_node import answering, http
from tests.wallet.people import a_session, a_wallet, typed
from wallet import client as client_module
from wallet.answered import Answered
from wallet.client import ANSWER_BYTES_MAXIMUM, Client, checked_address, is_this_machine
from wallet.errors import ApiError, BadAnswer, BadValue, NodeAway, OtherChain, Refused

pytestmark = pytest.mark.usefixtures("cheap")

GOOD = http(b'{"a": 1}')
CHAIN = "ab" * 32
STATUS = http(json.dumps({"chain_id": CHAIN, "round": 1, "height": 2}).encode())


def test_a_connection_is_kept_and_one_that_was_closed_is_made_anew():
    with answering(GOOD) as address:
        asked = Client(address)
        assert asked.get("/x").raw == {"a": 1}
        kept = asked._connection
        assert asked.get("/x").raw == {"a": 1} and asked._connection is kept
    with answering(GOOD, None, GOOD) as address:
        asked = Client(address)
        assert [asked.get("/x").whole("a") for _ in range(2)] == [1, 1]


@pytest.mark.parametrize(
    "reply",
    [
        None,
        b"\x00\x01 nonsense",
        b"HTTP/1.1 99999 no\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
        http(b"[1]"),
        http(b"nonsense"),
        http(b"\xff\xfe"),
        http(b""),
        http(b"[" * 100_000),
        http(b'{"a": ' + b"9" * 5_000 + b"}"),
        http(b"{}", "500 oh"),
        http(b'{"error": 5}', "404 no"),
        http(b'{"error": {"code": 5, "message": {}}}', "422 no"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    ],
)
def test_whatever_comes_is_an_answer_or_an_error_of_ours(monkeypatch, reply):
    monkeypatch.setattr(client_module, "SECONDS", 0.5)  # where the rest of an answer is waited for
    with answering(reply) as address, pytest.raises(ApiError):
        Client(address).get("/x")


def test_an_answer_at_the_bound_is_read_and_one_beyond_is_not():
    whole = b'{"a": "' + b"x" * (ANSWER_BYTES_MAXIMUM - 9) + b'"}'
    assert len(whole) == ANSWER_BYTES_MAXIMUM
    with answering(http(whole)) as address:
        assert Client(address).get("/x").has("a")
    with answering(http(whole + b" ")) as address, pytest.raises(BadAnswer, match="more than 4 MiB"):
        Client(address).get("/x")
    endless = [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        *[b"100000\r\n" + bytes(1 << 20) + b"\r\n"] * 8,
    ]
    with answering(endless) as address, pytest.raises(ApiError):
        Client(address).get("/x")


def test_an_answer_that_trickles_is_cut(monkeypatch):
    monkeypatch.setattr(client_module, "SECONDS_IN_ALL", 0.5)
    trickle = [b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", *[b"x", 0.2] * 1000]
    with answering(trickle) as address, pytest.raises(NodeAway):
        Client(address).get("/x")


@pytest.mark.parametrize("head", ["Connection: close\r\nContent-Length: 40", "Connection: close"])
def test_an_answer_that_trickles_on_a_connection_that_the_node_will_close_is_cut_too(monkeypatch, head):
    monkeypatch.setattr(client_module, "SECONDS_IN_ALL", 0.5)
    pieces = [b"HTTP/1.1 200 OK\r\n" + head.encode() + b"\r\n\r\n{", *[b" ", 0.2] * 37, b" }"]
    with answering(pieces) as address, pytest.raises(ApiError):
        Client(address).get("/x")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_a_number_that_json_cannot_tell_is_passed_on_to_no_program(number):
    with answering(http(f'{{"a": {number}}}'.encode())) as address, pytest.raises(BadAnswer):
        Client(address).get("/x")
    with answering(http(b'{"a": 1e308}')) as address:
        assert Client(address).get("/x").raw == {"a": 1e308}


@pytest.mark.parametrize("status", ["199 x", "300 x", "302 Found", "399 x"])
def test_only_a_good_status_is_a_good_answer_and_nobody_is_followed_elsewhere(status):
    with answering(http(b'{"a": 1}', status, "Location: http://127.0.0.1:1/\r\n")) as address, pytest.raises(ApiError):
        Client(address).get("/x")


def test_silence_is_away(monkeypatch):
    monkeypatch.setattr(client_module, "SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(NodeAway, match="no node answers at"):
        Client(f"127.0.0.1:{silent.getsockname()[1]}").get("/x")


def test_a_refusal_is_in_the_nodes_words_made_harmless():
    fault = {"error": {"code": "no\x1b[31m", "message": "because\x1b]0;x\x07 of \u202e this"}}
    with answering(http(json.dumps(fault).encode(), "422 no")) as address, pytest.raises(Refused) as refused:
        Client(address).get("/x")
    assert refused.value.status == 422 and str(refused.value).isprintable() and refused.value.code.isprintable()
    assert "because" in str(refused.value)


@pytest.mark.parametrize(
    "text", ["127.0.0.1:8420", "[::1]:1", "node.example.org:65535", "http://127.0.0.1:8420/", " localhost:1 "]
)
def test_addresses_of_apis_are_read(text):
    assert checked_address(text).count(":") >= 1 and "/" not in checked_address(text)


@pytest.mark.parametrize(
    "text", ["", "localhost", ":80", "a:0", "a:65536", "a:x", "a b:1", "a:1/x", "https://a:1", "a:1\n", "é:1", "a@b:1"]
)
def test_what_is_no_address_of_an_api_is_refused_before_anybody_is_asked(text):
    if text == "a:1\n":
        assert checked_address(text) == "a:1"
        return
    with pytest.raises(BadValue, match="HOST:PORT"):
        checked_address(text)


def test_a_node_elsewhere_is_warned_of_and_one_here_is_not():
    assert all(map(is_this_machine, ("127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1")))
    assert not any(map(is_this_machine, ("192.0.2.7:1", "128.0.0.1:1", "localhost.example.org:1", "127.example.org:1")))


def test_a_node_of_another_chain_than_the_folders_is_refused(tmp_path):
    (tmp_path / "network").write_bytes(b"\x01\x01 a network")
    with answering(STATUS) as address, pytest.raises(OtherChain, match=CHAIN[:16]):
        assert a_session(tmp_path, api=address).client


def test_what_the_ledger_says_is_read_too_in_a_folder_that_cannot_be_written(tmp_path):
    a_wallet(tmp_path)
    (tmp_path / "wallet.lock").unlink()
    (tmp_path / "wallet.lock").mkdir()
    with answering(STATUS) as address:
        assert a_session(tmp_path, api=address).client.get("/v1/status").whole("height") == 2


def test_an_address_of_the_settings_is_one_address_however_it_is_written(tmp_path):
    a_wallet(tmp_path).remember_chain("127.0.0.1:1", bytes(32))
    with answering(STATUS) as address:
        typed(a_session(tmp_path, api=f" http://{address}/"), "settings forget-chain")
        session = a_session(tmp_path, api=f"http://{address}/")
        assert session.folder.chain_of(address) == session.chain_id == bytes.fromhex(CHAIN)
        assert session.client is session.client


def test_a_folder_without_a_wallet_is_left_without_files(tmp_path):
    with answering(STATUS) as address:
        assert a_session(tmp_path, api=address).client.get("/v1/status").whole("height") == 2
    assert list(tmp_path.iterdir()) == []


def test_the_api_file_of_a_folder_leads_to_its_node(tmp_path):
    (tmp_path / "api.json").write_text(json.dumps({"address": "127.0.0.1:4242"}))
    assert a_session(tmp_path, api="").api == "127.0.0.1:4242"
    for damage in ("", "[]", '{"address": 5}', "[" * 9_000):
        (tmp_path / "api.json").write_text(damage)
        assert a_session(tmp_path, api="").api == "127.0.0.1:8420"


# ---- Values

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
READERS = ("whole", "nanos", "truth", "text", "decimal", "hexadecimal", "address", "object", "objects", "texts")


@given(JSON, st.sampled_from(READERS))
def test_a_value_is_of_its_kind_or_the_answer_is_refused(value, reader):
    answer = Answered({"x": value}, "a node")
    try:
        found = getattr(answer, reader)("x")
    except BadAnswer as error:
        assert str(error).isprintable()
        return
    if reader in ("text", "decimal"):
        assert found.isprintable()
    if reader in ("whole", "nanos"):
        assert type(found) is int and found >= 0


@pytest.mark.parametrize(
    ("reader", "good", "bad"),
    [
        ("whole", [0, 2**64 - 1], [-1, 2**64, True, "1", 1.0, None]),
        ("nanos", ["0", str(2**128 - 1)], [str(2**128), "-1", "1.0", "", "٣", 5, "1" * 40]),
        ("truth", [True, False], [0, 1, "true", None]),
        ("decimal", ["1.5", "-0.25", 3, 0.5], ["1e5", "nan", True, "", "1.", None]),
        ("hexadecimal", ["", "00ff"], ["0", "0G", "FF", 5]),
    ],
)
def test_values_at_their_bounds(reader, good, bad):
    for value in good:
        getattr(Answered({"x": value}, "a node"), reader)("x")
    for value in bad:
        with pytest.raises(BadAnswer):
            getattr(Answered({"x": value}, "a node"), reader)("x")
