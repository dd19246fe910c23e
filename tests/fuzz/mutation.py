"""Small damage to valid things: to bytes, and to one field of an object, which may get a value of another object."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Protocol

from chain import codec
from chain.codec import Wire

HUGE = [(2**32 - 1).to_bytes(4, "big"), (2**31).to_bytes(4, "big"), (4096).to_bytes(4, "big"), bytes(4)]


class Chance(Protocol):
    """Where choices come from: hypothesis, a coverage-guided fuzzer, or a seed."""

    def below(self, limit: int) -> int: ...

    def raw(self, size: int) -> bytes: ...


class Seeded:
    """The choices of a seed."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def below(self, limit: int) -> int:
        return self.random.randrange(limit)

    def raw(self, size: int) -> bytes:
        return self.random.randbytes(size)


# ---- Bytes


def damaged(data: bytes, other: bytes, chance: Chance) -> bytes:
    """Bytes near `data`, by one to three edits; some put in a piece of `other`."""
    for _ in range(1 + chance.below(3)):
        at = chance.below(len(data) + 1)
        match chance.below(7):
            case 0:
                data = data[:at]
            case 1:
                data += chance.raw(1 + chance.below(8))
            case 2 if at < len(data):
                data = data[:at] + bytes((data[at] ^ 1 << chance.below(8),)) + data[at + 1 :]
            case 3:
                data = data[:at] + chance.raw(chance.below(4)) + data[at + chance.below(4) :]
            case 4:
                data = data[:at] + HUGE[chance.below(len(HUGE))] + data[at + 4 :]
            case 5:
                start, size = chance.below(len(other) + 1), 1 + chance.below(64)
                data = data[:at] + other[start : start + size] + data[at + size :]
            case _:
                size = 1 + chance.below(64)
                data = data[: at + size] + data[at:]
    return data


# ---- Objects


def _sort_of(kind: Any) -> Any:
    """Fields of one sort can hold each other's values."""
    match kind:
        case codec.Int(size=size):
            return "integer", size
        case codec.AddressField():
            return "address"
        case codec.Fixed(size=size):
            return "bytes", size
        case codec.OneOf(kinds=kinds):
            return "one of", tuple(kinds)
        case codec.Nested(kind=inside):
            return "object", inside
    return None


@dataclass
class Donors:
    """Values of valid objects, by the sort of field that they stand in."""

    values: dict[Any, list[Any]] = field(default_factory=lambda: defaultdict(list))

    @staticmethod
    def of(objects: Iterable[Wire]) -> "Donors":
        found = Donors()
        for each in objects:
            found.add(each)
        return found

    def add(self, value: Wire) -> None:
        for name, kind in codec._layout(type(value)):
            self._add(kind, getattr(value, name))

    def _add(self, kind: Any, value: Any) -> None:
        sort = _sort_of(kind)
        if sort and value not in self.values[sort]:
            self.values[sort].append(value)
        if isinstance(kind, codec.Many):
            for item in value:
                self._add(kind.item, item)
        elif isinstance(value, Wire):
            self.add(value)

    def one(self, kind: Any, chance: Chance) -> Any:
        """A value for this field, or None."""
        known = self.values.get(_sort_of(kind))
        return known[chance.below(len(known))] if known else None


def mutated(value: Wire, donors: Donors, chance: Chance) -> Wire:
    """The object with one field changed, somewhere in it."""
    layout = codec._layout(type(value))
    if not layout:
        return value
    name, kind = layout[chance.below(len(layout))]
    return replace(value, **{name: _changed(kind, getattr(value, name), donors, chance)})  # type: ignore[type-var]


def _changed(kind: Any, old: Any, donors: Donors, chance: Chance) -> Any:
    match kind:
        case codec.OneOf() | codec.Nested():
            given = donors.one(kind, chance) if chance.below(6) == 0 else None
            return mutated(old, donors, chance) if given is None else given
        case codec.Many():
            return _changed_list(kind, old, donors, chance)
        case codec.Bool():
            return not old
        case codec.Var(maximum=maximum):
            return damaged(old, old, chance)[:maximum]
    given = donors.one(kind, chance) if chance.below(2) == 0 else None
    if given is not None:
        return given
    match kind:
        case codec.Int(size=size):
            top = 256**size - 1
            near = [old + 1, max(old, 1) - 1, 0, 1, top, top // 2, 2 * old, int.from_bytes(chance.raw(size), "big")]
            return min(top, near[chance.below(len(near))])
        case codec.AddressField():
            return b"\x00" + chance.raw(20)
        case codec.Fixed(size=size):
            flipped = int.from_bytes(old, "big") ^ 1 << chance.below(8 * size)
            return [bytes(size), chance.raw(size), flipped.to_bytes(size, "big")][chance.below(3)]
    raise TypeError(kind)


def _changed_list(kind: codec.Many, old: tuple[Any, ...], donors: Donors, chance: Chance) -> tuple[Any, ...]:
    at = chance.below(len(old) + 1)
    match chance.below(6):
        case 0:
            return old[:at] + old[at + 1 :]
        case 1:
            return (old + old[:at])[: kind.maximum]
        case 2:
            return old[at:] + old[:at]
        case 3:
            given = donors.one(kind.item, chance)
            return old if given is None else (*old[:at], given, *old[at:])[: kind.maximum]
        case _ if at < len(old):
            return (*old[:at], _changed(kind.item, old[at], donors, chance), *old[at + 1 :])
    return old


def rebuilt(value: Any) -> Any:
    """The same object made anew from its innermost values: no bytes that it was read from can be left in it."""
    if isinstance(value, tuple):
        return tuple(map(rebuilt, value))
    if isinstance(value, Wire):
        return type(value)(*(rebuilt(getattr(value, name)) for name, _ in codec._layout(type(value))))
    return value
