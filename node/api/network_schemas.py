"""The JSON of the network's numbers, field by field."""

from marshmallow import fields, validate

from node.api.action_answers import ACTION_NAMES
from node.api.fields import Answer, address, amount, digest, many, public_key, text, whole


class Parameter(Answer):
    """A number of the genesis: `chain.*` are the ledger's, the others belong to the training."""

    name = text()
    value = text(pattern="^[0-9]{1,39}$", description="a whole number; its name says the unit")


class Founder(Answer):
    validator_key = public_key(48)
    payout = address()


class Parameters(Answer):
    """What the genesis fixes for ever; `chain_id` is its hash."""

    chain_id = digest()
    name = text(description="that the maker of the network chose")
    created_ms = whole()
    params_hash = digest()
    model_seed = digest()
    model_root = digest()
    tokenizer_hash = digest()
    corpus_root = digest()
    founders = many(Founder)
    parameters = many(Parameter)


class ActionGas(Answer):
    type = fields.String(required=True, validate=validate.OneOf(list(ACTION_NAMES.values())))
    gas = whole(description="beside what its bytes and payments take")


class Fees(Answer):
    """A transaction costs its gas times the base fee and the tip. Fees are nanos for each unit of gas."""

    height = whole(description="of the last final block")
    base_fee_nanos = amount(description="what the next block asks, and burns")
    next_base_fee_maximum_nanos = amount(description="the most that the block after it can ask")
    suggested_max_fee_nanos = amount(description="stays good through eight full blocks")
    suggested_tip_nanos = amount(description="0 as long as the next block has room for all that waits")
    waiting_transactions = whole()
    gas = many(ActionGas)
    gas_of_payment = whole(description="of each payment of a multi-transfer")
    gas_of_byte = whole(description="of each byte of the encoding")


class PartHolder(Answer):
    node = digest()
    wallet = address()


class Layer(Answer):
    """A part of the model: the embedding, a layer, or the head.

    `nodes` are some of those that drew this part as their storage seat and have shown a piece of it in this epoch, the
    last ones first. They are not the only ones who have it: every trainer holds all parts, else it could not train.
    """

    name = text()
    first_parameter = whole(description="its place in the whole model")
    parameters = whole()
    bytes = whole(description="as it is stored, four to a parameter")
    seats = whole(description="how many nodes an epoch pays for showing this part")
    proven = whole(description="how many have shown it in this epoch")
    nodes = many(PartHolder)


class Layers(Answer):
    """`model_root` is of the model whose parts are shown in this epoch."""

    height = whole()
    epoch = whole()
    model_root = digest()
    registered_nodes = whole()
    layers = many(Layer)


class Found(Answer):
    kind = fields.String(required=True, validate=validate.OneOf(["block", "round", "transaction", "account", "node"]))
    name = text(description="what was found, in full")
    path = text(description="of this API")
    page = text(description="of the explorer")


class FoundList(Answer):
    """The likeliest meaning first, at most eight of a kind."""

    found = many(Found)
