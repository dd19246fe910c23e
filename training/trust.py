"""What is remembered of who helped: one record per node, part of the outer state, so that every node has the same.

The record is a blob of its own beside the aggregate: a plain trainer only needs its root. Layout: `NST1`, then one
record per node, ascending by node id; all integers little-endian.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from struct import Struct

from training.errors import PayloadError

MAGIC = b"NST1"
# node id, score (signed), counted rounds, rounds since the last counted one, weight in the last round (millionths)
_RECORD = Struct("<32siIII")
RECORDS_MAXIMUM = 4_096
TRUST_BYTES_MAXIMUM = len(MAGIC) + RECORDS_MAXIMUM * _RECORD.size


@dataclass(frozen=True, slots=True, order=True)
class Trust:
    """What the rounds so far say of one node."""

    node: bytes  # 32 bytes
    score: int  # i32
    rounds: int  # in which its payload was counted
    absent: int  # rounds closed since then
    weight_ppm: int  # what its payload weighed in the last closed round, in millionths of the whole; 0 if absent


def trust_bytes(trust: Sequence[Trust]) -> bytes:
    """The blob; empty while nobody is known. Records ascend by node id."""
    if not trust:
        return b""
    nodes = [each.node for each in trust]
    assert nodes == sorted(set(nodes)) and len(nodes) <= RECORDS_MAXIMUM
    return MAGIC + b"".join(
        _RECORD.pack(each.node, each.score, each.rounds, each.absent, each.weight_ppm) for each in trust
    )


def read_trust(blob: bytes) -> tuple[Trust, ...]:
    """The inverse, strict. Raises PayloadError."""
    if not blob:
        return ()
    records, rest = divmod(len(blob) - len(MAGIC), _RECORD.size)
    if blob[: len(MAGIC)] != MAGIC or rest or not 1 <= records <= RECORDS_MAXIMUM:
        raise PayloadError(f"{len(blob)} bytes beginning with {blob[:4].hex()} are no record of trust")
    trust = tuple(Trust(*fields) for fields in _RECORD.iter_unpack(blob[len(MAGIC) :]))
    if any(one.node >= other.node for one, other in pairwise(trust)):
        raise PayloadError("the nodes of a record of trust do not ascend")
    return trust
