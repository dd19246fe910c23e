"""The JSON of accounts, field by field. Amounts are decimal strings of nanos."""

from marshmallow import fields, validate

from node.api.account_answers import NODES_TOLD, VESTING_TOLD
from node.api.fields import (
    Answer,
    address,
    amount,
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
from node.api.history_answers import HISTORY_KINDS
from node.mempool_checks import NONCE_WINDOW


class StateProof(Answer):
    """`state_proof` shows what the tree under `state_root` holds for `key`."""

    key = hexadecimal()
    value = maybe(hexadecimal())
    state_root = digest()
    state_proof = hexadecimal()


class AccountProof(StateProof):
    """The state root is the header's."""

    header = maybe(hexadecimal())
    certificate = maybe(hexadecimal())


class Unbonding(Answer):
    amount_nanos = amount()
    ready_epoch = whole()


class Stake(Answer):
    """`leaving` is a part of `bonded`. The header of the account's proof proves this one too."""

    bonded_nanos = amount()
    leaving_nanos = amount()
    power_nanos = amount()
    unbonding = many(Unbonding)
    jailed_until_epoch = maybe(whole())
    banned = truth()
    validator_key = maybe(public_key(48))
    proof = one(StateProof)


class VestingReward(Answer):
    """It can be spent when the round `releases_after_round` has ended, unless an audit of its node is open then."""

    round = whole()
    node = digest()
    amount_nanos = amount()
    releases_after_round = whole()


class Account(Answer):
    """`nodes` are those that are not retired: null if the wallet has registered more than are told here."""

    address = address()
    height = whole()
    balance_nanos = amount()
    vesting_nanos = amount()
    vesting = fields.List(fields.Nested(VestingReward), required=True, validate=validate.Length(max=VESTING_TOLD))
    earned_nanos = amount("minted to it since the node's record of earnings begins")
    nonce = whole(description="of its next transaction, by the ledger alone")
    next_nonce = whole(description="the same behind those that wait")
    waiting = fields.List(digest(), required=True, validate=validate.Length(max=NONCE_WINDOW))
    nodes = fields.List(digest(), required=True, allow_none=True, validate=validate.Length(max=NODES_TOLD))
    stake = one(Stake)
    proof = one(AccountProof)


class Entry(Answer):
    """What a kind says nothing of is null. The fee of a reward is that of its node's proofs, and is in the amount."""

    kind = fields.String(required=True, validate=validate.OneOf(HISTORY_KINDS))
    height = whole()
    time_ms = whole(description="of the block, since 1970")
    amount_nanos = maybe(amount())
    fee_nanos = maybe(amount())
    id = maybe(digest())
    counterparty = maybe(address())
    round = maybe(whole())
    node = maybe(digest())


class History(Answer):
    """Before `from_height` this node knows nothing, or transactions only."""

    address = address()
    from_height = whole()
    entries = many(Entry)
    next_cursor = next_cursor()


class Sums(Answer):
    """The first four were minted. `burned` holds fees, the burned part of service payments, and what was slashed."""

    training_nanos = amount()
    uptime_nanos = amount()
    data_nanos = amount()
    audit_nanos = amount()
    fraud_reward_nanos = amount("taken from the stake and the rewards of those who were found out")
    released_nanos = amount("rewards that left vesting: they were counted when they were minted")
    forfeited_nanos = amount("rewards that were taken back before their release")
    burned_nanos = amount()


def day_text() -> fields.String:
    return text(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description="UTC, by the time of blocks")


class Day(Sums):
    day = day_text()


class Earnings(Answer):
    """Days on which nothing happened are left out. `from_height`: the first block that is counted; 1: all are."""

    address = address()
    from_height = whole()
    last_day = day_text()
    days = many(Day)
    total = one(Sums)


class Node(Answer):
    """`passes` are audits passed since the last failure, and decide how often the node is audited."""

    node = digest()
    wallet = address()
    public_key = public_key(33)
    registered_height = whole()
    retired = truth()
    retired_height = maybe(whole())
    validator_intent = truth()
    proofs = whole(description="ever included in blocks")
    counted_rounds = whole(description="in which its payload was counted")
    last_round = maybe(whole(description="in which it committed"))
    passes = whole()
    audit_share_basis_points = whole(maximum=10_000)
    suspended_until_round = maybe(whole())
    vesting_nanos = amount()


class Nodes(Answer):
    address = address()
    nodes = many(Node)
    next_cursor = next_cursor()


class Owner(Answer):
    rank = whole()
    address = address()
    balance_nanos = amount()
    bonded_nanos = amount()
    unbonding_nanos = amount()
    vesting_nanos = amount()
    total_nanos = amount()
    share_basis_points = whole(maximum=10_000, description="of all NEURO in circulation")


class RichList(Answer):
    """`accounts_total` own something and were all searched; pages go as far as a bound."""

    height = whole()
    accounts_total = whole()
    accounts = many(Owner)
    next_cursor = next_cursor()
