"""The payloads that a round counted, as the outer step wants them."""

from collections.abc import Sequence
from dataclasses import dataclass

from chain.crypto.hashing import merkle_root
from chain.rounds import counted
from chain.state import Round, State


@dataclass(frozen=True, slots=True, order=True)
class Counted:
    """A payload that the ledger counted: whose, its root, and the inner steps behind it."""

    node: bytes
    payload_root: bytes
    steps: int


def counted_in(state: State, current: Round) -> list[Counted]:
    """By node id, while the state still knows the round."""
    return [Counted(each.node, each.payload_root, each.steps) for each in counted(state, current)]


def root_of(payloads: Sequence[Counted]) -> bytes:
    """What an outcome calls `counted_root`."""
    return merkle_root([each.node + each.payload_root for each in payloads])
