"""The JSON that the API answers, field by field. Amounts are decimal strings of nanos."""

from marshmallow import fields, validate

from chain.block import PHASES
from chain.crypto.votes import KIND_NAMES
from chain.state import ROUND_PHASES
from network.peer import ROLE_NAMES
from node.api.action_answers import ACTION_NAMES
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
    public_key,
    text,
    truth,
    whole,
)
from node.facts import STANDINGS

INPUT_KINDS = (
    *("commit", "reveal", "availability_vote", "result_vote", "segment_opening", "verdict_commit", "verdict_reveal"),
    *("plant_reveal", "audit_vote", "storage_proof", "data_receipt"),
)


class Status(Answer):
    chain_id = digest(description="hash of the genesis")
    phase = fields.String(required=True, validate=validate.OneOf(PHASES))
    height = whole(description="of the last final block")
    state_root = digest(description="of the ledger after it")
    minted_nanos = amount(description="ever")
    burned_nanos = amount(description="ever")
    circulating_nanos = amount(description="minted less burned")
    total_bonded_nanos = amount(description="at stake, of all wallets")
    total_unbonding_nanos = amount(description="left the set and not withdrawn yet")
    epoch = whole(description="of the next block")
    validators = whole(description="in the set of that epoch")
    total_power_nanos = amount(description="of that set")
    phantom_nanos = amount(description="power of each founder, which nobody can spend")
    active_maximum_nanos = amount(description="the most active stake that there ever was")
    stake_target_nanos = amount(description="active stake at which phantom power is gone")
    latched = truth()
    sunset_height = whole(description="from which on founders have less than half of the power of stake")
    round = whole(description="the newest")
    round_phase = fields.String(required=True, validate=validate.OneOf(ROUND_PHASES))
    round_line = text(description="the newest round at one glance, for people")
    round_deadline_height = whole(description="at which the phase ends at the latest")
    round_blocks_left = whole()
    round_seconds_left = whole(description="at the pace of the latest blocks")
    round_participants = whole()
    round_awaited = whole(description="nodes that the training phase still waits for")
    round_committed = whole()
    round_revealed = whole()
    round_held = whole(description="payloads that more than two thirds of the power hold")
    closed_rounds = whole(description="that changed the model")
    segments_proven = whole(description="of this node in the newest round")
    segments = whole(description="of a whole round")
    outer_root = digest(description="of the ledger's model and its momentum")
    model_root = digest(description="of the weights of the ledger's model")
    parameters = whole(description="of the model")
    validation_loss = maybe(decimal())
    first_validation_loss = maybe(decimal())
    previous_validation_loss = maybe(decimal())
    bigram_loss = maybe(decimal())
    training_loss = maybe(decimal())
    tokens_trained = whole(description="by everybody, ever")
    tokens_per_second = decimal()
    address = address()
    node = digest(description="id of this node")
    balance_nanos = amount(description="that this wallet can spend")
    vesting_nanos = amount(description="earned and not released yet")
    validator = fields.String(required=True, validate=validate.OneOf(STANDINGS))
    bonded_nanos = amount(description="of this wallet")
    unbonding_nanos = amount(description="of this wallet")
    power_nanos = amount(description="of this node's key")
    peers = whole(description="connected")
    listen = text()
    peer_height = whole(description="highest block that a peer says is final")
    checkpoint = text()
    sync_refusal = text()
    model_trouble = text()
    round_ms = maybe(whole(description="from the end of a round to the end of the next one, median of the newest"))
    finality_ms = maybe(whole())
    device = text()
    self_verified = truth()
    step = whole(description="of the round in training")
    steps = whole(description="of a whole round")
    waiting_transactions = whole(description="for a block")
    uptime_seconds = whole(description="since the start")
    audits_open = whole(description="of anybody's rounds")
    audits_of_us = whole(description="of this node's rounds")
    audits_for_us = whole(description="that this node is asked in and has not answered")
    audits_answered = whole(description="since the start")
    audit_faults = whole(description="audits in which this validator gave no verdict in time, or a wrong one")
    total_uptime_seconds = whole(description="of all runs")
    trainer_restarts = whole(description="in this run")
    memory_bytes = whole(description="of node and trainer")
    open_files = whole(description="of the node")
    disk_free_bytes = maybe(whole())
    disk_low = truth()


class Health(Answer):
    status = fields.String(required=True, validate=validate.OneOf(["ok", "degraded", "stalled"]))
    height = whole()
    block_age_seconds = whole()
    disk_low = truth()
    trainer_failure = text()
    model_trouble = text()


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


class Payment(Answer):
    payee = address()
    amount_nanos = amount()


class EvidenceVote(Answer):
    kind = fields.String(required=True, validate=validate.OneOf([name.lower() for name in KIND_NAMES.values()]))
    block_hash = digest()


class Evidence(Answer):
    """Two votes of one signer, who is named by his place in the set of the epoch."""

    epoch = whole()
    view = whole()
    signer = whole()
    votes = many(EvidenceVote)


class Action(Answer):
    """Fields that a type does not have are null."""

    type = fields.String(required=True, validate=validate.OneOf(list(ACTION_NAMES.values())))
    payee = maybe(address())
    amount_nanos = maybe(amount())
    reference = maybe(digest())
    payments = maybe(many(Payment))
    node_key = maybe(public_key(33))
    validator_intent = maybe(truth())
    validator_key = maybe(public_key(48))
    evidence = maybe(one(Evidence))


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
    kind = fields.String(required=True, validate=validate.OneOf(INPUT_KINDS))
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


class Validator(Answer):
    """`signed` of the `counted` notarizations of the running epoch carry this one's signature."""

    place = whole()
    validator_key = public_key(48)
    wallet = maybe(address())
    founder = truth()
    real_power_nanos = amount()
    phantom_power_nanos = amount()
    share_basis_points = whole()
    jailed_until_epoch = maybe(whole())
    banned = truth()
    signed = whole()


class Validators(Answer):
    validators = many(Validator)
    epoch = whole()
    total_power_nanos = amount()
    counted = whole()
    next_cursor = next_cursor()


class Peer(Answer):
    """What a peer says of itself: `listen`, `agent`, `roles`. `validator` and `score` are what this node found."""

    key = public_key(33)
    address = text()
    outbound = truth()
    listen = text()
    agent = text()
    roles = fields.List(fields.String(validate=validate.OneOf(list(ROLE_NAMES.values()))), required=True)
    validator = truth()
    named_by_user = truth()
    score = fields.Integer(required=True, strict=True)
    reasons = fields.List(fields.String(), required=True)
    connected_seconds = whole()
    silent_seconds = whole()
    messages_in = whole()
    messages_out = whole()
    bytes_in = whole()
    bytes_out = whole()
    dropped_in = whole()
    dropped_out = whole()
    queued_bytes = whole()


class Ban(Answer):
    """`host` is the IP address, or the /64, that is banned with the key."""

    key = public_key(33)
    address = text()
    host = maybe(text())
    remaining_seconds = whole()
    count = whole()
    reasons = fields.List(fields.String(), required=True)


class Peers(Answer):
    """`banned` counts all bans in force, also those that are not shown."""

    peers = many(Peer)
    bans = many(Ban)
    banned = whole()


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
