"""What paths, queries and bodies of the network's numbers and of the operator may hold."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from node.api.fields import Question
from node.settings import LEVELS

WORD_CHARACTERS = 128


class SearchWord(fields.String):
    """A word that somebody typed or pasted; blanks around it do not count."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(metadata={"minLength": 1, "maxLength": WORD_CHARACTERS, "pattern": r"\S"}, **kwargs)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        word = str(value).strip()
        if not 1 <= len(word) <= WORD_CHARACTERS or len(str(value)) > WORD_CHARACTERS:
            raise ValidationError(f"1 to {WORD_CHARACTERS} characters are wanted")
        return word


class Search(Question):
    q = SearchWord(required=True)


def key_of_peer() -> fields.String:
    """The compressed public key that `/v1/peers` names."""
    return fields.String(
        required=True,
        validate=validate.Regexp(r"0[23][0-9a-f]{64}\Z", error="66 lower-case hexadecimal digits are wanted"),
        metadata={"pattern": "^0[23][0-9a-f]{64}$"},
    )


class PeerAddress(Schema):
    """Where to connect, once."""

    class Meta:
        unknown = "raise"

    address = fields.String(
        required=True,
        validate=validate.Length(min=3, max=262),
        metadata={"description": "HOST:PORT, an IPv6 host in brackets", "example": "203.0.113.7:8430"},
    )


class PeerKey(Schema):
    class Meta:
        unknown = "raise"

    key = key_of_peer()


class Level(Schema):
    class Meta:
        unknown = "raise"

    level = fields.String(required=True, validate=validate.OneOf(LEVELS))


class NoBody(Schema):
    """An empty object."""

    class Meta:
        unknown = "raise"
