"""What a node, its auditors and the validators may say in an audit, when, and once. Start at `apply_audit_input`.

Every digest binds the chain, the round and the node; a validator is assigned once in an audit at most, and a vote names
the attempt that it belongs to. So nothing that was said once can be said again elsewhere. Signatures are checked last.
"""

from dataclasses import replace

from chain.attestations import cast
from chain.audit_messages import (
    CLEAN,
    FRAUD,
    HERE,
    MISMATCH,
    MISSING,
    NO_FINDING,
    PASS,
    UNSERVED,
    AuditVote,
    PlantReveal,
    SegmentOpening,
    StateParts,
    VerdictCommit,
    VerdictReveal,
)
from chain.block import state_hash
from chain.crypto import bls, ecdsa
from chain.crypto.hashing import ZERO, merkle_root, tagged_hash
from chain.errors import BadSignature, InvalidRoundInput
from chain.findings import of_attempt
from chain.genesis import Params
from chain.plants import plant_promise
from chain.state import (
    AUDIT_PHASES,
    AUDITING,
    CHALLENGED,
    DISPUTED,
    OPENING,
    SHOWING,
    Assigned,
    Audit,
    Claim,
    NodeRecord,
    State,
    audit_key,
    claim_key,
    node_key,
)

AuditInput = SegmentOpening | VerdictCommit | VerdictReveal | PlantReveal | AuditVote
QUESTIONS = {CHALLENGED: (MISSING, HERE), DISPUTED: (FRAUD, CLEAN)}  # the answers to what a phase asks


def answer_subject(answer: int) -> bytes:
    """The 32-byte name of an answer in an audit's poll."""
    return tagged_hash("audit-answer", bytes((answer,)))


def apply_audit_input(state: State, item: AuditInput, chain_id: bytes, params: Params) -> None:
    """Check one input and record it. Raises InvalidRoundInput or BadSignature, and then nothing has changed."""
    audit = state.audit(item.round, item.node)
    if audit is None:
        raise InvalidRoundInput(f"node {item.node.hex()[:16]} is not audited for round {item.round}")
    match item:
        case SegmentOpening():
            after = _opening(state, audit, item, chain_id)
        case VerdictCommit():
            after = _commit(state, audit, item, chain_id)
        case VerdictReveal():
            after = _reveal(state, audit, item, chain_id, params)
        case PlantReveal():
            after = _plant(state, audit, item, chain_id)
        case AuditVote():
            after = _vote(state, audit, item, chain_id)
    state.put(audit_key(item.round, item.node), after)


def _need_phase(audit: Audit, *phases: int) -> None:
    if audit.phase not in phases:
        wanted = " or ".join(AUDIT_PHASES[phase] for phase in phases)
        raise InvalidRoundInput(f"the audit is {AUDIT_PHASES[audit.phase]}, this needs it to be {wanted}")


def _check_node(state: State, item: SegmentOpening | PlantReveal, chain_id: bytes) -> None:
    record = state.need(NodeRecord, node_key(item.node))
    if not ecdsa.verify(record.public_key, item.digest(chain_id), item.signature):
        raise BadSignature(f"node {item.node.hex()[:16]} did not sign this for its audit of round {item.round}")


def _hash(parts: StateParts) -> bytes:
    return state_hash(parts.theta_root, parts.m_root, parts.v_root)


def _opening(state: State, audit: Audit, item: SegmentOpening, chain_id: bytes) -> Audit:
    _need_phase(audit, OPENING)
    claim = state.need(Claim, claim_key(item.round, item.node))
    if _hash(item.before) != (claim.states[audit.segment - 1] if audit.segment else claim.start):
        raise InvalidRoundInput(f"segment {audit.segment} of node {item.node.hex()[:16]} did not begin so")
    if _hash(item.after) != claim.states[audit.segment] or item.after.theta_root == ZERO:
        raise InvalidRoundInput(f"segment {audit.segment} of node {item.node.hex()[:16]} did not end so")
    if audit.segment == len(claim.states) - 1 and item.after.theta_root != claim.theta_root:
        raise InvalidRoundInput("the weights after the last segment are not those of the reveal")
    _check_node(state, item, chain_id)
    return replace(audit, before=item.before, after=item.after)


def _assigned(audit: Audit, validator: int) -> Assigned:
    """Its place in the running attempt."""
    found = next((assigned for assigned in of_attempt(audit) if assigned.validator == validator), None)
    if found is None:
        raise InvalidRoundInput(f"validator {validator} is no auditor of attempt {audit.attempt}")
    return found


def _check_validator(state: State, audit: Audit, item: VerdictCommit | VerdictReveal, chain_id: bytes) -> None:
    member = state.validators(audit.set_epoch).members[item.validator]
    if not bls.verify(member.public_key, item.digest(chain_id), item.signature):
        raise BadSignature(f"validator {item.validator} did not sign this verdict")


def _with(audit: Audit, before: Assigned, after: Assigned) -> Audit:
    return replace(audit, auditors=tuple(after if each == before else each for each in audit.auditors))


def _commit(state: State, audit: Audit, item: VerdictCommit, chain_id: bytes) -> Audit:
    _need_phase(audit, AUDITING)
    assigned = _assigned(audit, item.validator)
    if assigned.commitment != ZERO or item.commitment == ZERO:
        raise InvalidRoundInput(f"validator {item.validator} binds itself once and to something")
    _check_validator(state, audit, item, chain_id)
    return _with(audit, assigned, replace(assigned, commitment=item.commitment))


def _reveal(state: State, audit: Audit, item: VerdictReveal, chain_id: bytes, params: Params) -> Audit:
    _need_phase(audit, SHOWING)
    assigned = _assigned(audit, item.validator)
    if assigned.finding != NO_FINDING:
        raise InvalidRoundInput(f"validator {item.validator} has already shown its verdict")
    if item.commitment(chain_id) != assigned.commitment:
        raise InvalidRoundInput(f"validator {item.validator} bound itself to something else")
    if item.finding not in (PASS, MISMATCH, UNSERVED):
        raise InvalidRoundInput(f"{item.finding} is no finding")
    wanted = 0 if item.finding == UNSERVED else params.segment_steps
    if len(item.inner) != wanted:
        raise InvalidRoundInput(f"a verdict like this names {wanted} inner states, not {len(item.inner)}")
    _check_validator(state, audit, item, chain_id)
    return _with(audit, assigned, replace(assigned, finding=item.finding, inner_root=merkle_root(item.inner)))


def _plant(state: State, audit: Audit, item: PlantReveal, chain_id: bytes) -> Audit:
    _need_phase(audit, SHOWING)
    claim = state.need(Claim, claim_key(item.round, item.node))
    if audit.secret != ZERO or item.secret == ZERO:
        raise InvalidRoundInput("a secret that is not zero is shown once")
    if claim.plant == ZERO or plant_promise(item.secret) != claim.plant:
        raise InvalidRoundInput(f"node {item.node.hex()[:16]} has not promised this secret")
    _check_node(state, item, chain_id)
    return replace(audit, secret=item.secret)


def _vote(state: State, audit: Audit, item: AuditVote, chain_id: bytes) -> Audit:
    _need_phase(audit, CHALLENGED, DISPUTED)
    if item.attempt != audit.attempt or item.answer not in QUESTIONS[audit.phase]:
        raise InvalidRoundInput(f"answer {item.answer} to attempt {item.attempt} is none to what the audit asks")
    return replace(audit, poll=cast(state, audit.poll, item, [answer_subject(item.answer)], chain_id))
