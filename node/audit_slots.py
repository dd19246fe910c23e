"""Places in the pool of claims for what is said about audits: whose they are, and when they are wanted.

Audits concern rounds that are over. A node has a place for each thing that it owes to an open audit of its own, a
member of the audit's set one for each thing that it was drawn or is asked for: nobody else, and nobody twice.
"""

from chain.attestations import has_voted
from chain.audit_messages import (
    CLEAN,
    FRAUD,
    HERE,
    MISSING,
    NO_FINDING,
    AuditVote,
    PlantReveal,
    SegmentOpening,
    VerdictCommit,
    VerdictReveal,
)
from chain.block import VALIDATORS_MAXIMUM
from chain.crypto.hashing import ZERO
from chain.state import AUDITING, CHALLENGED, DISPUTED, OPENING, SHOWING, Assigned, Audit, NodeRecord, State, node_key

AuditClaim = SegmentOpening | VerdictCommit | VerdictReveal | PlantReveal | AuditVote

QUESTIONS = {CHALLENGED: (MISSING, HERE), DISPUTED: (FRAUD, CLEAN)}  # phases with a poll, and what may be answered


def who_says(claim: AuditClaim) -> tuple[bytes, int]:
    """Whose place in the pool it takes beside round and kind, and which of that signer's."""
    match claim:
        case SegmentOpening() | PlantReveal():
            return claim.node, 0
        case AuditVote():
            return claim.validator.to_bytes(2, "big") + claim.node, claim.attempt
    return claim.validator.to_bytes(2, "big") + claim.node, 0


def is_past(claim: AuditClaim, state: State) -> bool:
    """Whether the ledger has it or can never take it any more."""
    audit = state.audit(claim.round, claim.node)
    if audit is None:
        # In the block after a round's end its audits are drawn: until the next round ends some may still come.
        return claim.round < state.ledger.ended_round
    if not audit.is_open:
        return True
    match claim:
        case SegmentOpening():
            return audit.phase > OPENING
        case PlantReveal():
            return audit.secret != ZERO
        case AuditVote():
            return _is_answered(claim, audit)
    return _is_settled(claim, audit)


def _is_answered(vote: AuditVote, audit: Audit) -> bool:
    if vote.validator >= VALIDATORS_MAXIMUM or vote.attempt != audit.attempt:
        return vote.validator >= VALIDATORS_MAXIMUM or vote.attempt < audit.attempt
    answers = QUESTIONS.get(audit.phase)
    return answers is not None and (vote.answer not in answers or has_voted(audit.poll, vote.validator))


def _is_settled(claim: VerdictCommit | VerdictReveal, audit: Audit) -> bool:
    """Whether the auditor of this attempt has said it or is too late. One whose attempt is over says nothing more."""
    drawn = assigned_in(audit, claim.validator)
    if drawn is None:
        return any(each.validator == claim.validator for each in audit.auditors)
    if isinstance(claim, VerdictCommit):
        return drawn.commitment != ZERO or audit.phase > AUDITING
    return drawn.finding != NO_FINDING or audit.phase > SHOWING


def is_early(claim: AuditClaim, state: State) -> bool:
    """Whether its time has not come."""
    audit = state.audit(claim.round, claim.node)
    if audit is None:
        return True
    match claim:
        case SegmentOpening():
            return audit.phase < OPENING
        case PlantReveal():
            return audit.phase != SHOWING
        case AuditVote():
            return claim.attempt != audit.attempt or audit.phase not in QUESTIONS
        case VerdictCommit():
            return audit.phase < AUDITING or assigned_in(audit, claim.validator) is None
    return audit.phase < SHOWING or assigned_in(audit, claim.validator) is None


def assigned_in(audit: Audit, validator: int) -> Assigned | None:
    """The validator's part in the attempt of now, if it has one."""
    parts = (each for each in audit.auditors if each.validator == validator and each.attempt == audit.attempt)
    return next(parts, None)


def signer_of(claim: AuditClaim, state: State) -> bytes | None:
    """The key that has to have signed it. None while the ledger does not ask for it, or never will."""
    audit = state.audit(claim.round, claim.node)
    if audit is None or not audit.is_open:
        return None
    match claim:
        case SegmentOpening() | PlantReveal():
            record = state.find(NodeRecord, node_key(claim.node))
            return None if record is None else record.public_key
        case AuditVote():
            if claim.attempt != audit.attempt or audit.phase not in QUESTIONS:
                return None
        case _:
            drawn = assigned_in(audit, claim.validator)
            if drawn is None or (isinstance(claim, VerdictReveal) and drawn.commitment == ZERO):
                return None
    members = state.validators(audit.set_epoch).members
    return members[claim.validator].public_key if claim.validator < len(members) else None
