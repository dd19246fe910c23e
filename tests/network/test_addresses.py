"""Addresses: what may stand in the book, who can fill it, and how they are exchanged."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from network import address_book, memory
from network.address_book import AddressBook
from network.errors import BadAddress, Malformed
from network.exchange import ANSWER_MS, ASK_MS, COUNT_MAXIMUM, Exchange, decode_addresses, encode_addresses
from network.subnets import Address, group_of, is_usable, read_address, subnet_of

TELLER = "198.18.0.1"


def book(allow_local: bool = False) -> AddressBook:
    return AddressBook(Random(1), allow_local)


def public(number: int, port: int = 7771) -> Address:
    """Addresses of which no two are in one /24."""
    return Address(f"{20 + number // 65_536}.{number // 256 % 256}.{number % 256}.9", port)


def anything(_: object) -> bool:
    return False


@pytest.mark.parametrize(
    "text, shown",
    [
        ("Example.ORG:80", "example.org:80"),
        ("20.0.0.1:7771", "20.0.0.1:7771"),
        ("[2A00:0::1]:5", "[2a00::1]:5"),
        ("[::ffff:20.0.0.1]:5", "20.0.0.1:5"),
    ],
)
def test_an_address_has_one_form(text, shown):
    assert str(read_address(text)) == shown
    assert str(read_address(shown)) == shown


@pytest.mark.parametrize("text", ["", ":1", "host", "host:0", "host:65536", "2a00::1:5", "[2a00::1]", "a b:1", "[x]:1"])
def test_what_is_not_host_and_port_is_refused(text):
    with pytest.raises(BadAddress):
        read_address(text)


@pytest.mark.parametrize(
    "host, in_public, in_test",
    [
        ("20.0.0.1", True, True),
        ("2a00::1", True, True),
        ("127.0.0.1", False, True),
        ("10.1.2.3", False, True),
        ("192.168.0.1", False, True),
        ("fd00::1", False, True),
        ("::1", False, True),
        ("0.0.0.0", False, False),
        ("::", False, False),
        ("224.0.0.1", False, False),
        ("2002:1400:1::1", False, False),  # 6to4: one IPv4 address would have 65,536 subnets
        ("64:ff9b::1400:1", False, False),
        ("example.org", False, False),  # a peer shall not choose what we ask the DNS
    ],
)
def test_peers_can_tell_us_public_ip_addresses_and_local_ones_in_test_networks(host, in_public, in_test):
    assert is_usable(Address(host, 1), allow_local=False) is in_public
    assert is_usable(Address(host, 1), allow_local=True) is in_test
    assert not is_usable(Address(host, 0), allow_local=True)


def test_neighbours_share_a_subnet_and_a_group():
    assert subnet_of("20.1.2.3") == subnet_of("20.1.2.255") != subnet_of("20.1.3.3")
    assert group_of("20.1.2.3") == group_of("20.1.255.3") != group_of("20.2.2.3")
    assert subnet_of("2a00:1:2::1") == subnet_of("2a00:1:2:ffff::1") != subnet_of("2a00:1:3::1")
    assert group_of("2a00:1:2::1") == group_of("2a00:1:ffff::1") != group_of("2a00:2:2::1")


# ---- The book


def test_one_source_cannot_put_in_more_than_its_share():
    found = book()
    taken = sum(found.add(public(number), f"198.18.{number % 200}.1", False) for number in range(1_000))
    assert taken == len(found) == address_book.PER_SOURCE_MAXIMUM
    assert found.add(public(5_000), "198.20.0.1", False)


def test_one_subnet_has_few_addresses_in_the_book():
    found = book()
    taken = [found.add(Address(f"20.0.0.{host}", 7771), f"198.{host}.0.1", False) for host in range(1, 30)]
    assert sum(taken) == address_book.PER_SUBNET_MAXIMUM
    assert found.add(Address("20.0.1.1", 7771), TELLER, False)


def test_local_addresses_of_a_test_network_are_outside_the_limit_by_subnet():
    found = book(allow_local=True)
    assert all(found.add(Address("127.0.0.1", port), "127.0.0.1", True) for port in range(7_000, 7_100))


def test_the_book_is_bounded_and_the_loudest_source_gives_way():
    found = book()
    for number in range(3_000):
        found.add(public(number), f"198.{18 + number % 20}.0.1", False)
    assert len(found) == address_book.HEARD_MAXIMUM
    assert found.add(public(70_000), "203.1.0.1", False)
    assert len(found) == address_book.HEARD_MAXIMUM


def test_a_flood_of_addresses_does_not_displace_where_somebody_was_met():
    found = book()
    for number in range(50):
        found.met(public(number), b"key", now_s=number)
    for number in range(100, 8_000):
        found.add(public(number), f"198.{number % 250}.0.1", from_inbound=True)
    assert all(found.get(public(number)).key for number in range(50))
    chosen = {str(found.choose(0, anything).address) for _ in range(400)}
    assert len(chosen & {str(public(number)) for number in range(50)}) > 40


def test_of_too_many_addresses_met_the_oldest_goes():
    found = book()
    for number in range(address_book.MET_MAXIMUM + 1):
        found.met(public(number), b"key", now_s=number)
    assert len(found) == address_book.MET_MAXIMUM
    assert found.get(public(0)) is None and found.get(public(1)) is not None


def test_an_address_that_fails_is_dialled_later_and_forgotten_in_the_end():
    found = book()
    found.add(public(1), TELLER, False)
    now_ms = 0
    for _ in range(address_book.HEARD_FAILURES):
        assert found.choose(now_ms, anything).address == public(1)
        found.failed(public(1), now_ms, is_online=True)
        assert found.choose(now_ms, anything) is None
        now_ms += address_book.RETRY_MAXIMUM_MS
    assert len(found) == 0


def test_while_nobody_can_be_reached_no_address_is_forgotten():
    found = book()
    found.add(public(1), TELLER, False)
    for _ in range(100):
        found.failed(public(1), 0, is_online=False)
    assert found.choose(address_book.RETRY_MS, anything).address == public(1)


def test_who_was_there_lately_is_looked_for_often_and_not_forgotten():
    found = book()
    found.met(public(1), b"key", now_s=1)
    found.parted(public(1), 0, pause_ms=500)
    assert found.choose(499, anything) is None and found.choose(500, anything)
    for _ in range(30):
        found.failed(public(1), 1_000, is_online=True)
    assert found.choose(1_000 + address_book.RETRY_LOST_MAXIMUM_MS, anything).address == public(1)
    found.failed(public(1), 2 * address_book.LOST_MS, is_online=True)
    assert len(found) == 0


def test_our_own_address_is_never_taken_again():
    found = book()
    found.add(public(1), TELLER, False)
    found.forget_own(public(1))
    assert len(found) == 0 and not found.add(public(1), TELLER, False)


def test_an_address_stays_derived_from_inbound_peers_until_another_tells_it():
    found = book()
    found.add(public(1), TELLER, from_inbound=True)
    assert found.get(public(1)).from_inbound
    found.add(public(1), "203.0.1.1", from_inbound=False)
    assert not found.get(public(1)).from_inbound


def test_a_peer_cannot_keep_us_from_an_address_that_others_tell_too():
    found = book()
    found.add(public(1), TELLER, True, claimed_by=b"liar")
    assert found.get(public(1)).claimed_by == b"liar"
    found.add(public(1), TELLER, True)
    assert not found.get(public(1)).claimed_by
    found.add(public(1), TELLER, True, claimed_by=b"liar")
    assert not found.get(public(1)).claimed_by


def test_only_addresses_that_work_are_told():
    found = book()
    for number in range(300):
        found.add(public(number), f"198.{number % 5}.0.1", False)
    found.failed(public(0), 0, is_online=True)
    told = found.sample(COUNT_MAXIMUM)
    assert len(set(told)) == COUNT_MAXIMUM
    assert all(public(0) not in found.sample(COUNT_MAXIMUM) for _ in range(20))


def test_the_book_is_the_same_after_it_was_saved(tmp_path):
    found = book()
    found.met(public(1), b"\x02" * 33, now_s=7)
    found.add(public(2), TELLER, from_inbound=True)
    memory.save(tmp_path, {"addresses": found.to_plain()})
    again = book()
    again.load(memory.load(tmp_path)["addresses"])
    assert again.to_plain() == found.to_plain()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"version": 2}', b"[" * 100_000, b"\xff", b"1" * 10_000, b" " * (16 << 20) + b"{}"]
)
def test_a_memory_that_is_damaged_says_so(tmp_path, content):
    (tmp_path / memory.NAME).write_bytes(content)
    with pytest.raises(memory.Unreadable):
        memory.load(tmp_path)
    assert memory.load(tmp_path / "nowhere") == {}


# ---- The exchange


def addresses() -> st.SearchStrategy[Address]:
    hosts = st.ip_addresses().map(lambda ip: str(getattr(ip, "ipv4_mapped", None) or ip))
    return st.builds(Address, hosts, st.integers(1, 65_535))


@settings(max_examples=60, deadline=None)
@given(st.sets(addresses(), max_size=COUNT_MAXIMUM))
def test_what_is_told_is_what_is_heard(told):
    assert set(decode_addresses(encode_addresses(told))) == told


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=80), st.lists(st.binary(min_size=18, max_size=18), max_size=4)))
def test_bytes_are_refused_or_the_only_encoding_of_what_they_say(raw):
    payload = raw if isinstance(raw, bytes) else bytes([len(raw)]) + b"".join(sorted(raw))
    try:
        heard = decode_addresses(payload)
    except Malformed:
        return
    assert encode_addresses(heard) == payload


def test_more_than_a_hundred_addresses_are_neither_told_nor_heard():
    many = [public(number) for number in range(COUNT_MAXIMUM + 1)]
    payload = encode_addresses(many)
    assert len(decode_addresses(payload)) == COUNT_MAXIMUM
    with pytest.raises(Malformed):
        decode_addresses(bytes([COUNT_MAXIMUM + 1]) + payload[1:] + b"\xff" * 18)


def test_names_are_never_told():
    assert encode_addresses([Address("example.org", 1)]) == b"\x00"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x01",
        b"\x00\x00",
        b"\x01" + bytes(16) + b"\x00\x00",
        b"\x02" + 2 * (bytes(16) + b"\x00\x01"),
        b"\x02" + bytes(16) + b"\x00\x02" + bytes(16) + b"\x00\x01",
    ],
)
def test_an_answer_of_another_length_order_or_with_port_zero_is_malformed(payload):
    with pytest.raises(Malformed):
        decode_addresses(payload)


def test_a_peer_is_asked_and_answered_once_a_minute():
    exchange = Exchange()
    assert exchange.asks(5) and not exchange.asks(5 + ASK_MS - 1) and exchange.asks(5 + ASK_MS)
    assert exchange.answers(b"", 5) and not exchange.answers(b"", 5 + ANSWER_MS - 1)
    assert exchange.answers(b"", 5 + ANSWER_MS)
    with pytest.raises(Malformed):
        exchange.answers(b"x", 10 * ANSWER_MS)


def test_one_answer_is_taken_for_each_question():
    exchange = Exchange()
    assert not exchange.takes()
    exchange.asks(0)
    assert exchange.takes() and not exchange.takes()
