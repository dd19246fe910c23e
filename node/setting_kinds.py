"""The kinds of values that a setting may have: what is allowed, read strictly, and told in words when it is not.

A value arrives as text (a flag, an environment variable) or as a value of a TOML file. Each kind reads both and raises
`BadValue` with what is allowed; the caller adds who said it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Protocol

SHOWN_MAXIMUM = 60  # characters of a wrong value that an error repeats
UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
YES, NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


class BadValue(ValueError):
    """A value outside what its kind allows; the message is the end of a sentence."""


class Kind(Protocol):
    """`allowed` says in words what the value may be; `parse` reads text, `check` a value of a TOML file."""

    @property
    def allowed(self) -> str: ...

    def parse(self, text: str, base: Path) -> Any: ...

    def check(self, found: object, base: Path) -> Any: ...


def shown(found: object) -> str:
    """A wrong value as an error repeats it: cut, and without characters that act on a terminal."""
    text = ascii(found)
    return text if len(text) <= SHOWN_MAXIMUM else text[:SHOWN_MAXIMUM] + "…"


def _text_of(found: object, kind: Kind) -> str:
    if not isinstance(found, str):
        raise BadValue(f"{shown(found)} is not a string; allowed is {kind.allowed}")
    return found


@dataclass(frozen=True, slots=True)
class YesOrNo:
    """A switch."""

    allowed: str = "true or false"

    def parse(self, text: str, base: Path) -> bool:
        wanted = text.strip().lower()
        if wanted not in YES + NO:
            raise BadValue(f"{shown(text)} is neither; allowed is {self.allowed}")
        return wanted in YES

    def check(self, found: object, base: Path) -> bool:
        if not isinstance(found, bool):
            raise BadValue(f"{shown(found)} is neither; allowed is {self.allowed}")
        return found


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    names: tuple[str, ...]

    @property
    def allowed(self) -> str:
        return ", ".join(self.names[:-1]) + " or " + self.names[-1]

    def parse(self, text: str, base: Path) -> str:
        if text not in self.names:
            raise BadValue(f"{shown(text)} is none of them; allowed is {self.allowed}")
        return text

    def check(self, found: object, base: Path) -> str:
        return self.parse(_text_of(found, self), base)


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number between two bounds. `auto` allows that word as well, which means None."""

    minimum: int
    maximum: int
    auto: bool = False

    @property
    def allowed(self) -> str:
        return f"{'auto or ' * self.auto}a whole number from {self.minimum} to {self.maximum}"

    def parse(self, text: str, base: Path) -> int | None:
        if self.auto and text.strip() == "auto":
            return None
        digits = text.strip()
        if not re.fullmatch(r"[+-]?[0-9]{1,20}", digits, re.ASCII):
            raise BadValue(f"{shown(text)} is no such number; allowed is {self.allowed}")
        return self._bounded(int(digits))

    def check(self, found: object, base: Path) -> int | None:
        if self.auto and found == "auto":
            return None
        if type(found) is not int:
            raise BadValue(f"{shown(found)} is no such number; allowed is {self.allowed}")
        return self._bounded(found)

    def _bounded(self, number: int) -> int:
        if not self.minimum <= number <= self.maximum:
            raise BadValue(f"{shown(number)} is out of bounds; allowed is {self.allowed}")
        return number


@dataclass(frozen=True, slots=True)
class Size:
    """An amount of memory or disk in bytes, written with its unit."""

    minimum: int
    maximum: int

    @property
    def allowed(self) -> str:
        return f"a size from {size_text(self.minimum)} to {size_text(self.maximum)}, such as 500MB, 4GB or 1.5GiB"

    def parse(self, text: str, base: Path) -> int:
        match = re.fullmatch(r"([0-9]{1,18})(?:\.([0-9]{1,3}))?\s*([KMGT]?I?B)", text.strip().upper(), re.ASCII)
        if match is None or match[3] not in UNITS:
            raise BadValue(f"{shown(text)} is no size; allowed is {self.allowed}")
        fraction = (match[2] or "").ljust(3, "0")
        number = (int(match[1]) * 1000 + int(fraction)) * UNITS[match[3]] // 1000
        if not self.minimum <= number <= self.maximum:
            raise BadValue(f"{shown(text)} is out of bounds; allowed is {self.allowed}")
        return number

    def check(self, found: object, base: Path) -> int:
        return self.parse(_text_of(found, self), base)


