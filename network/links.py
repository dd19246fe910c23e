"""Who is connected: one connection for each key, and what is known of it. Pure apart from ending connections.

Two nodes may dial each other at the same moment. Of two connections in opposite directions the one dialled by the
smaller key stays: both sides see the same two, so both decide alike. Of two that the same side has dialled (one may be
the remains of a life before a crash) only the other side can tell which is newer, so it alone decides, and takes the
later one; the side that dialled keeps both until then.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from network.connection import Connection
from network.exchange import Exchange
from network.peer import Peer
from network.subnets import Address


@dataclass(slots=True, eq=False)
class Link:
    """One connection and what we know of the peer behind it."""

    connection: Connection
    peer: Peer
    since_ms: int
    address: Address  # of the other end
    subnet: str = ""  # for the limits; empty where there are none
    is_validator: bool = False
    assessed_ms: int = 0  # when that was asked last
    from_inbound: bool = False  # it dialled us, or only such peers told us of it
    is_over: bool = False  # nothing that it still brings is heard
    exchange: Exchange = field(default_factory=Exchange)

    @property
    def key(self) -> bytes:
        return self.peer.key


@dataclass(frozen=True, slots=True)
class Joined:
    """What `Links.join` did: the link that took over, if the peer's did; those that have to end."""

    current: Link | None
    replaced: Link | None
    ending: Link | None


class Links:
    """At most one current link for each key, and at most one spare."""

    def __init__(self, own_key: bytes) -> None:
        self._own_key = own_key
        self._current: dict[bytes, Link] = {}
        self._spare: dict[bytes, Link] = {}

    def __iter__(self) -> Iterator[Link]:
        return iter(tuple(self._current.values()))

    def __len__(self) -> int:
        return len(self._current)

    def __contains__(self, key: bytes) -> bool:
        return key in self._current

    def get(self, key: bytes) -> Link | None:
        return self._current.get(key)

    def every(self) -> list[Link]:
        """Spares too."""
        return [*self._current.values(), *self._spare.values()]

    def join(self, link: Link) -> Joined:
        """Take a link whose handshake has succeeded."""
        key, present = link.key, self._current.get(link.key)
        if present is None:
            self._current[key] = link
            return Joined(link, None, None)
        if present.peer.outbound != link.peer.outbound:
            # Whether the present link was dialled by the smaller key.
            if present.peer.outbound == (self._own_key < key):
                return Joined(None, None, link)
            self._current[key] = link
            return Joined(link, present, present)
        if not link.peer.outbound:
            self._current[key] = link
            return Joined(link, present, present)
        oldest = self._spare.get(key)
        self._spare[key] = link
        return Joined(None, None, oldest)

    def leave(self, link: Link) -> Joined:
        """The link has ended. Its spare takes over, if there is one."""
        if self._spare.get(link.key) is link:
            del self._spare[link.key]
        if self._current.get(link.key) is not link:
            return Joined(None, None, None)
        del self._current[link.key]
        spare = self._spare.pop(link.key, None)
        if spare is not None:
            self._current[link.key] = spare
        return Joined(spare, link, None)
