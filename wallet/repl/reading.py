"""What the words of a line stand for, while it is being typed: the colours and the completion follow it.

The line is not judged here: that is done by `wallet.line` when it is entered.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from wallet.registry import Command, Parameter
from wallet.repl.words import Word, split


@dataclass(frozen=True, slots=True)
class Place:
    """A word and what it is: the command, an option's name, or the value of a parameter. Neither: it is too much."""

    word: Word
    text: str  # the value; without the name of the option where both are one word
    is_command: bool = False
    is_option: bool = False
    parameter: Parameter | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """The words of a line in their places, and what may come next."""

    command: Command | None
    places: tuple[Place, ...]
    next: Parameter | None
    may_have_option: bool


def read(line: str, known: Mapping[str, Command]) -> Line:
    """Nothing is refused."""
    words = split(line)
    return _read(words, known) if words else Line(None, (), None, False)


def _read(words: list[Word], known: Mapping[str, Command]) -> Line:
    command = known.get(words[0].text)
    first = Place(words[0], words[0].text, is_command=True)
    if command is None:
        return Line(None, (first, *(Place(word, word.text) for word in words[1:])), None, False)
    reader = _Reader(command)
    places = [first]
    for number, word in enumerate(words[1:], start=1):
        if reader.takes_rest_now(word):
            # A command in the words of another one.
            inner = _read(words[number:], known)
            return Line(inner.command, (*places, *inner.places), inner.next, inner.may_have_option)
        places.append(reader.place(word))
    return Line(command, tuple(places), reader.next, reader.may_have_option)


class _Reader:
    """Goes through the words behind a command's name."""

    def __init__(self, command: Command) -> None:
        self.options = {each.typed: each for each in command.parameters if each.is_option}
        self.arguments = [each for each in command.parameters if not each.is_option]
        self.has_rest = any(each.takes_rest for each in self.arguments)
        self.awaited: Parameter | None = None  # an option that has been named and wants its value
        self.only_arguments = False  # from here on

    @property
    def next(self) -> Parameter | None:
        return self.awaited or next(iter(self.arguments), None)

    @property
    def may_have_option(self) -> bool:
        return self.awaited is None and not self.only_arguments

    def takes_rest_now(self, word: Word) -> bool:
        is_option = self.may_have_option and _is_option(word)
        return not is_option and self.next is not None and self.next.takes_rest

    def place(self, word: Word) -> Place:
        """What the next word is."""
        if self.awaited is not None:
            parameter, self.awaited = self.awaited, None
            return Place(word, word.text, parameter=parameter)
        if _is_option(word) and not self.only_arguments:
            return self._option(word)
        self.only_arguments |= self.has_rest
        return Place(word, word.text, parameter=self._argument())

    def _option(self, word: Word) -> Place:
        if word.text == "--":
            self.only_arguments = True
            return Place(word, word.text, is_option=True)
        name, equals, value = word.text.partition("=")
        parameter = self.options.get(name)
        if equals and parameter is not None:
            return Place(word, value, parameter=parameter)
        if parameter is not None and not parameter.is_flag:
            self.awaited = parameter
        return Place(word, word.text, is_option=True, parameter=parameter)

    def _argument(self) -> Parameter | None:
        if not self.arguments:
            return None
        return self.arguments[0] if self.arguments[0].takes_several else self.arguments.pop(0)


def _is_option(word: Word) -> bool:
    """A minus alone is the name of stdin."""
    return word.text.startswith("-") and word.text != "-"
