"""What is remembered of who helped: one record per node, part of the outer state, so that every node has the same.

The record is a blob of its own beside the aggregate: a plain trainer only needs its root. Layout: `NST1`, then one
record per node, ascending by node id; all integers little-endian.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from struct import Struct

from training.errors import PayloadError

MAGIC = b"NST1"
# node id, score (signed), counted rounds, rounds since the last counted one, weight in the last round (millionths)
_RECORD = Struct("<32siIII")
RECORDS_MAXIMUM = 4_096
ABSENT_MAXIMUM = 64
COUNT_MAXIMUM = (1 << 32) - 1
TRUST_BYTES_MAXIMUM = len(MAGIC) + RECORDS_MAXIMUM * _RECORD.size


@dataclass(frozen=True, slots=True, order=True)
class Trust:
    """What the rounds so far say of one node."""

    node: bytes  # 32 bytes
    score: int  # i32
    rounds: int  # in which its payload was counted
    absent: int  # rounds closed since then
    weight_ppm: int  # what its payload weighed in the last closed round, in millionths of the whole; 0 if absent


@dataclass(frozen=True, slots=True)
class Party:
    """Who is behind a payload of a round, and the inner steps behind it (at least 1)."""

    node: bytes
    steps: int


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


def remember(
    trust: Sequence[Trust], parties: Sequence[Party], scores: Sequence[int | None], weights_ppm: Sequence[int]
) -> tuple[Trust, ...]:
    """The record after a round that counted these parties.

    A score says how far a payload agreed with the others, in 2^-16 of what was usual; None leaves the record's alone.
    The record's is the mean of all with a memory of 7/8, rounded down; 0 there says nothing yet, and the next one takes
    its place. Who has been absent for 64 rounds is forgotten; of more than 4,096 nodes the longest absent, then
    the lowest score, then the lowest id go.
    """
    found = {each.node: replace(each, absent=each.absent + 1, weight_ppm=0) for each in trust}
    old = {each.node: each for each in trust}
    for party, score, weight in zip(parties, scores, weights_ppm, strict=True):
        before = old.get(party.node, Trust(party.node, 0, 0, 0, 0))
        found[party.node] = Trust(
            party.node, _mean_score(before.score, score), min(before.rounds + 1, COUNT_MAXIMUM), 0, weight
        )
    kept = [each for each in found.values() if each.absent < ABSENT_MAXIMUM]
    kept.sort(key=lambda each: (-each.absent, each.score, each.node))
    return tuple(sorted(kept[max(0, len(kept) - RECORDS_MAXIMUM) :]))


def _mean_score(old: int, score: int | None) -> int:
    if score is None:
        return old
    return (7 * old + score) // 8 if old else score
