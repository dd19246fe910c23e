"""What proves that a validator broke the rules, and what does not.

Which statements exclude each other is written in `chain.crypto.votes`, for the ledger punishes by the same rule.
"""

from chain.crypto import bls
from chain.crypto.votes import Evidence, evidence_of, statements_conflict, votes_conflict
from consensus.certificate import Scheme, signers_in, verify_vote
from consensus.committee import Committee
from consensus.errors import BadEvidence
from consensus.messages import Certificate


def certificates_conflict(first: Certificate, second: Certificate) -> bool:
    """Whether every signer of both broke the rules."""
    return statements_conflict(first, second)


def offenders(first: Certificate, second: Certificate, committee: Committee) -> tuple[int, ...]:
    """The signers of two conflicting, verified certificates: more than a third of the power."""
    size = len(committee.members)
    both = frozenset(signers_in(second.bitmap, size))
    return tuple(place for place in signers_in(first.bitmap, size) if place in both)


def verify_evidence(evidence: Evidence, committee: Committee, chain_id: bytes, scheme: Scheme = bls) -> int:
    """Return the signer proven guilty. Raises BadEvidence or BadVote. `committee` is the one of the votes' epoch."""
    if not votes_conflict(evidence.first, evidence.second):
        raise BadEvidence("an honest validator can have cast both votes")
    if evidence_of(evidence.first, evidence.second) != evidence:
        raise BadEvidence("the two votes stand in the wrong order")
    verify_vote(evidence.first, committee, chain_id, scheme)
    verify_vote(evidence.second, committee, chain_id, scheme)
    return evidence.first.signer
