"""A typed line in words: as a shell would split it, and where on the line each word stands."""

from collections.abc import Iterator
from dataclasses import dataclass

BLANKS = " \t\r\n"
QUOTES = "'\""
ESCAPED = '"\\'  # what a backslash takes the meaning of inside double quotes


@dataclass(frozen=True, slots=True)
class Word:
    """What a word says, and the part of the line that says so."""

    text: str
    start: int
    end: int
    is_whole: bool = True  # no quote is still open


def split(line: str) -> list[Word]:
    """All words of a line. Nothing is refused: an open quote reaches to the end and makes the last word not whole."""
    return list(_words(line))


def _words(line: str) -> Iterator[Word]:
    place = 0
    while place < len(line):
        if line[place] in BLANKS:
            place += 1
            continue
        start, text, is_whole = place, "", True
        while place < len(line) and line[place] not in BLANKS:
            part, place, is_whole = _part(line, place)
            text += part
        yield Word(text, start, place, is_whole)


def _part(line: str, place: int) -> tuple[str, int, bool]:
    """One letter, or all that a pair of quotes holds; where the next part begins; whether it is whole."""
    mark = line[place]
    if mark == "\\":
        return line[place + 1 : place + 2], min(place + 2, len(line)), place + 1 < len(line)
    if mark not in QUOTES:
        return mark, place + 1, True
    text, place = "", place + 1
    while place < len(line):
        if line[place] == mark:
            return text, place + 1, True
        if mark == '"' and line[place] == "\\" and line[place + 1 : place + 2] in ESCAPED and place + 1 < len(line):
            place += 1
        text += line[place]
        place += 1
    return text, place, False


def quoted(text: str) -> str:
    """A word that `split` reads as this text again."""
    if text and not any(letter in BLANKS + QUOTES + "\\" for letter in text):
        return text
    inner = "".join("\\" + letter if letter in ESCAPED else letter for letter in text)
    return f'"{inner}"'
