"""The one canonical byte form of every object: fixed layout, big-endian, hard maxima, no second encoding.

A wire type is a frozen dataclass that inherits `Wire` and annotates its fields with the types below:

    @dataclass(frozen=True, slots=True)
    class Transfer(Wire):
        payee: Address
        amount: U128

`encode` and `decode` follow the fields in order. `decode` consumes every byte or raises DecodeError. The code that does
it is made once per type by `chain.coding`.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from struct import calcsize, pack, unpack_from
from struct import error as StructError
from typing import Annotated, Any, Self, get_args, get_origin, get_type_hints

from chain.coding import Code, Field, VaryingField, compiled, is_fixed, take, wrong_truth, wrong_version
from chain.errors import DecodeError

VERSION = 1
LETTERS = {1: "B", 2: "H", 4: "I", 8: "Q"}  # of `struct`, for integers


class Int:
    """An unsigned big-endian integer of `size` bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.form = LETTERS.get(size, f"{size}s")

    def before_packing(self, name: str) -> list[str]:
        return [] if self.size in LETTERS else [f'{name} = {name}.to_bytes({self.size}, "big")']

    def after_unpacking(self, name: str) -> list[str]:
        return [] if self.size in LETTERS else [f'{name} = integer({name}, "big")']

    def check(self, raw: bytes) -> None:
        """Any bytes are a number."""


