"""Who may stand in the door, what a bucket holds, and how addresses are read: pure, the time is passed in."""

import pytest

from network.address import format_address, machine_of, parse_address
from network.errors import BadAddress
from network.kinds import KINDS
from network.limits import MACHINES_REMEMBERED, Bucket, Door, GateLimits

LIMITS = GateLimits(
    connections=6, connections_per_machine=4, arrivals_per_minute=60, half_open=5, half_open_per_machine=2
)


def test_a_bucket_gives_a_minutes_worth_at_once_and_then_what_flows_in():
    bucket = Bucket(60, now=0.0)
    assert bucket.holds(60, 0.0) and not bucket.holds(61, 0.0)
    bucket.take(60)
    assert not bucket.holds(1, 0.999) and bucket.holds(1, 1.0) and not bucket.holds(2, 1.0)
    assert bucket.holds(60, 1_000.0) and not bucket.holds(61, 1_000.0)


def test_every_kind_can_be_sent_at_its_full_size():
    assert all(kind.bytes_maximum <= kind.bytes_per_minute and kind.number < 0x80 for kind in KINDS.values())


def test_one_machine_may_have_so_many_half_open_and_so_many_in_all():
    door = Door(LIMITS)
    assert door.enter("192.0.2.1", 0) and door.enter("192.0.2.1", 0) and not door.enter("192.0.2.1", 0)
    door.opened("192.0.2.1")
    assert door.enter("192.0.2.1", 0) and not door.enter("192.0.2.1", 0)
    door.opened("192.0.2.1")
    assert door.enter("192.0.2.1", 0)
    door.opened("192.0.2.1")
    door.opened("192.0.2.1")
    assert not door.enter("192.0.2.1", 0)  # four are in
    door.leave("192.0.2.1", half_open=False)
    assert door.enter("192.0.2.1", 0)


def test_all_machines_together_are_bounded_and_the_loopback_only_so():
    door = Door(LIMITS)
    assert all(door.enter("127.0.0.1", 0) for _ in range(5)) and not door.enter("192.0.2.1", 0)  # half open
    door.opened("127.0.0.1")
    assert door.enter("192.0.2.1", 0)
    door.opened("192.0.2.1")
    assert not door.enter("192.0.2.2", 0)  # six are in
    door.leave("127.0.0.1", half_open=True)
    assert door.enter("192.0.2.2", 0)


def test_a_machine_may_not_come_again_and_again():
    door = Door(LIMITS)
    for _ in range(60):
        assert door.enter("192.0.2.1", 0.0)
        door.leave("192.0.2.1", half_open=True)
    assert not door.enter("192.0.2.1", 0.9) and door.enter("192.0.2.2", 0.9) and door.enter("192.0.2.1", 1.0)


def test_the_door_forgets_those_who_left():
    door = Door(LIMITS)
    for number in range(MACHINES_REMEMBERED + 9):
        address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        assert door.enter(address, 0)
        door.leave(address, half_open=True)
    assert (door.inside, door.half_open, len(door._inside), len(door._half_open)) == (0, 0, 0, 0)
    assert len(door._arrivals) == MACHINES_REMEMBERED


def test_an_ipv6_site_is_one_machine_and_a_mapped_address_is_the_ipv4_one():
    assert machine_of("2001:db8::1") == machine_of("2001:db8::ffff:0:0:2") != machine_of("2001:db8:0:1::1")
    assert machine_of("::ffff:192.0.2.1") == machine_of("192.0.2.1") != machine_of("192.0.2.2")


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("192.0.2.7:7771", "192.0.2.7", 7771),
        ("node-1.example:1", "node-1.example", 1),
        ("my_box:65535", "my_box", 65535),
        ("[2001:db8::7]:7771", "2001:db8::7", 7771),
    ],
)
def test_an_address_is_host_and_port(text, host, port):
    assert parse_address(text) == (host, port)
    assert format_address(host, port) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "host",
        ":7771",
        "host:",
        "host:0",
        "host:65536",
        "host:7771x",
        "host:٣",
        "2001:db8::7:7771",
        "[host]:1",
        "-a:1",
        "[fe80::1%eth0]:1",
        "a b:1",
        "http://host:1",
        "h" * 64 + ":1",
        ("a" * 63 + ".") * 4 + ":1",
        "host:+1",
    ],
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(BadAddress):
        parse_address(text)


def test_port_zero_is_for_those_who_listen():
    assert parse_address("127.0.0.1:0", port_zero=True) == ("127.0.0.1", 0)
