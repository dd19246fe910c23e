"""What an auditor of a village does with a segment: fetch, check by hash, replay, compare, re-encode the payload.

Start reading at `judge`. The comparison is `training.replay`, as on a real node.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chain.audit_messages import MISMATCH, PASS, UNSERVED, StateParts
from chain.block import state_hash
from chain.crypto.hashing import ZERO
from chain.plants import segment_mix
from chain.state import Audit, Claim, Round
from tests.audits.school import School, parts_of, root_of
from tests.audits.trainer import Blob
from training.inner import InnerState
from training.replay import Tolerances, compare, distance_holds, payload_linked, replay_segment

EDGE = 4  # bounds: up to so many, a dispute convicts nobody

Fetch = Callable[[bytes], Blob | None]


@dataclass(frozen=True)
class Question:
    """All that the ledger says of the segment to be judged."""

    node: bytes
    round: int
    segment: int
    mix: bytes
    base: NDArray[np.float32]
    base_root: bytes
    before: StateParts
    after: StateParts
    averages_steps: int
    distance: int
    payload_root: bytes
    theta_root: bytes


@dataclass(frozen=True)
class Judged:
    """A finding, and the weights' roots after every inner step of the replay."""

    finding: int
    inner: tuple[bytes, ...] = ()
    clear: bool = True  # a mismatch beyond what may be rounding at its worst: enough to convict


class Unserved(Exception):
    """A blob could not be had."""


def question_of(school: School, of: Round, claim: Claim, audited: tuple[bytes, Audit, bytes]) -> Question:
    node, audit, secret = audited
    known = None if secret == ZERO else secret
    return Question(
        node=node,
        round=of.number,
        segment=audit.segment,
        mix=segment_mix(known, of.mix, audit.segment, school.params),
        base=school.weights(of.base),
        base_root=of.base.weights_root,
        before=audit.before,
        after=audit.after,
        averages_steps=claim.averages_steps,
        distance=claim.distances[audit.segment],
        payload_root=claim.payload_root,
        theta_root=claim.theta_root,
    )


def judge(school: School, question: Question, fetch: Fetch, purpose: str) -> Judged:
    """PASS iff the replay ends where the node says, by the distance it says, and the payload is made from its end."""
    begun = time.perf_counter()
    found = _judge(school, question, fetch, purpose)
    school.seconds["judging"] += time.perf_counter() - begun
    school.judged += found.finding != UNSERVED
    return found


def _judge(school: School, question: Question, fetch: Fetch, purpose: str) -> Judged:
    try:
        before = _state(school, question, question.before, fetch)
        after = _state(school, question, question.after, fetch)
        end = _vector(school, question, question.theta_root, fetch)
        payload = _checked(school, question.payload_root, fetch)
    except Unserved:
        return Judged(UNSERVED)
    assert isinstance(payload, bytes)
    replayed, inner = _replayed(school, question, before, purpose)
    found = parts_of(replayed)
    params = school.params
    bounds = Tolerances(params.tolerance_theta_billionths, params.tolerance_m_billionths, params.tolerance_v_billionths)
    same = (found.theta_root, found.m_root, found.v_root) == _roots(question.after)
    told = distance_holds(before.theta, after.theta, question.distance) and payload_linked(
        question.base, end, school.learning.fragment_sizes, payload
    )
    if told and (same or compare(before, after, replayed, bounds).within):
        return Judged(PASS, inner)
    wide = Tolerances(EDGE * bounds.theta_billionths, EDGE * bounds.m_billionths, EDGE * bounds.v_billionths)
    return Judged(MISMATCH, inner, clear=not (told and compare(before, after, replayed, wide).within))


def _replayed(
    school: School, question: Question, before: InnerState, purpose: str
) -> tuple[InnerState, tuple[bytes, ...]]:
    """The state after the segment, and the weights' roots on the way. Counted for everybody who asks.

    It is computed once for one segment and data order: on one machine it would be the same bits again.
    """
    steps = school.params.segment_steps
    school.steps[purpose] += steps
    place = question.node, question.round, question.segment, question.mix, _roots(question.before)
    if school.last_replay is None or school.last_replay[0] != place:
        inner: list[bytes] = []
        draw = school.draw(question.mix, question.node)
        with np.errstate(all="ignore"):
            after = replay_segment(
                school.loop, before, draw, question.round - 1, steps, lambda theta: inner.append(root_of(theta))
            )
        school.last_replay = place, (after, tuple(inner))
    return school.last_replay[1]


def hash_of(parts: StateParts) -> bytes:
    return state_hash(*_roots(parts))


def _roots(parts: StateParts) -> tuple[bytes, bytes, bytes]:
    return parts.theta_root, parts.m_root, parts.v_root


def _state(school: School, question: Question, parts: StateParts, fetch: Fetch) -> InnerState:
    vectors = [_vector(school, question, root, fetch) for root in _roots(parts)]
    done = question.segment * school.params.segment_steps
    return InnerState(vectors[0], vectors[1], vectors[2], done, question.averages_steps)


def _vector(school: School, question: Question, root: bytes, fetch: Fetch) -> NDArray[np.float32]:
    if root == ZERO:
        return np.zeros_like(question.base)
    if root == question.base_root:
        return question.base
    vector = _checked(school, root, fetch)
    if isinstance(vector, bytes) or vector.shape != question.base.shape:
        raise Unserved
    return vector


def _checked(school: School, root: bytes, fetch: Fetch) -> Blob:
    """What the blob exchange gives: bytes that have this root, or nothing."""
    blob = fetch(root)
    if blob is None or root_of(blob) != root:
        raise Unserved
    school.fetched += len(blob) if isinstance(blob, bytes) else blob.nbytes
    return blob
