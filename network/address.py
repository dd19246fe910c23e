"""HOST:PORT as text: one way to read and to write it, and which addresses count as one machine."""

import ipaddress
import re

from network.errors import BadAddress

ADDRESS_CHARACTERS_MAXIMUM = 255
# RFC 1123: letters, digits and hyphens between dots; underscores occur in the names of containers.
NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")


def parse_address(text: str, port_zero: bool = False) -> tuple[str, int]:
    """Host (IPv6 without brackets) and port. Port 0 only where any free one is meant. Raises BadAddress."""
    host, colon, port = text.rpartition(":")
    in_brackets = host.startswith("[") and host.endswith("]")
    good_port = port.isascii() and port.isdigit() and len(port) <= 5 and (not port_zero) <= int(port) <= 65_535
    good_host = _is_ipv6(host[1:-1]) if in_brackets else NAME.fullmatch(host) is not None
    if len(text) > ADDRESS_CHARACTERS_MAXIMUM or not (colon and good_host and good_port):
        raise BadAddress(
            f"{text[:80]!r} is no address: HOST:PORT is wanted, for example 192.0.2.7:7771 or [2001:db8::7]:7771"
        )
    return host[1:-1] if in_brackets else host, int(port)


def format_address(host: str, port: int) -> str:
    """The text that `parse_address` reads."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def machine_of(ip: str) -> str:
    """What counts as one machine: an IPv4 address, also one mapped into IPv6; of IPv6 the /64 that one site owns."""
    parsed = _parsed(ip)
    if parsed is None or parsed.version == 4:
        return ip if parsed is None else str(parsed)
    return str(ipaddress.ip_network((int(parsed), 64), strict=False))


def is_loopback(ip: str) -> bool:
    parsed = _parsed(ip)
    return parsed is not None and parsed.is_loopback


def _parsed(ip: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        return None
    return parsed.ipv4_mapped or parsed if isinstance(parsed, ipaddress.IPv6Address) else parsed


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return "%" not in text
