"""The one canonical byte form of every object: fixed layout, big-endian, hard maxima, no second encoding.

A wire type is a frozen dataclass that inherits `Wire` and annotates its fields with the types below:

    @dataclass(frozen=True, slots=True)
    class Transfer(Wire):
        payee: Address
        amount: U128

`encode` and `decode` follow the fields in order. `decode` consumes every byte or raises DecodeError.
"""

from dataclasses import fields
from typing import Annotated, Any, Protocol, Self, get_args, get_origin, get_type_hints

from chain.errors import DecodeError

VERSION = 1


class Field(Protocol):
    """How one value travels."""

    def write(self, value: Any, out: list[bytes]) -> None: ...

    def read(self, data: bytes, at: int) -> tuple[Any, int]: ...


def _take(data: bytes, at: int, size: int) -> bytes:
    if size > len(data) - at:
        raise DecodeError(f"{size} bytes wanted at offset {at}, {len(data) - at} left")
    return data[at : at + size]


class Int:
    """An unsigned big-endian integer of `size` bytes."""

    def __init__(self, size: int) -> None:
        self.size = size

    def write(self, value: int, out: list[bytes]) -> None:
        out.append(value.to_bytes(self.size, "big"))

    def read(self, data: bytes, at: int) -> tuple[int, int]:
        return int.from_bytes(_take(data, at, self.size), "big"), at + self.size


class Fixed:
    """Exactly `size` raw bytes."""

    def __init__(self, size: int) -> None:
        self.size = size

    def write(self, value: bytes, out: list[bytes]) -> None:
        if len(value) != self.size:
            raise DecodeError(f"{self.size} bytes wanted, {len(value)} given")
        out.append(value)

    def read(self, data: bytes, at: int) -> tuple[bytes, int]:
        return _take(data, at, self.size), at + self.size


class AddressField(Fixed):
    """An address: 21 bytes, of which the first is its version, 0. What nobody could ever spend has no encoding."""

    def __init__(self) -> None:
        super().__init__(21)

    def write(self, value: bytes, out: list[bytes]) -> None:
        _check_version(value)
        super().write(value, out)

    def read(self, data: bytes, at: int) -> tuple[bytes, int]:
        value, end = super().read(data, at)
        _check_version(value)
        return value, end


def _check_version(address: bytes) -> None:
    if address[:1] != b"\x00":
        raise DecodeError(f"an address begins with its version, 0, this one with {address[:1].hex()}")


class Bool:
    """One byte, 0 or 1."""

    def write(self, value: bool, out: list[bytes]) -> None:
        out.append(b"\x01" if value else b"\x00")

    def read(self, data: bytes, at: int) -> tuple[bool, int]:
        byte = _take(data, at, 1)[0]
        if byte > 1:
            raise DecodeError(f"a truth value is 0 or 1, found {byte}")
        return byte == 1, at + 1


class Var:
    """A u32 length, then at most `maximum` raw bytes."""

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum

    def write(self, value: bytes, out: list[bytes]) -> None:
        if len(value) > self.maximum:
            raise DecodeError(f"at most {self.maximum} bytes allowed, {len(value)} given")
        out.append(len(value).to_bytes(4, "big"))
        out.append(value)

    def read(self, data: bytes, at: int) -> tuple[bytes, int]:
        size = int.from_bytes(_take(data, at, 4), "big")
        if size > self.maximum:
            raise DecodeError(f"at most {self.maximum} bytes allowed, {size} announced at offset {at}")
        return _take(data, at + 4, size), at + 4 + size


