"""Who may say what about an audit, when, and how often: places in the pool of claims."""

from dataclasses import replace

import pytest

from chain.attestations import open_poll
from chain.audit_messages import (
    CLEAN,
    FRAUD,
    HERE,
    MISSING,
    PASS,
    AuditVote,
    DataReceipt,
    PlantReveal,
    SegmentOpening,
    StateParts,
    StorageProof,
    VerdictCommit,
    VerdictReveal,
)
from chain.block import PayloadCommit
from chain.crypto import bls
from chain.crypto.hashing import ZERO
from chain.services import Fetched, fetched_key
from chain.state import (
    AUDITING,
    CHALLENGED,
    DISPUTED,
    OPENING,
    PASSED,
    SHOWING,
    Assigned,
    Audit,
    audit_key,
)
from network.kinds import CLAIM, KINDS
from node.audit_slots import AuditClaim
from node.claim_pool import is_early, is_past, signer_of, slot_of
from node.relay_messages import Claimed, ClaimMessage
from node.runtime import MALFORMED
from tests.builders import (
    NO_BLS_SIGNATURE,
    NO_SIGNATURE,
    NODE,
    OTHER_NODE,
    Chain,
    Key,
    a_key,
    a_network,
    a_training_chain,
    named,
    secret_of,
)
from tests.node.test_claims import Places

PARTS = StateParts(named("theta"), named("m"), named("v"))
ROUND = 1


def an_audit(phase: int = OPENING, *drawn: int, attempt: int = 1, **changes: object) -> Audit:
    auditors = tuple(Assigned(validator, attempt, ZERO, 0, ZERO) for validator in drawn)
    audit = Audit(
        phase, 0, attempt, 0, 1, 100, named("mix"), StateParts(*[ZERO] * 3), StateParts(*[ZERO] * 3), ZERO, auditors,
        open_poll(0),
    )  # fmt: skip
    return replace(audit, **changes)  # type: ignore[arg-type]


def a_chain(audit: Audit | None, validators: int = 3) -> Chain:
    """A round is running; NODE's work of it is under audit, as if it were over."""
    chain = a_training_chain(NODE, OTHER_NODE, network=a_network(validators=validators))
    if audit is not None:
        chain.records[audit_key(ROUND, NODE.node)] = audit.encode()
    return chain


def signed_by_node(chain: Chain, draft: AuditClaim | StorageProof | DataReceipt, signer: Key = NODE) -> Claimed:
    return replace(draft, signature=signer.sign(draft.digest(chain.network.chain_id)))


def by_validator(chain: Chain, draft: AuditClaim, validator: int) -> Claimed:
    secret = secret_of(chain.members[validator].public_key)
    return replace(draft, signature=bls.sign(secret, draft.digest(chain.network.chain_id)))


def an_opening(chain: Chain, signer: Key = NODE, node: Key = NODE) -> Claimed:
    return signed_by_node(chain, SegmentOpening(ROUND, node.node, PARTS, PARTS, NO_SIGNATURE), signer)


def a_commitment(chain: Chain, validator: int = 0, salt: str = "salt") -> Claimed:
    draft = VerdictCommit(ROUND, NODE.node, validator, named(salt), NO_BLS_SIGNATURE)
    return by_validator(chain, draft, validator)


def a_verdict(chain: Chain, validator: int = 0) -> Claimed:
    draft = VerdictReveal(ROUND, NODE.node, validator, named("salt"), PASS, (named("inner"),), NO_BLS_SIGNATURE)
    return by_validator(chain, draft, validator)


def a_vote(chain: Chain, answer: int, validator: int = 0, attempt: int = 1) -> Claimed:
    draft = AuditVote(ROUND, NODE.node, validator, attempt, answer, NO_BLS_SIGNATURE)
    return by_validator(chain, draft, validator)


def a_plant(chain: Chain) -> Claimed:
    return signed_by_node(chain, PlantReveal(ROUND, NODE.node, named("secret"), NO_SIGNATURE))


def hears(audit: Audit | None, *makers: object) -> list[Claimed]:
    """What a node keeps of what a peer says about NODE's round."""
    places = Places(2, a_chain(audit))
    speaker, node = places.all
    node.hears(speaker, *(make(places.chain) for make in makers))  # type: ignore[operator]
    assert node.runtime.blamed == []
    return node.held


# ---- Whose places


