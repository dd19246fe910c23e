"""What the protocols of a node need of the world: time, chance, peers, work done aside. All else in them is pure.

The node gives them an event loop, threads and sockets (`node.loop_runtime`); the simulator of the tests gives them one
heap of events and a seed, so that a run of many nodes can be repeated to the bit.
"""

import random
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from network.peer import Peer

T = TypeVar("T")

LEDGER, VOTES = "ledger", "votes"  # lanes of `offload`: within one, work is done in order, one at a time

# Points of `blame`; a peer is banned at -100.
MALFORMED, INVALID, SLOW, UNASKED = 100, 20, 10, 20


class Timer(Protocol):
    def cancel(self) -> None: ...


class Runtime(Protocol):
    """One node's surroundings. All callbacks run one at a time, never inside the call that asked for them."""

    random: random.Random

    def now_ms(self) -> int:
        """A clock that never goes back and knows no date."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970 by this machine's clock, which may be wrong."""

    def later(self, delay_ms: int, action: Callable[[], None]) -> Timer:
        """Call `action` after so long, unless cancelled."""

    def offload(self, lane: str, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """Do `work` aside, then call `done` with what it returned. If it raises, the node ends with that error.

        What may go wrong through somebody else's fault must therefore be returned, not raised.
        """

    def peers(self) -> Mapping[bytes, Peer]:
        """Who is connected now, by key."""

    def send(self, key: bytes, kind: int, payload: bytes) -> None:
        """Queue a message for a peer; nothing happens if it is not connected. Never blocks."""

    def fail(self, error: BaseException) -> None:
        """End the node with this error: it cannot go on safely."""

    def blame(self, key: bytes, points: int, reason: str) -> None:
        """The peer did what it should not. Reasons appear in the log and the API."""

    def praise(self, key: bytes) -> None:
        """The peer sent something useful."""