class Many:
    """A u32 count, then at most `maximum` items. An item takes at least one byte, so the data bound the count."""

    def __init__(self, item: Field, maximum: int) -> None:
        self.item = item
        self.maximum = maximum

    def write(self, value: tuple[Any, ...], out: list[bytes]) -> None:
        if len(value) > self.maximum:
            raise DecodeError(f"at most {self.maximum} items allowed, {len(value)} given")
        out.append(len(value).to_bytes(4, "big"))
        for item in value:
            self.item.write(item, out)

    def read(self, data: bytes, at: int) -> tuple[tuple[Any, ...], int]:
        count = int.from_bytes(_take(data, at, 4), "big")
        at += 4
        if count > min(self.maximum, len(data) - at):
            raise DecodeError(
                f"{count} items announced at offset {at}, {self.maximum} allowed, {len(data) - at} bytes left"
            )
        items = []
        for _ in range(count):
            item, at = self.item.read(data, at)
            items.append(item)
        return tuple(items), at


class OneOf:
    """One of several wire types: a type byte, a version byte (1), then its fields. Unknown types are refused."""

    def __init__(self, kinds: dict[int, type["Wire"]]) -> None:
        self.kinds = kinds
        self.numbers = {kind: number for number, kind in kinds.items()}

    def write(self, value: "Wire", out: list[bytes]) -> None:
        out.append(bytes((self.numbers[type(value)], VERSION)))
        value.write(out)

    def read(self, data: bytes, at: int) -> tuple["Wire", int]:
        number, version = _take(data, at, 2)
        kind = self.kinds.get(number)
        if kind is None or version != VERSION:
            raise DecodeError(f"type {number} version {version} at offset {at} is unknown to this program")
        return kind.read(data, at + 2)


class Nested:
    """Another wire type, inline."""

    def __init__(self, kind: type["Wire"]) -> None:
        self.kind = kind

    def write(self, value: "Wire", out: list[bytes]) -> None:
        value.write(out)

    def read(self, data: bytes, at: int) -> tuple["Wire", int]:
        return self.kind.read(data, at)


U8 = Annotated[int, Int(1)]
U16 = Annotated[int, Int(2)]
U32 = Annotated[int, Int(4)]
U64 = Annotated[int, Int(8)]
U128 = Annotated[int, Int(16)]
Flag = Annotated[bool, Bool()]
Hash = Annotated[bytes, Fixed(32)]
Address = Annotated[bytes, AddressField()]
PublicKey = Annotated[bytes, Fixed(33)]
Signature = Annotated[bytes, Fixed(64)]
BlsPublicKey = Annotated[bytes, Fixed(48)]
BlsSignature = Annotated[bytes, Fixed(96)]


def _field_of(hint: Any) -> Field:
    if get_origin(hint) is Annotated:
        base, mark = get_args(hint)[:2]
        if isinstance(mark, int):  # Annotated[tuple[T, ...], maximum]
            return Many(_field_of(get_args(base)[0]), mark)
        field: Field = mark
        return field
    if isinstance(hint, type) and issubclass(hint, Wire):
        return Nested(hint)
    raise TypeError(f"{hint} has no wire form")


_layouts: dict[type["Wire"], tuple[tuple[str, Field], ...]] = {}


def _layout(kind: type["Wire"]) -> tuple[tuple[str, Field], ...]:
    layout = _layouts.get(kind)
    if layout is None:
        hints = get_type_hints(kind, include_extras=True)
        names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
        layout = _layouts[kind] = tuple((name, _field_of(hints[name])) for name in names)
    return layout


class Wire:
    """Base of everything that travels or is stored. Subclasses are frozen dataclasses."""

    __slots__ = ()

    def write(self, out: list[bytes]) -> None:
        for name, field in _layout(type(self)):
            field.write(getattr(self, name), out)

    @classmethod
    def read(cls, data: bytes, at: int) -> tuple[Self, int]:
        values = []
        for _, field in _layout(cls):
            value, at = field.read(data, at)
            values.append(value)
        return cls(*values), at

    def encode(self) -> bytes:
        """The canonical bytes. Raises DecodeError if a field breaks its maximum, OverflowError if an integer does."""
        out: list[bytes] = []
        self.write(out)
        return b"".join(out)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The object whose encoding is exactly `data`. Raises DecodeError."""
        value, end = cls.read(data, 0)
        if end != len(data):
            raise DecodeError(f"{len(data) - end} bytes follow the end of {cls.__name__}")
        return value
