"""The codec once more, a field at a time and nothing made in advance: what `chain.coding` must agree with."""

from typing import Any

from chain import codec
from chain.codec import VERSION, Wire
from chain.errors import DecodeError


def encode(value: Wire) -> bytes:
    out: list[bytes] = []
    _write_fields(value, out)
    return b"".join(out)


def decode(kind: type[Wire], data: bytes) -> Any:
    value, end = _read_fields(kind, data, 0)
    if end != len(data):
        raise DecodeError(f"{len(data) - end} bytes follow the end of {kind.__name__}")
    return value


def _write_fields(value: Wire, out: list[bytes]) -> None:
    for name, field in codec._layout(type(value)):
        _write(field, getattr(value, name), out)


def _read_fields(kind: type[Wire], data: bytes, at: int) -> tuple[Any, int]:
    values = []
    for _, field in codec._layout(kind):
        value, at = _read(field, data, at)
        values.append(value)
    return kind(*values), at


def _write(field: Any, value: Any, out: list[bytes]) -> None:
    match field:
        case codec.Int(size=size):
            out.append(value.to_bytes(size, "big"))
        case codec.Fixed(size=size):
            if isinstance(field, codec.AddressField):
                _check_version(value)
            if len(value) != size:
                raise DecodeError(f"{size} bytes wanted, {len(value)} given")
            out.append(value)
        case codec.Bool():
            out.append(b"\x01" if value else b"\x00")
        case codec.Var(maximum=maximum):
            if len(value) > maximum:
                raise DecodeError(f"at most {maximum} bytes allowed, {len(value)} given")
            out += [len(value).to_bytes(4, "big"), value]
        case codec.Many(item=item, maximum=maximum):
            if len(value) > maximum:
                raise DecodeError(f"at most {maximum} items allowed, {len(value)} given")
            out.append(len(value).to_bytes(4, "big"))
            for each in value:
                _write(item, each, out)
        case codec.OneOf(kinds=kinds):
            [number] = [number for number, kind in kinds.items() if kind is type(value)]
            out.append(bytes((number, VERSION)))
            _write_fields(value, out)
        case codec.Nested():
            _write_fields(value, out)


def _read(field: Any, data: bytes, at: int) -> tuple[Any, int]:
    match field:
        case codec.Int(size=size):
            return int.from_bytes(_take(data, at, size), "big"), at + size
        case codec.Fixed(size=size):
            value = _take(data, at, size)
            if isinstance(field, codec.AddressField):
                _check_version(value)
            return value, at + size
        case codec.Bool():
            byte = _take(data, at, 1)[0]
            if byte > 1:
                raise DecodeError(f"a truth value is 0 or 1, found {byte}")
            return byte == 1, at + 1
        case codec.Var(maximum=maximum):
            size = int.from_bytes(_take(data, at, 4), "big")
            if size > maximum:
                raise DecodeError(f"at most {maximum} bytes allowed, {size} announced at offset {at}")
            return _take(data, at + 4, size), at + 4 + size
        case codec.Many():
            return _read_many(field, data, at)
        case codec.OneOf(kinds=kinds):
            number, version = _take(data, at, 2)
            if number not in kinds or version != VERSION:
                raise DecodeError(f"type {number} version {version} at offset {at} is unknown to this program")
            return _read_fields(kinds[number], data, at + 2)
        case codec.Nested(kind=kind):
            return _read_fields(kind, data, at)
    raise TypeError(f"no form for {field!r}")


def _read_many(field: codec.Many, data: bytes, at: int) -> tuple[tuple[Any, ...], int]:
    count = int.from_bytes(_take(data, at, 4), "big")
    at += 4
    if count > min(field.maximum, len(data) - at):
        left = len(data) - at
        raise DecodeError(f"{count} items announced at offset {at}, {field.maximum} allowed, {left} bytes left")
    items = []
    for _ in range(count):
        item, at = _read(field.item, data, at)
        items.append(item)
    return tuple(items), at


def _take(data: bytes, at: int, size: int) -> bytes:
    if size > len(data) - at:
        raise DecodeError(f"{size} bytes wanted at offset {at}, {len(data) - at} left")
    return data[at : at + size]


def _check_version(address: bytes) -> None:
    if address[:1] != b"\x00":
        raise DecodeError(f"an address begins with its version, 0, this one with {address[:1].hex()}")
