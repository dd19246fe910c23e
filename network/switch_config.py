"""What a switch is told, and what it tells for the API and the log."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from network.connection import Report
from network.peer import Peer
from network.slots import SlotLimits
from network.transport import GateLimits


def nobody(_: bytes, __: bytes) -> bool:
    """Where no voucher counts."""
    return False


@dataclass(frozen=True, slots=True)
class SwitchConfig:
    """What a switch is told. Addresses are HOST:PORT."""

    chain_id: bytes
    folder: Path  # certificate and memory of peers; made if it is not there
    on_error: Callable[[BaseException], None]  # a fault of our own: the node should end
    listen: str | None = None
    advertise: str = ""  # where others can dial us, if that is not where we listen
    seeds: tuple[str, ...] = ()
    agent: str = ""
    roles: int = 0
    voucher: bytes = b""
    is_validator: Callable[[bytes, bytes], bool] = nobody  # key, voucher; asked at first and now and then
    outbound: int = 8  # peers that we dial for ourselves, seeds counted
    trusted: int = 2  # of them never through addresses of which only inbound peers have told us
    slots: SlotLimits = field(default_factory=SlotLimits)
    gate: GateLimits = field(default_factory=GateLimits)
    allow_local: bool = False  # loopback and private addresses are exchanged, and outside the limits by subnet


@dataclass(frozen=True, slots=True)
class PeerReport:
    """One peer, for the API and the log."""

    peer: Peer
    is_validator: bool
    is_seed: bool
    score: int
    reasons: tuple[str, ...]  # of blame, the latest last
    connection: Report
