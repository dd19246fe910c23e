"""What may stand at the cursor: commands, options, names, addresses, amounts, each with a word of meaning."""

from collections.abc import Iterable, Iterator, Mapping

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from wallet.commands.offline import SIGNING
from wallet.kinds import Candidate
from wallet.plain import plain
from wallet.registry import Command
from wallet.repl.reading import Line, read
from wallet.repl.words import Word, quoted, split
from wallet.session import Session

MOST = 50


class LineCompleter(Completer):
    """Follows the table of commands. It may run in a thread, and never asks the network."""

    def __init__(self, session: Session, known: Mapping[str, Command]) -> None:
        self.session, self.known = session, known

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        before = document.text_before_cursor
        words = split(before)
        is_inside = bool(words) and words[-1].end == len(before)
        word = words[-1] if is_inside else Word("", len(before), len(before))
        seen: set[str] = set()
        for candidate in self._candidates(before[: word.start], word.text):
            if candidate.text in seen or not candidate.text.isprintable():
                continue
            seen.add(candidate.text)
            text = quoted(candidate.text)
            yield Completion(
                text, word.start - len(before), display=candidate.text, display_meta=plain(candidate.meaning)
            )
            if len(seen) == MOST:
                return

    def _candidates(self, before: str, prefix: str) -> Iterable[Candidate]:
        """Of the words that begin with a prefix, those that make sense behind what stands before."""
        if not before.strip():
            yield from self._commands(prefix)
            return
        line = read(before, self.known)
        if line.command is None:
            return
        if line.next is not None and line.next.takes_rest and not prefix.startswith("-"):
            yield from (each for each in self._commands(prefix) if each.text in SIGNING)
            return
        name, equals, value = prefix.partition("=")
        if equals and name.startswith("--"):
            yield from self._values(line.command, name, value)
        elif prefix.startswith("-") and line.may_have_option:
            yield from _options(line, prefix)
        elif line.next is not None:
            yield from line.next.kind.complete(prefix, self.session)
        elif not prefix and line.may_have_option:
            yield from _options(line, prefix)

    def _commands(self, prefix: str) -> Iterator[Candidate]:
        return (Candidate(name, each.summary) for name, each in self.known.items() if name.startswith(prefix))

    def _values(self, command: Command, name: str, value: str) -> Iterator[Candidate]:
        for parameter in command.parameters:
            if parameter.is_option and parameter.typed == name:
                for each in parameter.kind.complete(value, self.session):
                    yield Candidate(f"{name}={each.text}", each.meaning)


def _options(line: Line, prefix: str) -> Iterator[Candidate]:
    """Those that are not on the line yet."""
    given = {place.parameter.name for place in line.places if place.parameter is not None and place.parameter.is_option}
    for parameter in line.command.parameters if line.command else ():
        again = parameter.takes_several or parameter.name not in given
        if parameter.is_option and again and parameter.typed.startswith(prefix):
            yield Candidate(parameter.typed, parameter.meaning)
