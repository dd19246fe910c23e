"""Colours of the line that is being typed: whether a command, an address, an amount is one."""

from collections.abc import Callable, Mapping

from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.lexers import Lexer

from chain.address import PREFIX
from wallet.errors import WalletError
from wallet.registry import Command
from wallet.repl.reading import Place, read
from wallet.session import Session

ADDRESS_LETTERS = 44  # of a whole one; what is shorter may still be typed
WRONG, OPEN, OPTION, COMMAND = "class:line.wrong", "class:line.open", "class:line.option", "class:line.command"


class LineLexer(Lexer):
    """Asks neither the disk's slow parts nor the network: it runs at every key."""

    def __init__(self, session: Session, known: Mapping[str, Command]) -> None:
        self.session, self.known = session, known

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        return lambda number: self.coloured(document.lines[number])

    def coloured(self, line: str) -> StyleAndTextTuples:
        """The line in pieces, each with its style."""
        fragments: StyleAndTextTuples = []
        done = 0
        for place in read(line, self.known).places:
            start, end = place.word.start, place.word.end
            fragments.append(("", line[done:start]))
            fragments.append((self._style(place, is_open=end == len(line)), line[start:end]))
            done = end
        fragments.append(("", line[done:]))
        return fragments

    def _style(self, place: Place, is_open: bool) -> str:
        """`is_open`: more letters may follow."""
        if place.is_command:
            return COMMAND if place.text in self.known else self._unfinished(place.text, is_open)
        if place.is_option:
            return OPTION if place.parameter or place.text == "--" else OPEN if is_open else WRONG
        if place.parameter is None:
            return WRONG
        try:
            place.parameter.kind.parse(place.text, self.session)
        except WalletError:
            is_long = place.text.lower().startswith(PREFIX) and len(place.text) >= ADDRESS_LETTERS
            return OPEN if is_open and not is_long else WRONG
        return f"class:line.{place.parameter.kind.role}"

    def _unfinished(self, text: str, is_open: bool) -> str:
        return OPEN if is_open and any(name.startswith(text) for name in self.known) else WRONG