@dataclass(frozen=True, slots=True)
class FilePath:
    """A file or folder; ~ is a home folder, and a relative path of a TOML file starts at that file."""

    allowed: str = "a path"

    def parse(self, text: str, base: Path) -> Path:
        if not text or "\0" in text:
            raise BadValue(f"{shown(text)} is no path; allowed is {self.allowed}")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise BadValue(f"{shown(text)} holds bytes that are no UTF-8: choose another name") from None
        try:
            return (base / Path(text).expanduser()).resolve()
        except RuntimeError as error:  # an unknown user after ~, or links that lead in a circle
            raise BadValue(f"{shown(text)} leads nowhere: {error}") from None

    def check(self, found: object, base: Path) -> Path:
        return self.parse(_text_of(found, self), base)


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen, kept as text: HOST:PORT, an IPv6 host in brackets."""

    allowed: str = "HOST:PORT, for example 127.0.0.1:8420"

    def parse(self, text: str, base: Path) -> str:
        split_address(text)
        return text

    def check(self, found: object, base: Path) -> str:
        return self.parse(_text_of(found, self), base)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where somebody can be reached: (host, port). `any_port` allows port 0 and a host that stands for all of ours."""

    any_port: bool = False

    @property
    def allowed(self) -> str:
        return "HOST:PORT, for example " + ("0.0.0.0:8430" if self.any_port else "node.example.org:8430")

    def parse(self, text: str, base: Path) -> tuple[str, int]:
        host, port = split_address(text.strip(), self.allowed)
        if not self.any_port and (port == 0 or is_every_host(host)):
            raise BadValue(f"{shown(text)} is nowhere that anybody could connect to; allowed is {self.allowed}")
        return host, port

    def check(self, found: object, base: Path) -> tuple[str, int]:
        return self.parse(_text_of(found, self), base)


@dataclass(frozen=True, slots=True)
class Several:
    """Up to so many of another kind: a flag that may be repeated, text with commas, a list in a TOML file."""

    kind: Kind
    maximum: int = 64

    @property
    def allowed(self) -> str:
        return f"{self.kind.allowed}, up to {self.maximum} of them"

    def parse(self, text: str, base: Path) -> tuple[Any, ...]:
        return self.bounded(self.kind.parse(part.strip(), base) for part in text.split(","))

    def check(self, found: object, base: Path) -> tuple[Any, ...]:
        if not isinstance(found, list):
            raise BadValue(f"{shown(found)} is not a list; allowed is {self.allowed}")
        return self.bounded(self.kind.check(each, base) for each in found)

    def bounded(self, values: Iterable[Any]) -> tuple[Any, ...]:
        """The different ones, in their order. Raises BadValue if they are too many."""
        found = tuple(dict.fromkeys(values))
        if len(found) > self.maximum:
            raise BadValue(f"these are {len(found)}; allowed is {self.allowed}")
        return found


@dataclass(frozen=True, slots=True)
class Origin:
    """The site of a web page, as browsers name it."""

    allowed: str = "SCHEME://HOST or SCHEME://HOST:PORT, for example https://explorer.example.org"

    def parse(self, text: str, base: Path) -> str:
        match = re.fullmatch(r"(https?)://([a-z0-9._-]{1,253}|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?", text, re.ASCII)
        if match is None or int(match[3] or 1) not in range(1, 65_536):
            raise BadValue(f"{shown(text)} is no origin of pages; allowed is {self.allowed}")
        return text

    def check(self, found: object, base: Path) -> str:
        return self.parse(_text_of(found, self), base)


@dataclass(frozen=True, slots=True)
class BlockAt:
    """A block that the user trusts: (height, hash)."""

    allowed: str = "HEIGHT:HASH, the hash in 64 hexadecimal digits"

    def parse(self, text: str, base: Path) -> tuple[int, bytes]:
        match = re.fullmatch(r"([0-9]{1,15}):([0-9a-fA-F]{64})", text.strip(), re.ASCII)
        if match is None:
            raise BadValue(f"{shown(text)} names no block; allowed is {self.allowed}")
        return int(match[1]), bytes.fromhex(match[2])

    def check(self, found: object, base: Path) -> tuple[int, bytes]:
        return self.parse(_text_of(found, self), base)


def is_every_host(host: str) -> bool:
    """Is this an address that stands for all of a machine, to listen at but not to connect to?"""
    try:
        return ip_address(host).is_unspecified
    except ValueError:  # a name
        return False


def endpoint_text(host: str, port: int) -> str:
    """HOST:PORT, an IPv6 host in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def value_text(kind: Kind, value: Any) -> str:
    """A value as a user would write it."""
    match kind:
        case Size():
            return size_text(value)
        case Endpoint():
            return endpoint_text(*value)
        case BlockAt():
            return f"{value[0]}:{value[1].hex()}"
        case Several(each):
            return ",".join(value_text(each, one) for one in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def split_address(text: str, allowed: str = Address().allowed) -> tuple[str, int]:
    """Host and port of HOST:PORT. Raises BadValue."""
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]{1,253})):([0-9]{1,5})", text, re.ASCII)
    if match is None or int(match[3]) > 65_535:
        raise BadValue(f"{shown(text)} is no address; allowed is {allowed}")
    return match[1] or match[2], int(match[3])


def size_text(number: int) -> str:
    """Bytes in the largest unit that keeps them exact."""
    for unit in ("TB", "GB", "MB", "KB"):
        if number and number % UNITS[unit] == 0:
            return f"{number // UNITS[unit]}{unit}"
    return f"{number}B"