class Fixed:
    """Exactly `size` raw bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.form = f"{size}s"

    def before_packing(self, name: str) -> list[str]:
        return [f"if len({name}) != {self.size}: raise wrong_width({self.size}, {name})"]

    def after_unpacking(self, name: str) -> list[str]:
        return []

    def check(self, raw: bytes) -> None:
        """Any bytes will do."""


class AddressField(Fixed):
    """An address: 21 bytes, of which the first is its version, 0. What nobody could ever spend has no encoding."""

    def __init__(self) -> None:
        super().__init__(21)

    def before_packing(self, name: str) -> list[str]:
        return [*self.after_unpacking(name), *super().before_packing(name)]

    def after_unpacking(self, name: str) -> list[str]:
        return [f'if {name}[:1] != b"\\0": raise wrong_version({name})']

    def check(self, raw: bytes) -> None:
        if raw[0]:
            raise wrong_version(raw)


class Bool:
    """One byte, 0 or 1."""

    size = 1
    form = "B"

    def before_packing(self, name: str) -> list[str]:
        return [f"{name} = 1 if {name} else 0"]

    def after_unpacking(self, name: str) -> list[str]:
        return [f"if {name} > 1: raise wrong_truth({name})", f"{name} = {name} == 1"]

    def check(self, raw: bytes) -> None:
        if raw[0] > 1:
            raise wrong_truth(raw[0])


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
        size = int.from_bytes(take(data, at, 4), "big")
        if size > self.maximum:
            raise DecodeError(f"at most {self.maximum} bytes allowed, {size} announced at offset {at}")
        return take(data, at + 4, size), at + 4 + size


class Many:
    """A u32 count, then at most `maximum` items. An item takes at least one byte, so the data bound the count."""

    def __init__(self, item: Field, maximum: int) -> None:
        self.item = item
        self.maximum = maximum
        self._code: VaryingField = compiled([""], [item]) if is_fixed(item) else item  # type: ignore[assignment]
        self._letter = item.form if isinstance(item, Int) and item.size in LETTERS else ""

    def write(self, value: tuple[Any, ...], out: list[bytes]) -> None:
        if len(value) > self.maximum:
            raise DecodeError(f"at most {self.maximum} items allowed, {len(value)} given")
        out.append(len(value).to_bytes(4, "big"))
        if self._letter:
            with suppress(StructError):  # a number that does not fit: the loop says so
                out.append(pack(f">{len(value)}{self._letter}", *value))
                return
        write = self._code.write
        for item in value:
            write(item, out)

    def read(self, data: bytes, at: int) -> tuple[tuple[Any, ...], int]:
        count = int.from_bytes(take(data, at, 4), "big")
        at += 4
        if count > min(self.maximum, len(data) - at):
            raise DecodeError(
                f"{count} items announced at offset {at}, {self.maximum} allowed, {len(data) - at} bytes left"
            )
        if self._letter and count * calcsize(self._letter) <= len(data) - at:
            form = f">{count}{self._letter}"
            return unpack_from(form, data, at), at + calcsize(form)
        items = []
        read = self._code.read
        for _ in range(count):
            item, at = read(data, at)
            items.append(item)
        return tuple(items), at


class OneOf:
    """One of several wire types: a type byte, a version byte (1), then its fields. Unknown types are refused."""

    def __init__(self, kinds: dict[int, type["Wire"]]) -> None:
        self.kinds = kinds
        self._heads = {kind: bytes((number, VERSION)) for number, kind in kinds.items()}

    def write(self, value: "Wire", out: list[bytes]) -> None:
        out.append(self._heads[type(value)])
        value.write(out)

    def read(self, data: bytes, at: int) -> tuple["Wire", int]:
        number, version = take(data, at, 2)
        kind = self.kinds.get(number)
        if kind is None or version != VERSION:
            raise DecodeError(f"type {number} version {version} at offset {at} is unknown to this program")
        return kind.read(data, at + 2)


class Nested:
    """Another wire type, inline."""

    def __init__(self, kind: type["Wire"]) -> None:
        self.kind = kind
        code = _code_of(kind)
        self.read, self.write = code.read, code.write


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
_codes: dict[type["Wire"], Code] = {}


def _layout(kind: type["Wire"]) -> tuple[tuple[str, Field], ...]:
    layout = _layouts.get(kind)
    if layout is None:
        hints = get_type_hints(kind, include_extras=True)
        names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
        layout = _layouts[kind] = tuple((name, _field_of(hints[name])) for name in names)
    return layout


def _code_of(kind: type["Wire"]) -> Code:
    code = _codes.get(kind)
    if code is None:
        layout = _layout(kind)
        remember = _remember if issubclass(kind, Remembering) else None
        code = compiled([name for name, _ in layout], [field for _, field in layout], kind, remember)
        if remember:
            code = Code(code.read, kind.write, code.encode)
        _codes[kind] = code
    return code


class Wire:
    """Base of everything that travels or is stored. Subclasses are frozen dataclasses."""

    __slots__ = ()

    def write(self, out: list[bytes]) -> None:
        _code_of(type(self)).write(self, out)

    @classmethod
    def read(cls, data: bytes, at: int) -> tuple[Self, int]:
        return _code_of(cls).read(data, at)

    def encode(self) -> bytes:
        """The canonical bytes. Raises DecodeError if a field breaks its maximum, OverflowError if an integer does."""
        return _code_of(type(self)).encode(self)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The object whose encoding is exactly `data`. Raises DecodeError."""
        value: Self
        value, end = _code_of(cls).read(data, 0)
        if end != len(data):
            raise DecodeError(f"{len(data) - end} bytes follow the end of {cls.__name__}")
        return value


class Remembering:
    """A first base for a wire type whose bytes and digest are asked for again and again: each is made once.

    They stand beside the fields: equality, hash and `replace` do not know them.
    """

    __slots__ = ("_bytes", "_digest")

    def encode(self) -> bytes:
        known: bytes | None = getattr(self, "_bytes", None)
        if known is None:
            known = Wire.encode(self)  # type: ignore[arg-type]
            _remember(self, known)
        return known

    def write(self, out: list[bytes]) -> None:
        out.append(self.encode())

    def digest_once(self, chain_id: bytes, make: Callable[[], bytes]) -> bytes:
        """What `make` gives: the digest that this type has, on one chain."""
        known: tuple[bytes, bytes] | None = getattr(self, "_digest", None)
        if known is None or known[0] != chain_id:
            known = chain_id, make()
            object.__setattr__(self, "_digest", known)
        return known[1]


def _remember(value: Remembering, data: bytes) -> None:
    object.__setattr__(value, "_bytes", data)
