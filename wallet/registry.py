"""The one table of the wallet's commands: command line, terminal and docs/wallet-commands.md follow it.

A command is a function `(session, arguments..., *, options...) -> Answer`. Its signature says what may be typed: each
annotation carries a kind of `wallet.kinds`. A parameter that is a dataclass stands for its fields, as options.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from functools import cached_property
from importlib import import_module
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin, get_type_hints

from wallet.errors import BadValue
from wallet.kinds import FlagKind, Kind
from wallet.plain import plain

if TYPE_CHECKING:
    from rich.console import Console

    from wallet.session import Session

MODULES = ("keys", "accounts", "money", "earned", "waiting", "stake", "network", "offline", "tools")
GROUPS = {
    "wallet": "Your wallet",
    "money": "Money",
    "stake": "Stake and nodes",
    "network": "The network",
    "offline": "Signing without a network",
    "tools": "Beside all that",
}
# Beside a kind: several words of it may follow; all that follows is left as it is, options too.
SEVERAL, REST = "several", "rest"
Raw = str | tuple[str, ...] | bool | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command has to say: JSON for programs (amounts as decimal strings of nanos), a page for people."""

    content: dict[str, Any]
    show: "Callable[[Console], None]" = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Parameter:
    """What may be typed: an argument at its place, or an option with its name before it."""

    name: str
    kind: Kind[Any]
    meaning: str
    is_option: bool
    is_required: bool
    takes_several: bool = False
    takes_rest: bool = False
    group: str = ""  # the parameter that this one is a field of

    @property
    def is_flag(self) -> bool:
        return isinstance(self.kind, FlagKind)

    @property
    def typed(self) -> str:
        """--max-fee of an option, PAYEE of an argument."""
        return "--" + self.name.replace("_", "-") if self.is_option else self.metavar

    @property
    def metavar(self) -> str:
        return self.kind.metavar


@dataclass(frozen=True)
class Command:
    name: str
    summary: str
    group: str
    examples: tuple[str, ...]
    run: Callable[..., Answer]

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        return tuple(_parameters(self.run))

    @property
    def usage(self) -> str:
        """send PAYEE AMOUNT [--tip NANOS]."""
        return " ".join([self.name, *(_usage(each) for each in self.parameters)])

    def bound(self, raw: Mapping[str, Raw], session: "Session") -> tuple[list[Any], dict[str, Any]]:
        """Typed words as what `run` takes. Raises BadValue."""
        values = {each.name: _read(each, raw[each.name], session) for each in self.parameters if _given(raw, each)}
        groups = {each.group for each in self.parameters if each.group}
        arguments: list[Any] = []
        options: dict[str, Any] = {}
        for parameter in list(inspect.signature(self.run).parameters.values())[1:]:
            if parameter.name in groups:
                kind = get_type_hints(self.run)[parameter.name]
                own = {each.name for each in self.parameters if each.group == parameter.name}
                value: Any = kind(**{name: value for name, value in values.items() if name in own})
            elif parameter.name in values:
                value = values[parameter.name]
            else:
                value = parameter.default
            if parameter.kind is parameter.KEYWORD_ONLY:
                options[parameter.name] = value
            else:
                arguments.append(value)
        return arguments, options

    def call(self, raw: Mapping[str, Raw], session: "Session") -> Answer:
        """Raises WalletError."""
        arguments, options = self.bound(raw, session)
        return self.run(session, *arguments, **options)


_COMMANDS: dict[str, Command] = {}


def command(
    name: str, summary: str, *, group: str, examples: tuple[str, ...]
) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    """Enter a function into the table. Examples are lines as typed in the terminal, without `neuroshard wallet`."""
    assert group in GROUPS and examples and all(example.split(" ")[0] == name for example in examples), name

    def enter(run: Callable[..., Answer]) -> Callable[..., Answer]:
        assert name not in _COMMANDS, name
        _COMMANDS[name] = Command(name, summary, group, examples, run)
        return run

    return enter


def commands() -> Mapping[str, Command]:
    """All of them, group by group, each in the order of its module."""
    for module in MODULES:
        import_module(f"wallet.commands.{module}")
    return dict(sorted(_COMMANDS.items(), key=lambda each: _place(each[1])))


def _place(each: Command) -> tuple[int, int]:
    """Whoever imported a module first changes nothing."""
    module = each.run.__module__.rpartition(".")[2]
    return list(GROUPS).index(each.group), MODULES.index(module)


def find(name: str, known: Mapping[str, Command] | None = None) -> Command:
    """Raises BadValue, with what may have been meant."""
    known = commands() if known is None else known
    if name not in known:
        raise BadValue(f"there is no command {plain(name)!r}{meant(name, known)}; `help` lists all")
    return known[name]


def meant(word: str, known: Mapping[str, Any]) -> str:
    """What a mistyped word may have been; nothing if nothing is near."""
    near = get_close_matches(word.lower()[:40], known, n=2, cutoff=0.6)
    return f": did you mean {' or '.join(near)}?" if near else ""


def _given(raw: Mapping[str, Raw], parameter: Parameter) -> bool:
    value = raw.get(parameter.name)
    return value is not None and value != ()


def _read(parameter: Parameter, value: Raw, session: "Session") -> Any:
    if parameter.is_flag:
        return bool(value)
    if isinstance(value, tuple):
        return tuple(_read_one(parameter, each, session) for each in value)
    return _read_one(parameter, value, session)


def _read_one(parameter: Parameter, value: Raw, session: "Session") -> Any:
    assert isinstance(value, str)
    try:
        return parameter.kind.parse(value, session)
    except BadValue as error:
        raise type(error)(f"{parameter.typed}: {error}") from None


def _usage(each: Parameter) -> str:
    words = each.typed if each.is_flag or not each.is_option else f"{each.typed} {each.metavar}"
    words += "..." if each.takes_several else ""
    return words if each.is_required else f"[{words}]"


def _parameters(run: Callable[..., Answer]) -> list[Parameter]:
    hints = get_type_hints(run, include_extras=True)
    found: list[Parameter] = []
    for parameter in list(inspect.signature(run).parameters.values())[1:]:
        hint = hints[parameter.name]
        if is_dataclass(hint):
            found += _fields(hint, parameter.name)
            continue
        is_option = parameter.kind is parameter.KEYWORD_ONLY
        found.append(_parameter(parameter.name, hint, is_option, parameter.default is parameter.empty))
    return found


def _fields(group: Any, name: str) -> list[Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [_parameter(each.name, hints[each.name], True, each.default is MISSING, name) for each in fields(group)]


def _parameter(name: str, hint: Any, is_option: bool, is_required: bool, group: str = "") -> Parameter:
    """Its kind is the last one that the annotation carries; a text beside it says what this one means."""
    notes = _notes(hint)
    kind = [note for note in notes if isinstance(note, Kind)][-1]
    words = [note for note in notes if isinstance(note, str) and note not in (SEVERAL, REST)]
    takes_rest = REST in notes
    return Parameter(
        name=name,
        kind=kind,
        meaning=words[-1] if words else kind.meaning,
        is_option=is_option,
        is_required=is_required,
        takes_several=takes_rest or SEVERAL in notes,
        takes_rest=takes_rest,
        group=group,
    )


def _notes(hint: Any) -> list[Any]:
    """What is written beside a type, the innermost first."""
    if get_origin(hint) is Annotated:
        inner, *outer = get_args(hint)
        return [*_notes(inner), *outer]
    if get_origin(hint) in (Union, UnionType):
        return [note for each in get_args(hint) if each is not NoneType for note in _notes(each)]
    return []