def test_the_audited_node_opens_its_segment_and_shows_its_secret() -> None:
    assert len(hears(an_audit(OPENING), an_opening)) == 1
    assert len(hears(an_audit(SHOWING), a_plant)) == 1


def test_only_the_drawn_auditor_has_a_place_for_its_verdict() -> None:
    assert len(hears(an_audit(AUDITING, 0), a_commitment)) == 1
    assert hears(an_audit(AUDITING, 1), a_commitment) == []
    bound = an_audit(SHOWING, 0)
    bound = replace(bound, auditors=(replace(bound.auditors[0], commitment=named("bound")),))
    assert len(hears(bound, a_verdict)) == 1
    assert hears(an_audit(SHOWING, 0), a_verdict) == []


@pytest.mark.parametrize(
    ("phase", "answer", "kept"),
    [
        (CHALLENGED, HERE, 1), (CHALLENGED, MISSING, 1), (CHALLENGED, FRAUD, 0), (AUDITING, HERE, 0),
        (DISPUTED, CLEAN, 1), (DISPUTED, FRAUD, 1), (DISPUTED, HERE, 0), (SHOWING, CLEAN, 0),
    ],
)  # fmt: skip
def test_a_validator_has_a_place_for_the_question_that_is_asked(phase: int, answer: int, kept: int) -> None:
    assert len(hears(an_audit(phase), lambda chain: a_vote(chain, answer))) == kept


def test_a_place_that_the_set_does_not_have_is_nobodys() -> None:
    beyond = AuditVote(ROUND, NODE.node, 7, 1, HERE, NO_BLS_SIGNATURE)
    assert hears(an_audit(CHALLENGED), lambda chain: beyond) == []
    drawn = VerdictCommit(ROUND, NODE.node, 7, named("salt"), NO_BLS_SIGNATURE)
    assert hears(an_audit(AUDITING, 7), lambda chain: drawn) == []


def test_nobody_says_anything_about_a_node_or_a_round_without_an_audit() -> None:
    assert hears(None, an_opening, a_plant, a_commitment, a_verdict, lambda chain: a_vote(chain, HERE)) == []
    assert hears(an_audit(), lambda chain: an_opening(chain, OTHER_NODE, OTHER_NODE)) == []
    stranger = a_key("stranger")
    assert hears(an_audit(), lambda chain: an_opening(chain, stranger, stranger)) == []


def test_what_another_signed_is_malformed() -> None:
    for audit, make in (
        (an_audit(OPENING), lambda chain: an_opening(chain, OTHER_NODE)),
        (an_audit(AUDITING, 0), lambda chain: replace(a_commitment(chain, 1), validator=0)),
        (an_audit(DISPUTED), lambda chain: replace(a_vote(chain, CLEAN), answer=FRAUD)),
    ):
        places = Places(2, a_chain(audit))
        liar, node = places.all
        node.hears(liar, make(places.chain))
        assert node.points(liar) == MALFORMED and node.held == []


def test_a_signer_fills_one_place_with_a_thing_whatever_it_says() -> None:
    kept = hears(an_audit(AUDITING, 0), a_commitment, lambda chain: a_commitment(chain, salt="other"))
    assert len(kept) == 1
    assert (
        len(hears(an_audit(CHALLENGED), lambda chain: a_vote(chain, HERE), lambda chain: a_vote(chain, MISSING))) == 1
    )


# ---- When


def test_what_comes_before_its_audit_is_drawn_is_kept_until_then() -> None:
    places = Places(2, a_chain(None))
    speaker, node = places.all
    opening = an_opening(places.chain)
    node.hears(speaker, opening)
    assert node.held == [] and is_early(opening, places.chain.state)
    places.chain.records[audit_key(ROUND, NODE.node)] = an_audit().encode()
    places.follow()
    assert node.held == [opening] and not is_early(opening, places.chain.state)


