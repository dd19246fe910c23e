"""What a round counted and gave, as the outer step wants it."""

from collections.abc import Sequence
from dataclasses import dataclass

from chain.block import Outcome
from chain.crypto.hashing import merkle_root
from chain.rounds import agreed_outcome, counted
from chain.state import CLOSED, Round, State


@dataclass(frozen=True, slots=True, order=True)
class Counted:
    """A payload that the ledger counted: whose, its root, and the inner steps behind it."""

    node: bytes
    payload_root: bytes
    steps: int


@dataclass(frozen=True, slots=True)
class Closed:
    """A round that has closed: what it counted, by node id, and what that gave."""

    round: int
    outcome: Outcome
    counted: tuple[Counted, ...]


def closed_in(state: State, current: Round) -> Closed | None:
    """While the state still knows the round; None if it is void or not over."""
    outcome = agreed_outcome(state, current) if current.phase == CLOSED else None
    return None if outcome is None else Closed(current.number, outcome, tuple(counted_in(state, current)))


def counted_in(state: State, current: Round) -> list[Counted]:
    """By node id, while the state still knows the round."""
    return [Counted(each.node, each.payload_root, each.steps) for each in counted(state, current)]


def root_of(payloads: Sequence[Counted]) -> bytes:
    """What an outcome calls `counted_root`."""
    return merkle_root([each.node + each.payload_root for each in payloads])
