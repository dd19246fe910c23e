"""What proves that a validator broke the rules, and what does not.

Slashable are two votes of one signer in one (epoch, view) that no honest validator casts together:

- two NOTARIZE, or two FINALIZE, for different blocks;
- NULLIFY and FINALIZE.

NOTARIZE and then NULLIFY is legal: a validator may like a block and still give up waiting for the others. NOTARIZE of
one block and FINALIZE of another is legal too: the second says only that a quorum was seen.
"""

from dataclasses import dataclass

from chain.codec import Wire
from chain.crypto import bls
from consensus.certificate import Scheme, signers_in, verify_vote
from consensus.committee import Committee
from consensus.errors import BadEvidence
from consensus.messages import FINALIZE, NULLIFY, Certificate, Vote


def _contradict(first: Vote | Certificate, second: Vote | Certificate) -> bool:
    if (first.epoch, first.view) != (second.epoch, second.view):
        return False
    if first.kind == second.kind:
        return first.block_hash != second.block_hash
    return {first.kind, second.kind} == {FINALIZE, NULLIFY}


def votes_conflict(first: Vote, second: Vote) -> bool:
    """Whether one honest signer can not have cast both. Signatures are not looked at."""
    return first.signer == second.signer and _contradict(first, second)


def certificates_conflict(first: Certificate, second: Certificate) -> bool:
    """Whether every signer of both broke the rules."""
    return _contradict(first, second)


def offenders(first: Certificate, second: Certificate, committee: Committee) -> tuple[int, ...]:
    """The signers of two conflicting, verified certificates: more than a third of the power."""
    size = len(committee.members)
    both = frozenset(signers_in(second.bitmap, size))
    return tuple(place for place in signers_in(first.bitmap, size) if place in both)


@dataclass(frozen=True, slots=True)
class Evidence(Wire):
    """Two conflicting votes of one signer, the one with the smaller encoding first."""

    first: Vote
    second: Vote


def evidence_of(one: Vote, other: Vote) -> Evidence:
    """The pair in its one order."""
    first, second = sorted((one, other), key=Vote.encode)
    return Evidence(first, second)


def verify_evidence(evidence: Evidence, committee: Committee, chain_id: bytes, scheme: Scheme = bls) -> int:
    """Return the signer proven guilty. Raises BadEvidence or BadVote. `committee` is the one of the votes' epoch."""
    if not votes_conflict(evidence.first, evidence.second):
        raise BadEvidence("an honest validator can have cast both votes")
    if evidence_of(evidence.first, evidence.second) != evidence:
        raise BadEvidence("the two votes stand in the wrong order")
    verify_vote(evidence.first, committee, chain_id, scheme)
    verify_vote(evidence.second, committee, chain_id, scheme)
    return evidence.first.signer
