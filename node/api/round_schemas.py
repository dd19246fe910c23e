"""The JSON of rounds, field by field. Null where the ledger no longer tells, or this node does not know."""

from marshmallow import fields, validate

from chain.state import AUDIT_PHASES, ROUND_PHASES
from node.api.fields import Answer, amount, decimal, digest, many, maybe, next_cursor, one, truth, whole

BASIS_POINTS = 10_000


class RoundNode(Answer):
    """What a node has done in a round. `awaited`: the phase goes on for this one, until its deadline.

    `audit` is the phase of its audit, null if it has none; the two numbers are those of its record as it is now.
    """

    node = digest()
    segments = whole(description="proven, of those of the round")
    committed = truth()
    revealed = truth()
    awaited = truth()
    audit = maybe(fields.String(required=True, validate=validate.OneOf(AUDIT_PHASES)))
    audited_rounds = maybe(whole(description="audits passed since the last failure"))
    suspended_round = maybe(whole(description="no seat in rounds up to this one; 0: never suspended"))


class Payload(Answer):
    """`weight_ppm` is what it weighed in the outer step, in millionths of all; `score` is its node's after that."""

    node = digest()
    payload_root = digest()
    payload_bytes = whole()
    steps = whole()
    counted = maybe(truth())
    held_basis_points = maybe(whole(maximum=BASIS_POINTS, description="share of the power that holds it"))
    weight_ppm = maybe(whole())
    score = maybe(fields.Integer(required=True, strict=True))


class RoundResult(Answer):
    """A result that validators have signed. The round closes when one has more than two thirds of the power."""

    outer_root = digest()
    model_root = digest()
    power_nanos = amount()
    share_basis_points = whole(maximum=BASIS_POINTS)


class Outcome(Answer):
    counted_root = digest()
    outer_root = digest()
    model_root = digest()
    weights_root = digest()
    momentum_root = digest()
    aggregate_root = digest()
    trust_root = digest()


class Round(Answer):
    """Losses and `tokens` are this node's own measurement, of the model before the round and after it.

    `blocks_left` and `seconds_left` are those until the phase ends at the latest, null when the round has ended.
    """

    round = whole()
    phase = fields.String(required=True, validate=validate.OneOf(ROUND_PHASES))
    opened_height = maybe(whole())
    ended_height = maybe(whole())
    deadline_height = maybe(whole())
    blocks_left = maybe(whole())
    seconds_left = maybe(whole(description="at the pace of the latest blocks"))
    participants = maybe(whole())
    awaited = whole(description="nodes that the training phase still waits for, those named in `nodes` or not")
    committed = maybe(whole())
    segments = whole(description="of a whole round")
    nodes = many(RoundNode)
    base_round = maybe(whole(description="the last round before that closed; 0: the genesis"))
    base_outer_root = maybe(digest())
    payloads = many(Payload)
    total_power_nanos = maybe(amount())
    voted_basis_points = maybe(whole(maximum=BASIS_POINTS, description="share of the power that voted in the phase"))
    results = many(RoundResult)
    outcome = maybe(one(Outcome))
    validation_loss = maybe(decimal())
    loss_before = maybe(decimal())
    loss_change = maybe(decimal())
    tokens = maybe(whole())
    bytes_sent = maybe(whole(description="by this node while the round went on, for whatever purpose"))
    bytes_received = maybe(whole())


class Rounds(Answer):
    rounds = many(Round)
    next_cursor = next_cursor()