def test_what_the_ledger_has_leaves_the_pool() -> None:
    secret = named("secret")
    for before, after, make in (
        (an_audit(OPENING), an_audit(AUDITING, 0), an_opening),
        (an_audit(AUDITING, 0), an_audit(SHOWING, 0), a_commitment),
        (an_audit(AUDITING, 0), an_audit(AUDITING, 1, attempt=2, auditors=an_audit(1, 0).auditors), a_commitment),
        (an_audit(SHOWING), an_audit(AUDITING, secret=secret), a_plant),
        (an_audit(CHALLENGED), an_audit(AUDITING, attempt=2), lambda chain: a_vote(chain, HERE)),
        (an_audit(DISPUTED), an_audit(PASSED), lambda chain: a_vote(chain, CLEAN)),
    ):
        places = Places(2, a_chain(before))
        speaker, node = places.all
        claim = make(places.chain)
        node.hears(speaker, claim)
        assert node.held == [claim] and not is_past(claim, places.chain.state)
        places.chain.records[audit_key(ROUND, NODE.node)] = after.encode()
        places.follow()
        assert node.held == [] and is_past(claim, places.chain.state)


def test_an_audits_word_belongs_into_the_next_block_and_makes_none_urgent() -> None:
    places = Places(2, a_chain(an_audit()))
    speaker, node = places.all
    node.hears(speaker, an_opening(places.chain))
    state = places.chain.state
    assert node.pool.has_news(state) and not node.pool.is_urgent(state)
    assert node.pool.inputs(state) == node.held
    node.pool.failed(node.held)
    assert not node.pool.has_news(state)


def test_what_concerns_rounds_that_are_over_comes_after_the_running_round() -> None:
    chain = a_chain(an_audit())
    places = Places(2, chain)
    speaker, node = places.all
    opening = an_opening(chain)
    commitment = PayloadCommit(chain.round.number, OTHER_NODE.node, named("payload"), NO_SIGNATURE)
    commitment = replace(commitment, signature=OTHER_NODE.sign(commitment.digest(chain.network.chain_id)))
    node.hears(speaker, opening, commitment)
    assert node.pool.inputs(chain.state) == [commitment, opening]


# ---- Storage and data


def test_a_node_has_one_place_for_a_storage_proof_of_an_epoch() -> None:
    def a_proof(epoch: int, leaf: bytes = b"leaf") -> object:
        def make(chain: Chain) -> Claimed:
            draft = StorageProof(chain.round.number, epoch, NODE.node, leaf, (ZERO,), (), NO_SIGNATURE)
            return signed_by_node(chain, draft)

        return make

    assert len(hears(None, a_proof(0), a_proof(0, b"other"))) == 1
    assert hears(None, a_proof(1), a_proof(2**64 - 1)) == []
    chain = a_chain(None)
    proof = a_proof(0)(chain)  # type: ignore[operator]
    assert not is_past(proof, chain.state)
    chain.end_epoch()
    assert is_past(proof, chain.state) and signer_of(proof, chain.state, chain.network.params) is None


def test_a_trainer_has_one_place_for_a_receipt_of_a_round() -> None:
    def a_receipt(number: int, shard: int = 0) -> object:
        def make(chain: Chain) -> Claimed:
            return signed_by_node(chain, DataReceipt(number, NODE.node, OTHER_NODE.node, shard, NO_SIGNATURE))

        return make

    assert len(hears(None, a_receipt(1), a_receipt(1, 1))) == 1
    assert hears(None, a_receipt(2)) == []
    chain = a_chain(None)
    first, far = (a_receipt(1, shard)(chain) for shard in (0, 2**32 - 1))  # type: ignore[operator]
    assert not is_past(first, chain.state)
    chain.records[fetched_key(NODE.node)] = Fetched(b"\x01").encode()
    assert is_past(first, chain.state) and not is_past(far, chain.state)  # its place is free for the next one


def test_the_largest_verdict_and_storage_proof_fit_their_kind() -> None:
    verdict = VerdictReveal(1, ZERO, 0, ZERO, PASS, (ZERO,) * 256, NO_BLS_SIGNATURE)
    proof = StorageProof(1, 1, ZERO, bytes(1024), (ZERO,) * 64, (ZERO,) * 64, NO_SIGNATURE)
    assert all(len(ClaimMessage(each).encode()) <= KINDS[CLAIM].bytes_maximum for each in (verdict, proof))


def test_places_of_different_things_said_of_one_audit_differ() -> None:
    chain = a_chain(an_audit())
    said = [
        *(an_opening(chain), a_plant(chain), a_commitment(chain, 0), a_commitment(chain, 1), a_verdict(chain)),
        *(a_vote(chain, HERE), a_vote(chain, HERE, attempt=2), a_vote(chain, HERE, validator=1)),
    ]
    assert len({slot_of(claim) for claim in said}) == len(said)
