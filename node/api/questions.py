"""What paths, queries and bodies may hold."""

from marshmallow import Schema, fields, validate

from chain.block import VALIDATORS_MAXIMUM
from chain.transactions import TRANSACTION_BYTES_MAXIMUM
from node.api.fields import (
    U64_MAXIMUM,
    BlockName,
    HexPrefix,
    HexText,
    NumberText,
    PlaceText,
    Question,
    limit,
    number_cursor,
)

HEX_MAXIMUM = 2 * TRANSACTION_BYTES_MAXIMUM


class Nothing(Question):
    """No fields."""


class BlockPath(Question):
    block = BlockName(required=True)


class TransactionPath(Question):
    id = HexText(32, required=True)


class RoundPath(Question):
    round = NumberText(1, U64_MAXIMUM, required=True)


class ProofPath(Question):
    """A node is named by its id or by the beginning of it."""

    round = NumberText(1, U64_MAXIMUM, required=True)
    node = HexPrefix(required=True)


class Page(Question):
    """A page of a list that is ordered by a number, newest first."""

    limit = limit()
    cursor = number_cursor()


class ValidatorsPage(Question):
    """A page of the set: the cursor is the place of its first member."""

    limit = limit()
    cursor = NumberText(0, VALIDATORS_MAXIMUM, load_default=None)


class ProofsPage(Question):
    """Of one round, of one node, or all."""

    limit = limit()
    cursor = PlaceText(load_default=None)
    round = NumberText(1, U64_MAXIMUM, load_default=None)
    node = HexText(32, load_default=None)


class AuditsPage(Question):
    """The open ones, or all of one round. The cursor is a place in the list."""

    limit = limit()
    cursor = NumberText(0, U64_MAXIMUM, load_default=None)
    round = NumberText(1, U64_MAXIMUM, load_default=None)


class Submission(Schema):
    """A signed transaction in its canonical encoding."""

    class Meta:
        unknown = "raise"

    transaction = fields.String(
        required=True,
        validate=[
            validate.Length(min=2, max=HEX_MAXIMUM),
            validate.Regexp("([0-9a-f]{2})+\\Z", error="an even number of lower-case hexadecimal digits is wanted"),
        ],
        metadata={"pattern": "^([0-9a-f]{2})+$"},
    )
