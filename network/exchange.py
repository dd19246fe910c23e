"""Peer exchange: asking peers for addresses of others, and answering. Pure: the time is handed in.

An answer is u8 count ‖ count × (IP address as 16 bytes ‖ port u16), strictly ascending, so that a set of addresses
has one encoding. IPv4 addresses are written as IPv6 (RFC 4291, section 2.5.5.2: ::ffff:a.b.c.d). A request is empty.
We ask only peers that we have dialled ourselves: those who dial us choose us, and would choose what we hear.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from network.errors import Malformed
from network.subnets import Address, Ip, ip_of

COUNT_MAXIMUM = 100
ASK_MS = 60_000  # between two requests to one peer
ANSWER_MS = 50_000  # a little less, for a peer whose clock runs fast
_ENTRY_BYTES = 18
_MAPPED = bytes(10) + b"\xff\xff"


@dataclass(slots=True)
class Exchange:
    """What has been asked and answered on one connection."""

    asked_ms: int | None = None
    is_awaited: bool = False
    answered_ms: int | None = None

    def asks(self, now_ms: int) -> bool:
        """Whether a request is due now; if so, it counts as sent."""
        if self.asked_ms is not None and now_ms - self.asked_ms < ASK_MS:
            return False
        self.asked_ms, self.is_awaited = now_ms, True
        return True

    def answers(self, payload: bytes, now_ms: int) -> bool:
        """Whether a request may be answered now; if so, it counts as answered. Raises Malformed."""
        if payload:
            raise Malformed("a request of addresses is not empty")
        if self.answered_ms is not None and now_ms - self.answered_ms < ANSWER_MS:
            return False
        self.answered_ms = now_ms
        return True

    def takes(self) -> bool:
        """Whether an answer has been asked for; only one is taken."""
        is_awaited, self.is_awaited = self.is_awaited, False
        return is_awaited


def encode_addresses(addresses: Iterable[Address]) -> bytes:
    """The first 100 that are IP addresses."""
    packed = {_packed(ip) + address.port.to_bytes(2, "big") for address in addresses if (ip := ip_of(address.host))}
    entries = sorted(packed)[:COUNT_MAXIMUM]
    return bytes([len(entries)]) + b"".join(entries)


def decode_addresses(payload: bytes) -> list[Address]:
    """All addresses of an answer. Raises Malformed."""
    if not payload or payload[0] > COUNT_MAXIMUM or len(payload) != 1 + payload[0] * _ENTRY_BYTES:
        raise Malformed("a list of addresses has another length than it says")
    entries = [payload[start : start + _ENTRY_BYTES] for start in range(1, len(payload), _ENTRY_BYTES)]
    if any(before >= after for before, after in pairwise(entries)):
        raise Malformed("a list of addresses is not in ascending order")
    addresses = [_unpacked(entry) for entry in entries]
    if any(address.port == 0 for address in addresses):
        raise Malformed("an address has port 0")
    return addresses


def _packed(ip: Ip) -> bytes:
    return _MAPPED + ip.packed if ip.version == 4 else ip.packed


def _unpacked(entry: bytes) -> Address:
    raw, port = entry[:16], int.from_bytes(entry[16:], "big")
    ip = ipaddress.ip_address(raw[12:] if raw.startswith(_MAPPED) else raw)
    return Address(str(ip), port)
