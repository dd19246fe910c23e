"""Turns a layout into code: a wire type's fields of fixed size become one `struct` call per run of neighbours.

A field of fixed size has a `form` (its `struct` letters) and says in source lines how its value becomes what `struct`
takes, and back; a field of varying size is called with its own `read` and `write`. The lines are made from layouts of
this program only, once per type, and never from anybody's bytes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from struct import Struct
from struct import error as StructError
from typing import Any, Protocol

from chain.errors import DecodeError


class FixedField(Protocol):
    """A value of `size` bytes."""

    size: int
    form: str

    def before_packing(self, name: str) -> list[str]:
        """Lines that check the value in variable `name` and make it what `struct` takes."""
        ...

    def after_unpacking(self, name: str) -> list[str]:
        """Lines that make the value in variable `name` what the field holds, and check it."""
        ...

    def check(self, raw: bytes) -> None:
        """Raise DecodeError if these are `size` bytes of no value."""
        ...


class VaryingField(Protocol):
    """A value whose size follows from its bytes."""

    def read(self, data: bytes, at: int) -> tuple[Any, int]: ...

    def write(self, value: Any, out: list[bytes]) -> None: ...


Field = FixedField | VaryingField


@dataclass(frozen=True, slots=True)
class Code:
    """What a layout compiles to. `encode` gives the bytes that `write` appends."""

    read: Callable[[bytes, int], tuple[Any, int]]
    write: Callable[[Any, list[bytes]], None]
    encode: Callable[[Any], bytes]


def take(data: bytes, at: int, size: int) -> bytes:
    """`size` bytes from `at` on. Raises DecodeError if there are fewer."""
    if size > len(data) - at:
        raise DecodeError(f"{size} bytes wanted at offset {at}, {len(data) - at} left")
    return data[at : at + size]


def wrong_version(address: bytes) -> DecodeError:
    return DecodeError(f"an address begins with its version, 0, this one with {address[:1].hex()}")


def wrong_width(size: int, value: bytes) -> DecodeError:
    return DecodeError(f"{size} bytes wanted, {len(value)} given")


def wrong_truth(byte: int) -> DecodeError:
    return DecodeError(f"a truth value is 0 or 1, found {byte}")


def is_fixed(field: Field) -> bool:
    return hasattr(field, "form")


def compiled(
    names: Sequence[str],
    layout: Sequence[Field],
    kind: type | None = None,
    remember: Callable[[Any, bytes], None] | None = None,
) -> Code:
    """The code of `kind`, whose fields have these names; `remember` is told an object that was read, and its bytes.

    Without a kind there is one field, and the object is its value.
    """
    env: dict[str, Any] = {"kind": kind, "remember": remember, **_HELPERS}
    reading, writing = [], []
    runs = list(_runs(layout))
    for first, run in runs:
        places = range(first, first + len(run))
        writing += [f"v{i} = value.{names[i]}" if kind else f"v{i} = value" for i in places]
        lines = _fixed_lines(first, run, env) if is_fixed(run[0]) else _varying_lines(first, run[0], env)
        reading += lines[0]
        writing += lines[1]
    values = ", ".join(f"v{i}" for i in range(len(layout)))
    reading += [f"made = kind({values})" if kind else f"made = {values}"]
    if remember:
        reading = ["start = at", *reading, "remember(made, data[start:at])"]
    # What is one run has no parts to join.
    alone = len(runs) == 1 and is_fixed(layout[0])
    encoding = [*writing[:-1], f"return {writing[-1][len('out.append(') : -1]}"] if alone else [*writing]
    if not alone:
        encoding = ["out = []", *encoding, 'return b"".join(out)']
    source = _function("read(data, at)", [*reading, "return made, at"])
    source += _function("write(value, out)", _overflowing(writing or ["pass"]))
    source += _function("encode(value)", _overflowing(encoding))
    exec(source, env)
    return Code(env["read"], env["write"], env["encode"])


def _fixed_lines(first: int, run: Sequence[FixedField], env: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The lines that read and that write a run of fields of fixed size, whose values are v`first` and following."""
    packer = Struct(">" + "".join(field.form for field in run))
    env |= {f"pack{first}": packer.pack, f"unpack{first}": packer.unpack_from, f"run{first}": run}
    values = ", ".join(f"v{first + i}" for i in range(len(run)))
    reading = ["try:", f"    {values}, = unpack{first}(data, at)", "except StructError:"]
    reading += [f"    short(run{first}, data, at)", f"at += {packer.size}"]
    writing = []
    for i, field in enumerate(run, first):
        reading += field.after_unpacking(f"v{i}")
        writing += field.before_packing(f"v{i}")
    return reading, [*writing, f"out.append(pack{first}({values}))"]


def _varying_lines(place: int, field: VaryingField, env: dict[str, Any]) -> tuple[list[str], list[str]]:
    env |= {f"read{place}": field.read, f"write{place}": field.write}
    return [f"v{place}, at = read{place}(data, at)"], [f"write{place}(v{place}, out)"]


def _runs(layout: Sequence[Field]) -> Iterator[tuple[int, list[Any]]]:
    """(place of the first, fields): neighbours of fixed size together, each other field alone."""
    first = 0
    for key, group in groupby(enumerate(layout), lambda each: -1 if is_fixed(each[1]) else each[0]):
        fields = [field for _, field in group]
        assert key == -1 or len(fields) == 1
        yield first, fields
        first += len(fields)


def _short(run: Sequence[FixedField], data: bytes, at: int) -> None:
    """Raise what is wrong with a run of fields whose bytes end too early: the first fault from the left."""
    for field in run:
        field.check(take(data, at, field.size))
        at += field.size


def _function(head: str, lines: list[str]) -> str:
    return "\n    ".join([f"def {head}:", *lines]) + "\n"


def _overflowing(lines: list[str]) -> list[str]:
    """`struct` has an error of its own for a number that does not fit; integers raise OverflowError everywhere else."""
    caught = ["except StructError as error:", '    raise OverflowError(f"a number does not fit its field: {error}")']
    return ["try:", *(f"    {line}" for line in lines), *caught]


_HELPERS = {
    "StructError": StructError,
    "integer": int.from_bytes,
    "short": _short,
    "wrong_truth": wrong_truth,
    "wrong_version": wrong_version,
    "wrong_width": wrong_width,
}
