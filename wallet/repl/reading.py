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
    if not words:
        return Line(None, (), None, False)
    command = known.get(words[0].text)
    first = Place(words[0], words[0].text, is_command=True)
    if command is None:
        return Line(None, (first, *(Place(word, word.text) for word in words[1:])), None, False)
    return _Reader(command).read(first, words[1:])


class _Reader:
    """Goes through the words behind a command's name."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.options = {each.typed: each for each in command.parameters if each.is_option}
        self.arguments = [each for each in command.parameters if not each.is_option]
        self.awaited: Parameter | None = None  # an option that has been named and wants its value
        self.only_arguments = False  # behind --

    def read(self, first: Place, words: list[Word]) -> Line:
        places = [first, *(self._place(word) for word in words)]
        following = self.awaited or next(iter(self.arguments), None)
        may_have_option = self.awaited is None and not self.only_arguments
        return Line(self.command, tuple(places), following, may_have_option)

    def _place(self, word: Word) -> Place:
        if self.awaited is not None:
            parameter, self.awaited = self.awaited, None
            return Place(word, word.text, parameter=parameter)
        if word.text.startswith("-") and not self.only_arguments:
            return self._option(word)
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
