"""Which pairs of votes prove a fault. All others are legal."""

import itertools
from dataclasses import replace

import pytest

from chain.crypto.hashing import ZERO
from chain.crypto.votes import Evidence, evidence_of, votes_conflict
from consensus.errors import BadEvidence, BadVote
from consensus.evidence import offenders, verify_evidence
from consensus.messages import FINALIZE, NOTARIZE, NULLIFY
from tests.consensus.builders import CHAIN, SCHEME, a_block, a_certificate, a_vote, an_epoch

FOUR = an_epoch(1, 1, 1, 1)
A, B = a_block("a"), a_block("b")
CASTS = [(NOTARIZE, A), (NOTARIZE, B), (FINALIZE, A), (FINALIZE, B), (NULLIFY, ZERO)]
SLASHABLE = [
    {(NOTARIZE, A), (NOTARIZE, B)},
    {(FINALIZE, A), (FINALIZE, B)},
    {(FINALIZE, A), (NULLIFY, ZERO)},
    {(FINALIZE, B), (NULLIFY, ZERO)},
]


def judge(first, second):
    return verify_evidence(evidence_of(first, second), FOUR.committee, CHAIN, SCHEME)


def test_exactly_the_four_contradictions_are_slashable():
    for one, other in itertools.product(CASTS, CASTS):
        first, second = (a_vote(FOUR, kind, 3, 2, block) for kind, block in (one, other))
        assert votes_conflict(first, second) == ({one, other} in SLASHABLE)


def test_notarize_and_then_nullify_is_legal():
    with pytest.raises(BadEvidence):
        judge(a_vote(FOUR, NOTARIZE, 3, 2, A), a_vote(FOUR, NULLIFY, 3, 2))


def test_votes_of_two_signers_or_two_views_or_two_epochs_prove_nothing():
    first = a_vote(FOUR, NOTARIZE, 3, 2, A)
    later = an_epoch(1, 1, 1, 1, number=1)
    for second in (a_vote(FOUR, NOTARIZE, 3, 1, B), a_vote(FOUR, NOTARIZE, 4, 2, B), a_vote(later, NOTARIZE, 3, 2, B)):
        with pytest.raises(BadEvidence):
            judge(first, second)


def test_two_contradicting_votes_name_their_signer_in_one_order_only():
    first, second = a_vote(FOUR, NULLIFY, 3, 2), a_vote(FOUR, FINALIZE, 3, 2, B)
    assert judge(first, second) == judge(second, first) == 2
    evidence = evidence_of(first, second)
    with pytest.raises(BadEvidence):
        verify_evidence(Evidence(evidence.second, evidence.first), FOUR.committee, CHAIN, SCHEME)
    assert Evidence.decode(evidence.encode()) == evidence


def test_forged_votes_prove_nothing():
    first, second = a_vote(FOUR, NOTARIZE, 3, 2, A), a_vote(FOUR, NOTARIZE, 3, 2, B)
    for forged in (replace(second, signature=bytes(96)), a_vote(FOUR, NOTARIZE, 3, 2, B, chain_id=ZERO)):
        with pytest.raises(BadVote):
            judge(first, forged)


def test_the_signers_of_both_of_two_conflicting_certificates_are_guilty():
    first, second = a_certificate(FOUR, FINALIZE, 3, [0, 1, 2], A), a_certificate(FOUR, NULLIFY, 3, [1, 2, 3])
    assert offenders(first, second, FOUR.committee) == (1, 2)
