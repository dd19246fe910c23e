"""Which addresses are local, and which probably belong to one operator."""

import ipaddress
from dataclasses import dataclass

from network.address import format_address, parse_address

_TUNNELS = tuple(ipaddress.IPv6Network(text) for text in ("2002::/16", "2001::/32", "64:ff9b::/96"))

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """Where somebody can be dialled: a host (name, IPv4, or IPv6 without brackets) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return format_address(self.host, self.port)


def read_address(text: str) -> Address:
    """HOST:PORT with the host in one form only. Raises BadAddress."""
    host, port = parse_address(text)
    ip = ip_of(host)
    return Address(host.lower() if ip is None else str(ip), port)


def ip_of(host: str) -> Ip | None:
    """The IP address that the text is, an IPv4 address in IPv6 clothes as IPv4; None for a name."""
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return ip if mapped is None else mapped


def is_public(ip: Ip) -> bool:
    """Whether the whole internet can reach it directly. Tunnels would let one operator have any number of subnets."""
    return ip.is_global and not ip.is_multicast and not any(ip in tunnel for tunnel in _TUNNELS)


def is_usable(address: Address, allow_local: bool) -> bool:
    """Whether we would dial an address that a peer tells us: an IP address, public unless local ones are allowed."""
    ip = ip_of(address.host)
    if ip is None or address.port == 0 or ip.is_unspecified or ip.is_multicast:
        return False
    return is_public(ip) or (allow_local and (ip.is_private or ip.is_loopback or ip.is_link_local))


def is_exempt(host: str, allow_local: bool) -> bool:
    """Whether the host is outside all limits by subnet: a local one in a test network."""
    ip = ip_of(host)
    return allow_local and ip is not None and not is_public(ip)


def subnet_of(host: str) -> str:
    """The /24 (IPv4) or /48 (IPv6) around a host: what one customer of a provider has. A name stands for itself."""
    return _around(host, 24, 48)


def group_of(host: str) -> str:
    """The /16 (IPv4) or /32 (IPv6) around a host: what one provider has. A name stands for itself."""
    return _around(host, 16, 32)


def _around(host: str, bits_4: int, bits_6: int) -> str:
    ip = ip_of(host)
    if ip is None:
        return host
    bits = bits_4 if ip.version == 4 else bits_6
    return str(ipaddress.ip_network((ip.packed, bits), strict=False))
