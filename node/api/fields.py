"""The forms of what is asked and answered. What is asked comes as text and is taken in one spelling only."""

import re
from typing import Any

from marshmallow import Schema, ValidationError, fields

from chain.address import from_text
from chain.errors import DecodeError

U64_MAXIMUM = 2**64 - 1
LIMIT_MAXIMUM, LIMIT_USUAL = 100, 20
NUMBER = re.compile(r"0|[1-9][0-9]{0,19}")
HASH_PATTERN, NUMBER_PATTERN = "^[0-9a-f]{64}$", "^(0|[1-9][0-9]{0,19})$"
ADDRESS_PATTERN = "^neuro1[02-9ac-hj-np-z]{6,84}$"


def number_of(text: Any, least: int, most: int) -> int:
    """A whole number in its one decimal spelling."""
    if not isinstance(text, str) or not NUMBER.fullmatch(text) or not least <= int(text) <= most:
        raise ValidationError(f"a whole number from {least} to {most} is wanted")
    return int(text)


class Question(Schema):
    """What may be asked; everything else is refused."""

    class Meta:
        unknown = "raise"


class Answer(Schema):
    """What is answered: these fields, all of them, and no others."""

    class Meta:
        unknown = "raise"


class NumberText(fields.Integer):
    """A whole number in a path or query."""

    def __init__(self, least: int, most: int, **kwargs: Any) -> None:
        super().__init__(metadata={"minimum": least, "maximum": most}, **kwargs)
        self.least, self.most = least, most

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:
        return number_of(value, self.least, self.most)


class HexText(fields.String):
    """Exactly `size` bytes in lower-case hexadecimal digits."""

    def __init__(self, size: int, **kwargs: Any) -> None:
        self.form = re.compile(f"[0-9a-f]{{{2 * size}}}")
        self.size = size
        super().__init__(metadata={"pattern": f"^{self.form.pattern}$"}, **kwargs)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> bytes:  # type: ignore[override]
        if not isinstance(value, str) or not self.form.fullmatch(value):
            raise ValidationError(f"{2 * self.size} lower-case hexadecimal digits are wanted")
        return bytes.fromhex(value)


class HexPrefix(fields.String):
    """The first digits of a hash, or all of them."""

    def __init__(self, **kwargs: Any) -> None:
        self.form = re.compile("[0-9a-f]{4,64}")
        super().__init__(metadata={"pattern": f"^{self.form.pattern}$"}, **kwargs)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if not isinstance(value, str) or not self.form.fullmatch(value):
            raise ValidationError("4 to 64 lower-case hexadecimal digits are wanted")
        return value


class AddressText(fields.String):
    """An address as people write it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(metadata={"pattern": ADDRESS_PATTERN}, **kwargs)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> bytes:  # type: ignore[override]
        if not isinstance(value, str) or value != value.lower():
            raise ValidationError("an address is asked for in lower case")
        try:
            return from_text(value)
        except DecodeError as error:
            raise ValidationError(str(error)) from error


class BlockName(fields.String):
    """A height, or a hash as 32 bytes."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(metadata={"pattern": f"{HASH_PATTERN}|{NUMBER_PATTERN}"}, **kwargs)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int | bytes:  # type: ignore[override]
        if re.fullmatch("[0-9a-f]{64}", str(value)):
            return bytes.fromhex(value)
        try:
            return number_of(value, 1, U64_MAXIMUM)
        except ValidationError as error:
            message = "a height from 1 or a hash of 64 lower-case hexadecimal digits is wanted"
            raise ValidationError(message) from error


class PlaceText(fields.String):
    """A cursor that names a proof by its block and its place there: `HEIGHT.INDEX`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(metadata={"pattern": r"^(0|[1-9][0-9]{0,19})\.(0|[1-9][0-9]{0,3})$"}, **kwargs)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> tuple[int, int]:  # type: ignore[override]
        height, dot, index = str(value).partition(".")
        if not dot:
            raise ValidationError("a cursor as an earlier page gave it is wanted")
        return number_of(height, 0, U64_MAXIMUM), number_of(index, 0, 9_999)


def limit() -> NumberText:
    return NumberText(1, LIMIT_MAXIMUM, load_default=LIMIT_USUAL)


def number_cursor() -> NumberText:
    return NumberText(0, U64_MAXIMUM, load_default=None)


# ---- Answers


def text(**metadata: Any) -> fields.String:
    return fields.String(required=True, metadata=metadata)


def amount(description: str = "") -> fields.String:
    """Nanos."""
    return text(pattern="^[0-9]{1,39}$", description=f"nanos; {description}" if description else "nanos")


def whole(**metadata: Any) -> fields.Integer:
    return fields.Integer(required=True, strict=True, metadata={"minimum": 0, **metadata})


def decimal() -> fields.Float:
    return fields.Float(required=True)


def digest(**metadata: Any) -> fields.String:
    return text(pattern=HASH_PATTERN, **metadata)


def hexadecimal() -> fields.String:
    return text(pattern="^([0-9a-f]{2})*$")


def public_key(size: int) -> fields.String:
    """A compressed key: 33 bytes of a wallet or node, 48 of a validator."""
    return text(pattern=f"^[0-9a-f]{{{2 * size}}}$")


def address() -> fields.String:
    return text(pattern=ADDRESS_PATTERN)


def truth() -> fields.Boolean:
    return fields.Boolean(required=True)


def maybe(field: fields.Field[Any]) -> fields.Field[Any]:
    """The same field, which may be null."""
    field.allow_none = True
    return field


def many(kind: type[Schema]) -> fields.List[Any]:
    return fields.List(fields.Nested(kind), required=True)


def one(kind: type[Schema]) -> fields.Nested:
    return fields.Nested(kind, required=True)


def next_cursor() -> fields.Field[Any]:
    return maybe(text(description="where the next page begins; null on the last one"))
