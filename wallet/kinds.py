"""Kinds of words that commands take: how each is read, completed and named. A command's annotations are these.

`Annotated[value's type, KIND, "what this one means"]`; the aliases below are such annotations. Completion never asks
the network: it uses what `session` has seen.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Generic, TypeVar

from chain.address import from_text, to_text
from chain.errors import DecodeError
from wallet.amounts import neuro, parse_amount, plain_amount
from wallet.errors import BadValue
from wallet.plain import plain

if TYPE_CHECKING:
    from wallet.session import Session

Value = TypeVar("Value")
WHOLE_MAXIMUM = 2**63 - 1
TEXT_MAXIMUM = 1_000
NODE_FORM = re.compile("[0-9a-f]{4,64}", re.ASCII)
ID_FORM = re.compile("[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A word that fits, and what it means."""

    text: str
    meaning: str = ""


class Kind(Generic[Value]):
    """How a word is read. `metavar` stands for it in help, `role` says how a terminal colours it."""

    metavar = "TEXT"
    meaning = ""
    role = "text"

    def parse(self, text: str, session: "Session") -> Value:
        """Raises BadValue, saying what is wrong and what is wanted."""
        raise NotImplementedError

    def complete(self, prefix: str, session: "Session") -> Iterable[Candidate]:
        """The words that begin so."""
        return ()


class Everything(Enum):
    """All that there is, instead of an amount."""

    ALL = "all"


ALL = Everything.ALL


@dataclass(frozen=True, slots=True)
class Named:
    """An address, with the name it was called by, if any."""

    address: bytes
    name: str = ""

    @property
    def text(self) -> str:
        return to_text(self.address)


def matching(prefix: str, words: Iterable[tuple[str, str]]) -> Iterator[Candidate]:
    """Those of words with their meanings that begin with a prefix."""
    return (Candidate(word, meaning) for word, meaning in words if word.lower().startswith(prefix.lower()))


class PayeeKind(Kind[Named]):
    metavar = "PAYEE"
    meaning = "an address, a name of your address book, or a label of your own accounts"
    role = "address"

    def parse(self, text: str, session: "Session") -> Named:
        found = session.folder.find(text)
        if found is not None:
            return Named(found, text)
        names = session.names()
        known = {address: name for name, address in names.items()}
        try:
            address = from_text(text)
        except DecodeError as error:
            if "1" in text and len(text) > 20:
                raise BadValue(f"{plain(text)!r} is no address: {error}") from None
            near = session.nearest(text, names)
            hint = f"; did you mean {near}?" if near else "; `book` lists your names"
            raise BadValue(f"{plain(text)!r} is neither an address nor a name that you know{hint}") from None
        return Named(address, known.get(address, ""))

    def complete(self, prefix: str, session: "Session") -> Iterable[Candidate]:
        names = session.names()
        yield from matching(prefix, ((name, to_text(address)) for name, address in names.items()))
        if len(prefix) >= 6:
            yield from matching(prefix, ((to_text(address), name) for name, address in names.items()))


class AddressKind(Kind[bytes]):
    metavar = "ADDRESS"
    meaning = "an address, neuro1…"
    role = "address"

    def parse(self, text: str, session: "Session") -> bytes:
        try:
            return from_text(text)
        except DecodeError as error:
            raise BadValue(f"{plain(text)!r} is no address: {error}") from None


class AmountKind(Kind[int]):
    """Nanos."""

    metavar = "AMOUNT"
    meaning = "NEURO with at most nine digits behind the point"
    role = "amount"

    def parse(self, text: str, session: "Session") -> int:
        nanos = parse_amount(text)
        if nanos == 0:
            raise BadValue("an amount is more than 0")
        return nanos


