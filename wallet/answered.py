"""Reading a node's answer: every value is of its type and in its bounds, or the answer is refused. Raises BadAnswer."""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from chain.address import from_text
from chain.errors import DecodeError
from wallet.errors import BadAnswer
from wallet.plain import plain

WHOLE_MAXIMUM = 2**64 - 1
NANOS_MAXIMUM = 2**128 - 1
LIST_MAXIMUM = 10_000
TEXT_MAXIMUM = 10_000
_NANOS = re.compile("[0-9]{1,39}", re.ASCII)
_DECIMAL = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?", re.ASCII)
_HEX = re.compile("(?:[0-9a-f]{2})*", re.ASCII)
Kind = TypeVar("Kind")


class Answered:
    """A JSON object of a node. `raw` is all of it, for --json; what is shown or used goes through the readers."""

    __slots__ = ("raw", "where")

    def __init__(self, raw: Mapping[str, Any], where: str) -> None:
        self.raw, self.where = raw, where

    def has(self, name: str) -> bool:
        """Whether the field is there and not null: an older node may not know it."""
        return self.raw.get(name) is not None

    def whole(self, name: str, most: int = WHOLE_MAXIMUM) -> int:
        value = self.raw.get(name)
        if type(value) is not int or not 0 <= value <= most:
            raise self._senseless(name, "a whole number")
        return value

    def nanos(self, name: str) -> int:
        value = self.raw.get(name)
        if not isinstance(value, str) or not _NANOS.fullmatch(value) or int(value) > NANOS_MAXIMUM:
            raise self._senseless(name, "an amount in nanos")
        return int(value)

    def truth(self, name: str) -> bool:
        value = self.raw.get(name)
        if type(value) is not bool:
            raise self._senseless(name, "true or false")
        return value

    def text(self, name: str) -> str:
        """Made harmless for a terminal."""
        value = self.raw.get(name)
        if not isinstance(value, str) or len(value) > TEXT_MAXIMUM:
            raise self._senseless(name, "a text")
        return plain(value, TEXT_MAXIMUM)

    def decimal(self, name: str) -> str:
        """A number that is only shown: a decimal string or a JSON number."""
        value = self.raw.get(name)
        text = str(value) if type(value) in (int, float, str) else ""
        if not _DECIMAL.fullmatch(text):
            raise self._senseless(name, "a number")
        return text

    def hexadecimal(self, name: str, size: int | None = None) -> bytes:
        value = self.raw.get(name)
        if not isinstance(value, str) or not _HEX.fullmatch(value) or size not in (None, len(value) // 2):
            raise self._senseless(name, "hexadecimal digits")
        return bytes.fromhex(value)

    def address(self, name: str) -> bytes:
        value = self.raw.get(name)
        try:
            return from_text(value if isinstance(value, str) else "")
        except DecodeError:
            raise self._senseless(name, "an address") from None

    def object(self, name: str) -> "Answered":
        value = self.raw.get(name)
        if not isinstance(value, dict):
            raise self._senseless(name, "an object")
        return Answered(value, f"{self.where}, {name}")

    def objects(self, name: str) -> "list[Answered]":
        """At most 10,000 of them."""
        return [Answered(each, f"{self.where}, {name}") for each in self._list(name, dict)]

    def texts(self, name: str) -> list[str]:
        return [plain(each, TEXT_MAXIMUM) for each in self._list(name, str)]

    def maybe(self, name: str, read: Callable[[str], Kind]) -> Kind | None:
        """None where the field is null or missing: `answer.maybe("height", answer.whole)`."""
        return read(name) if self.has(name) else None

    def _list(self, name: str, kind: type) -> list[Any]:
        value = self.raw.get(name)
        if (
            not isinstance(value, list)
            or len(value) > LIST_MAXIMUM
            or not all(isinstance(each, kind) for each in value)
        ):
            raise self._senseless(name, "a list")
        return value

    def _senseless(self, name: str, wanted: str) -> BadAnswer:
        return BadAnswer(
            f"the answer makes no sense ({self.where}: {name} is not {wanted}): ask another node with --api HOST:PORT"
        )
