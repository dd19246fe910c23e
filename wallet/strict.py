"""JSON files of ours, read as strictly as if a stranger had written them."""

import json
from typing import Any, TypeVar

from wallet.errors import WalletError

Kind = TypeVar("Kind")


class Reader:
    """Takes values out of one file's JSON; whatever is not as expected raises the error of that file."""

    def __init__(self, what: str, error: type[WalletError]) -> None:
        self.what = what
        self._error = error

    def fault(self, sentence: str) -> WalletError:
        return self._error(f"{self.what}: {sentence}")

    def object(self, content: bytes, names: set[str]) -> dict[str, Any]:
        """A JSON object with exactly these names."""
        try:
            parsed = json.loads(content.decode("utf-8"), object_pairs_hook=self._once)
        except (ValueError, RecursionError):
            raise self.fault("this is not JSON") from None
        return self.shaped(parsed, names)

    def _once(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise self.fault("a name stands there twice")
        return found

    def shaped(self, value: Any, names: set[str]) -> dict[str, Any]:
        """An object with exactly these names."""
        if type(value) is not dict or set(value) != names:
            raise self.fault(f"an object with {', '.join(sorted(names))} is wanted")
        return value

    def take(self, value: Any, kind: type[Kind], name: str) -> Kind:
        """A value exactly of that kind: `true` is no number."""
        if type(value) is not kind:
            raise self.fault(f"{name} is no {kind.__name__}")
        return value

    def whole(self, value: Any, most: int, name: str) -> int:
        """A number from 0 to `most`."""
        number = self.take(value, int, name)
        if not 0 <= number <= most:
            raise self.fault(f"{name} is not between 0 and {most}")
        return number

    def rows(self, value: Any, most: int, name: str) -> list[Any]:
        found: list[Any] = self.take(value, list, name)
        if len(found) > most:
            raise self.fault(f"{name} has more than {most} entries")
        return found

    def text(self, value: Any, most: int, name: str) -> str:
        """At most so many printable characters: a file must not steer the terminal."""
        found = self.take(value, str, name)
        if len(found) > most or not found.isprintable():
            raise self.fault(f"{name} is not at most {most} printable characters")
        return found

    def raw(self, value: Any, sizes: tuple[int, int], name: str) -> bytes:
        """Bytes in lower-case hexadecimal: each has one text only."""
        text = self.take(value, str, name)
        try:
            found = bytes.fromhex(text)
        except ValueError:
            raise self.fault(f"{name} is not hexadecimal") from None
        if not sizes[0] <= len(found) <= sizes[1] or found.hex() != text:
            raise self.fault(f"{name} is not {sizes[0]} to {sizes[1]} bytes in hexadecimal")
        return found
