"""The JSON that the API answers, field by field. Amounts are decimal strings of nanos."""

from marshmallow import fields, validate

from chain.block import PHASES
from chain.state import ROUND_PHASES
from node.api.fields import (
    Answer,
    address,
    amount,
    decimal,
    digest,
    hexadecimal,
    many,
    maybe,
    next_cursor,
    one,
    text,
    truth,
    whole,
)


class Status(Answer):
    chain_id = digest()
    phase = fields.String(required=True, validate=validate.OneOf(PHASES))
    height = whole()
    state_root = digest()
    minted_nanos = amount()
    burned_nanos = amount()
    circulating_nanos = amount()
    round = whole()
    round_phase = fields.String(required=True, validate=validate.OneOf(ROUND_PHASES))
    closed_rounds = whole()
    segments_proven = whole()
    segments = whole()
    outer_root = digest()
    model_root = digest()
    parameters = whole()
    validation_loss = maybe(decimal())
    first_validation_loss = maybe(decimal())
    bigram_loss = maybe(decimal())
    training_loss = maybe(decimal())
    tokens_trained = whole()
    tokens_per_second = decimal()
    address = address()
    node = digest()
    balance_nanos = amount()
    vesting_nanos = amount()
    peers = whole()
    device = text()
    self_verified = truth()
    step = whole()
    steps = whole()
    waiting_transactions = whole()
    uptime_seconds = whole()
    total_uptime_seconds = whole()
    trainer_restarts = whole()
    memory_bytes = whole()
    open_files = whole()
    disk_free_bytes = maybe(whole())
    disk_low = truth()


class Health(Answer):
    status = fields.String(required=True, validate=validate.OneOf(["ok", "degraded", "stalled"]))
    height = whole()
    block_age_seconds = whole()
    disk_low = truth()
    trainer_failure = text()


class BlockSummary(Answer):
    height = whole()
    hash = digest()
    time_ms = whole()
    state_root = digest()
    minted_nanos = amount()
    burned_nanos = amount()
    proofs = whole()
    transactions = whole()
    round_inputs = whole()


class Blocks(Answer):
    blocks = many(BlockSummary)
    next_cursor = next_cursor()


class Action(Answer):
    """Fields that a type does not have are null."""

    type = fields.String(required=True, validate=validate.OneOf(["transfer", "service_payment", "register_node"]))
    payee = maybe(address())
    amount_nanos = maybe(amount())
    reference = maybe(digest())
    node_key = maybe(hexadecimal())


class Transaction(Answer):
    id = digest()
    status = fields.String(required=True, validate=validate.OneOf(["waiting", "final"]))
    height = maybe(whole())
    index = maybe(whole())
    time_ms = maybe(whole())
    sender = address()
    nonce = whole()
    max_fee_nanos = amount()
    tip_nanos = amount()
    action = one(Action)
    transaction = hexadecimal()


class Transactions(Answer):
    transactions = many(Transaction)
    next_cursor = next_cursor()


class Proof(Answer):
    id = digest()
    height = whole()
    index = whole()
    node = digest()
    wallet = address()
    round = whole()
    segment = whole()
    batches = whole()
    tokens = whole()
    loss_milli = whole()
    base_root = digest()
    state_before = digest()
    state_after = digest()
    time_ms = whole()


class Proofs(Answer):
    proofs = many(Proof)
    next_cursor = next_cursor()


class RoundInput(Answer):
    kind = fields.String(
        required=True, validate=validate.OneOf(["commit", "reveal", "availability_vote", "result_vote"])
    )
    round = whole()
    by = text(description="node id, or the validator's index")
    root = maybe(digest())


class Block(Answer):
    height = whole()
    hash = digest()
    epoch = whole()
    view = whole()
    parent_hash = digest()
    time_ms = whole()
    proposer = whole()
    state_root = digest()
    minted_nanos = amount()
    burned_nanos = amount()
    header = hexadecimal()
    certificate = hexadecimal()
    transactions = many(Transaction)
    proofs = many(Proof)
    round_inputs = many(RoundInput)


class AccountProof(Answer):
    """`state_proof` shows what the tree under `state_root`, the header's, holds for `key`."""

    key = hexadecimal()
    value = maybe(hexadecimal())
    state_root = digest()
    state_proof = hexadecimal()
    header = maybe(hexadecimal())
    certificate = maybe(hexadecimal())


class Account(Answer):
    address = address()
    height = whole()
    balance_nanos = amount()
    vesting_nanos = amount()
    nonce = whole()
    nodes = fields.List(digest(), required=True, allow_none=True)
    proof = one(AccountProof)


class Payload(Answer):
    node = digest()
    payload_root = digest()
    payload_bytes = whole()
    steps = whole()
    counted = maybe(truth())


class Outcome(Answer):
    counted_root = digest()
    outer_root = digest()
    model_root = digest()
    start_state = digest()
    aggregate_root = digest()


class Round(Answer):
    """Null where the ledger no longer tells. `validation_loss` and `tokens` are this node's own measurement."""

    round = whole()
    phase = fields.String(required=True, validate=validate.OneOf(ROUND_PHASES))
    opened_height = maybe(whole())
    ended_height = maybe(whole())
    deadline_height = maybe(whole())
    participants = maybe(whole())
    base_outer_root = maybe(digest())
    payloads = many(Payload)
    outcome = fields.Nested(Outcome, required=True, allow_none=True)
    validation_loss = maybe(decimal())
    tokens = maybe(whole())


class Rounds(Answer):
    rounds = many(Round)
    next_cursor = next_cursor()


class Loss(Answer):
    round = whole()
    validation_loss = decimal()
    tokens = whole()
    time_ms = whole()


class Losses(Answer):
    """A sample over all rounds, oldest first."""

    losses = many(Loss)


class Fault(Answer):
    code = text()
    message = text()
    faults = fields.Dict(keys=fields.String(), values=fields.String())
    retry_after_seconds = fields.Integer()


class Error(Answer):
    error = one(Fault)
