"""The JSON of audits and of single proofs, field by field. Null where the ledger no longer tells."""

from marshmallow import fields, validate

from chain.audit_messages import ANSWERS, FINDINGS
from chain.state import AUDIT_PHASES
from node.api.fields import (
    Answer,
    address,
    amount,
    digest,
    many,
    maybe,
    next_cursor,
    one,
    public_key,
    text,
    truth,
    whole,
)
from node.audit_facts import REWARDS
from node.explain_audit import KINDS

BASIS_POINTS = 10_000


def phase() -> fields.String:
    return fields.String(required=True, validate=validate.OneOf(AUDIT_PHASES))


class AuditorOfProof(Answer):
    """`misled`: the segment was planted and this auditor could not know, so that it had to find a difference."""

    validator = whole(description="place in the set of `set_epoch`")
    validator_key = public_key(48)
    wallet = maybe(address())
    attempt = whole()
    committed = truth()
    finding = fields.String(required=True, validate=validate.OneOf(FINDINGS))
    misled = maybe(truth())


class AuditAnswer(Answer):
    answer = fields.String(required=True, validate=validate.OneOf(ANSWERS))
    share_basis_points = whole(maximum=BASIS_POINTS)


class AuditOfProof(Answer):
    phase = phase()
    segment = whole()
    attempt = whole()
    drawn_height = whole()
    deadline_height = maybe(whole())
    set_epoch = whole()
    planted = maybe(truth())
    auditors = many(AuditorOfProof)
    votes = many(AuditAnswer)


class RewardOfProof(Answer):
    state = fields.String(required=True, validate=validate.OneOf(REWARDS))
    amount_nanos = maybe(amount())
    release_round = maybe(whole(description="after whose end it is released"))


class Statement(Answer):
    kind = fields.String(required=True, validate=validate.OneOf(KINDS))
    text = text()


class ExplainedProof(Answer):
    """`source`: the ledger's state, or its blocks where the state has forgotten the round."""

    round = whole()
    node = digest()
    wallet = maybe(address())
    source = fields.String(required=True, validate=validate.OneOf(["state", "blocks"]))
    segments = whole()
    segments_of_round = whole()
    steps = whole()
    tokens = whole()
    payload_root = maybe(digest())
    counted = maybe(truth())
    rate_basis_points = maybe(whole(maximum=BASIS_POINTS, description="of its rounds in which the node is audited now"))
    audited_rounds = maybe(whole(description="audits passed since the last failure"))
    suspended_round = maybe(whole(description="no seat in rounds up to this one"))
    audit = maybe(one(AuditOfProof))
    reward = one(RewardOfProof)
    headline = text()
    statements = many(Statement)


class AuditLine(Answer):
    round = whole()
    node = digest()
    phase = phase()
    segment = whole()
    attempt = whole()
    auditors = whole()
    drawn_height = whole()
    deadline_height = maybe(whole())


class Audits(Answer):
    audits = many(AuditLine)
    next_cursor = next_cursor()
