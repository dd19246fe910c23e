"""Which peers that dial us may stay. Pure: one question, one answer.

Of the places for inbound peers some are kept for validators, so that no crowd of strangers can keep consensus from
being heard. One subnet has few places, since whoever owns one has all its addresses. A newcomer takes the place of a
peer with a worse score, or of one from a more crowded subnet; a peer that has been useful is never put out by a
stranger.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SlotLimits:
    """Places for peers that dial us."""

    inbound: int = 32
    validators: int = 16  # of them for validators only
    per_subnet: int = 4  # peers of one /24 or /48 that are no validators


@dataclass(frozen=True, slots=True)
class Inbound:
    """A peer that dialled us. `subnet` is empty where subnets are not limited."""

    key: bytes
    subnet: str
    is_validator: bool
    score: int
    since_ms: int


@dataclass(frozen=True, slots=True)
class Place:
    """The newcomer may stay, once the peer `evicted` (empty: nobody) has left."""

    evicted: bytes = b""


@dataclass(frozen=True, slots=True)
class Full:
    """The newcomer has to go."""

    reason: str


def find_place(newcomer: Inbound, present: Collection[Inbound], limits: SlotLimits) -> Place | Full:
    """Whether there is a place for `newcomer` beside those present."""
    strangers = [peer for peer in present if not peer.is_validator]
    if newcomer.is_validator:
        # Power in the validator set cannot be made up, so neither the subnet nor the strangers' share limits it.
        if len(present) < limits.inbound:
            return Place()
        return Place(_worst(strangers).key) if strangers else Full("all places are taken by validators")
    near = [peer for peer in strangers if newcomer.subnet and peer.subnet == newcomer.subnet]
    if len(near) >= limits.per_subnet:
        worst = _worst(near)
        return Place(worst.key) if worst.score < newcomer.score else Full("too many peers of one subnet")
    if len(strangers) < limits.inbound - limits.validators and len(present) < limits.inbound:
        return Place()
    if not strangers:
        return Full("all places are taken by validators")
    worst = _worst(strangers)
    crowds = Counter(peer.subnet for peer in strangers if peer.subnet)
    is_fairer = worst.score <= newcomer.score and crowds[worst.subnet] > crowds[newcomer.subnet] + 1
    return Place(worst.key) if worst.score < newcomer.score or is_fairer else Full("all places are taken")


def _worst(peers: Collection[Inbound]) -> Inbound:
    """The lowest score; of equals one from the most crowded subnet, and of those the latest."""
    crowds = Counter(peer.subnet for peer in peers if peer.subnet)
    return min(peers, key=lambda peer: (peer.score, -crowds[peer.subnet], -peer.since_ms, peer.key))
