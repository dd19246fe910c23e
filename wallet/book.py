"""Names of addresses. A name is what somebody reads before paying, so none may look like something else."""

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from chain.address import PREFIX, TEST_PREFIX, to_text
from wallet.errors import NameRefused

NAME_CHARACTERS = 32
ENTRIES_MAXIMUM = 1_000
# What a command reads as something else where a name may stand.
RESERVED = {"all", "help", "yes", "no"}
# Letters of these are drawn alike: a name takes them from one only.
ALPHABETS = {"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU"}
# Letters and symbols that are drawn as nothing: Hangul fillers, the empty Braille cell, the null notehead.
UNSEEN = frozenset("\u115f\u1160\u3164\uffa0\u2800\U0001d159")
# As an address's beginning is read at a glance.
_GLANCE = str.maketrans("li|!0", "1111o")


@dataclass(frozen=True, slots=True)
class Entry:
    """A name, and the 21-byte address that it stands for."""

    name: str
    address: bytes


@dataclass(frozen=True, slots=True)
class Book:
    """Entries by their order of coming. A name stands for one address, an address has one name."""

    entries: tuple[Entry, ...] = ()

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def find(self, name: str) -> bytes | None:
        """The address of a name, however it is capitalised."""
        wanted = key_of(name)
        return next((entry.address for entry in self.entries if key_of(entry.name) == wanted), None)

    def name_of(self, address: bytes) -> str | None:
        return next((entry.name for entry in self.entries if entry.address == address), None)

    def added(self, name: str, address: bytes, taken: Iterable[str] = ()) -> "Book":
        """With one entry more; `taken` are names that stand for something else. Raises NameRefused."""
        name = checked_name(name, (*taken, *(entry.name for entry in self.entries)))
        known = self.name_of(address)
        if known is not None:
            raise NameRefused(f"{to_text(address)} is in the book already, as {known}: remove that name first")
        if len(self.entries) >= ENTRIES_MAXIMUM:
            raise NameRefused(f"the book has {ENTRIES_MAXIMUM} names, which is all it holds: remove one first")
        return Book((*self.entries, Entry(name, address)))

    def removed(self, name: str) -> "Book":
        """Without a name. Raises NameRefused if it is not there."""
        wanted = key_of(name)
        left = tuple(entry for entry in self.entries if key_of(entry.name) != wanted)
        if len(left) == len(self.entries):
            raise NameRefused("there is no such name in the book")
        return Book(left)


def key_of(name: str) -> str:
    """What two spellings of one name have in common."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def checked_name(name: str, taken: Iterable[str] = ()) -> str:
    """The name as it is kept. Raises NameRefused, saying what would do."""
    if len(name) > 4 * NAME_CHARACTERS:
        raise NameRefused(f"a name has at most {NAME_CHARACTERS} characters")
    name = unicodedata.normalize("NFC", name)
    if not 1 <= len(name) <= NAME_CHARACTERS:
        raise NameRefused(f"a name has 1 to {NAME_CHARACTERS} characters, not {len(name)}")
    if not name.isprintable() or any(each.isspace() or each in UNSEEN for each in name):
        raise NameRefused("a name has no blanks and nothing unseen: join its words with - or _")
    if not name[0].isalnum():
        raise NameRefused("a name begins with a letter or a digit")
    if any(unicodedata.category(each) in ("Mn", "Me", "Lm") for each in name):
        raise NameRefused("a name has no marks on letters that do not carry them usually")
    if not any(each.isalpha() for each in name):
        raise NameRefused("a name has a letter: digits alone are read as a number")
    _check_looks(name)
    key = key_of(name)
    if key in RESERVED:
        raise NameRefused(f"{name} means something else in a command: choose another name")
    if any(key_of(other) == key for other in taken):
        raise NameRefused(f"the name {name} is taken: choose another, or remove it first")
    return name


def _check_looks(name: str) -> None:
    """Refuse what could be taken for an address, or for another name, at a glance."""
    alphabets = {unicodedata.name(each, "?").split()[0] for each in key_of(name) if each.isalpha()} & ALPHABETS
    if len(alphabets) > 1:
        raise NameRefused("a name takes its letters from one alphabet: those of others look the same")
    glance = key_of("".join(each for each in unicodedata.normalize("NFKD", name) if each.isalnum() or each in "|!"))
    if glance.translate(_GLANCE).startswith((f"{PREFIX}1", f"{TEST_PREFIX}1")):
        raise NameRefused("a name must not look like an address: begin it otherwise")