class AmountOrAllKind(Kind[int | Everything]):
    metavar = "AMOUNT"
    meaning = "NEURO with at most nine digits behind the point, or all"
    role = "amount"

    def parse(self, text: str, session: "Session") -> int | Everything:
        return ALL if text.lower() == ALL.value else AMOUNT.parse(text, session)

    def complete(self, prefix: str, session: "Session") -> Iterable[Candidate]:
        balance = session.seen.balance_nanos
        words = [(ALL.value, "all that there is" if balance is None else f"about {neuro(balance)}")]
        if balance:
            words.append((plain_amount(balance // 2), "half of the balance"))
        return matching(prefix, words)


class NumberKind(Kind[int]):
    """A whole number within bounds."""

    role = "number"

    def __init__(self, metavar: str, least: int, most: int, meaning: str) -> None:
        self.metavar, self.least, self.most, self.meaning = metavar, least, most, meaning

    def parse(self, text: str, session: "Session") -> int:
        digits = text.replace("_", "") if text[:1].isdigit() else text
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 20):
            raise BadValue(f"a whole number is wanted, not {plain(text)!r}")
        if not self.least <= int(digits) <= self.most:
            most = "" if self.most == WHOLE_MAXIMUM else f" and at most {self.most:,}"
            raise BadValue(f"it is at least {self.least}{most}, not {int(digits):,}")
        return int(digits)


class RoundKind(NumberKind):
    def __init__(self) -> None:
        super().__init__("ROUND", 1, WHOLE_MAXIMUM, "the number of a round")

    def complete(self, prefix: str, session: "Session") -> Iterable[Candidate]:
        newest = session.seen.round
        if newest is None:
            return ()
        words = (
            (str(number), "newest" if number == newest else "") for number in range(newest, max(0, newest - 5), -1)
        )
        return matching(prefix, words)


class NodeKind(Kind[str]):
    metavar = "NODE"
    meaning = "a node's id, or its first 4 digits or more"
    role = "id"

    def parse(self, text: str, session: "Session") -> str:
        if not NODE_FORM.fullmatch(text.lower()):
            raise BadValue(f"{plain(text)!r} is no node: its id has 64 hexadecimal digits, give the first 4 or more")
        return text.lower()

    def complete(self, prefix: str, session: "Session") -> Iterable[Candidate]:
        return matching(prefix, ((node[:16], "your node") for node in session.seen.nodes))


class TransactionKind(Kind[str]):
    metavar = "ID"
    meaning = "a transaction's id; for one of your waiting ones its first 4 digits are enough"
    role = "id"

    def parse(self, text: str, session: "Session") -> str:
        name = text.lower()
        if ID_FORM.fullmatch(name):
            return name
        found = [known for known in session.pending_ids() if known.startswith(name)] if len(name) >= 4 else []
        if len(found) != 1:
            many = "several waiting transactions begin" if found else "no waiting transaction of yours begins"
            raise BadValue(f"{many} with {plain(text)!r}: an id has 64 hexadecimal digits; `pending` lists yours")
        return found[0]

    def complete(self, prefix: str, session: "Session") -> Iterable[Candidate]:
        return matching(prefix, ((known, "waiting") for known in session.pending_ids()))


class AccountKind(Kind[int]):
    """The index of one of the wallet's own accounts."""

    metavar = "ACCOUNT"
    meaning = "one of your accounts, by its label or number"
    role = "name"

    def parse(self, text: str, session: "Session") -> int:
        for account in session.accounts():
            if text in (account.label, str(account.index)):
                return account.index
        labels = ", ".join(account.label for account in session.accounts()) or "none yet"
        raise BadValue(f"there is no account {plain(text)!r}; yours are: {labels}. `accounts add LABEL` adds one")

    def complete(self, prefix: str, session: "Session") -> Iterable[Candidate]:
        return matching(prefix, ((each.label, to_text(each.address)) for each in session.accounts()))


class ChoiceKind(Kind[str]):
    def __init__(self, *names: str, meanings: tuple[str, ...] = ()) -> None:
        self.names, self.meanings = names, meanings or ("",) * len(names)
        self.metavar = "|".join(names)

    def parse(self, text: str, session: "Session") -> str:
        if text.lower() not in self.names:
            raise BadValue(f"{plain(text)!r} is not one of {', '.join(self.names)}")
        return text.lower()

    def complete(self, prefix: str, session: "Session") -> Iterable[Candidate]:
        return matching(prefix, zip(self.names, self.meanings, strict=True))


class TextKind(Kind[str]):
    def __init__(self, metavar: str, meaning: str, most: int = TEXT_MAXIMUM) -> None:
        self.metavar, self.meaning, self.most = metavar, meaning, most

    def parse(self, text: str, session: "Session") -> str:
        if not text.strip():
            raise BadValue("it is empty")
        if len(text) > self.most:
            raise BadValue(f"it has at most {self.most:,} characters, not {len(text):,}")
        return text


class BookNameKind(TextKind):
    """A name that the address book knows."""

    role = "name"

    def complete(self, prefix: str, session: "Session") -> Iterable[Candidate]:
        return matching(prefix, ((name, to_text(address)) for name, address in session.names().items()))


class FileKind(Kind[Path]):
    metavar = "FILE"
    role = "file"

    def __init__(self, meaning: str) -> None:
        self.meaning = meaning

    def parse(self, text: str, session: "Session") -> Path:
        if not text or "\0" in text:
            raise BadValue("FILE is the path of a file")
        try:
            return Path(text).expanduser()
        except RuntimeError:
            raise BadValue(f"nobody knows whose home {plain(text)!r} begins with") from None

    def complete(self, prefix: str, session: "Session") -> Iterable[Candidate]:
        folder, _, start = prefix.rpartition("/")
        try:
            root = Path(f"{folder}/" if "/" in prefix else ".").expanduser()
            names = sorted(each.name + ("/" if each.is_dir() else "") for each in root.iterdir())[:1_000]
        except (OSError, RuntimeError, ValueError):
            return ()
        lead = f"{folder}/" if "/" in prefix else ""
        return [Candidate(lead + name) for name in names if name.startswith(start) and name.isprintable()][:50]


class FlagKind(Kind[bool]):
    metavar = ""
    role = "flag"


PAYEE, ADDRESS, AMOUNT, AMOUNT_OR_ALL = PayeeKind(), AddressKind(), AmountKind(), AmountOrAllKind()
ROUND, NODE, TRANSACTION, ACCOUNT, FLAG = RoundKind(), NodeKind(), TransactionKind(), AccountKind(), FlagKind()
FEE = NumberKind("NANOS", 0, WHOLE_MAXIMUM, "nanos for a unit of gas")
COUNT = NumberKind("N", 1, 1_000, "how many")
NAME = BookNameKind("NAME", "at most 32 printable characters", 32)

Payee = Annotated[Named, PAYEE]
Address = Annotated[bytes, ADDRESS]
Amount = Annotated[int, AMOUNT]
AmountOrAll = Annotated[int | Everything, AMOUNT_OR_ALL]
Round = Annotated[int, ROUND]
Node = Annotated[str, NODE]
TransactionId = Annotated[str, TRANSACTION]
Account = Annotated[int | None, ACCOUNT]
Fee = Annotated[int | None, FEE]
Count = Annotated[int, COUNT]
Name = Annotated[str, NAME]
Flag = Annotated[bool, FLAG]
