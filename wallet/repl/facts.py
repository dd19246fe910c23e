"""What the bottom bar shows: one value, made by the thread that listens and read by the one that draws."""

from dataclasses import dataclass
from enum import Enum


class Link(Enum):
    """How it stands with the node."""

    ASKED = "connecting"
    THERE = "connected"
    AWAY = "node away"
    OTHER = "other network"


@dataclass(frozen=True, slots=True)
class Facts:
    """As the node said last. None: it has not said so."""

    link: Link = Link.ASKED
    network: str = ""
    phase: str = ""
    round: int | None = None
    round_phase: str = ""
    height: int | None = None
    balance_nanos: int | None = None
    vesting_nanos: int | None = None
