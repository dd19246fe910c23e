"""The questions of a command at the prompt. Secrets are typed unseen and touch neither history nor screen."""

import sys
import textwrap
from collections.abc import Sequence

import click

from wallet.plain import plain
from wallet.repl.echo import echo
from wallet.repl.width import columns
from wallet.terminal import Terminal, forget_typed

TRIES = 3
WRITE_DOWN = "Write these twelve words down, in this order, on paper."
WHY = (
    "Whoever reads them owns the wallet. Without them a lost password or a broken disk costs all of it. They are shown "
    "once, and leave this screen now."
)
WORD_COLUMNS = 14  # the number, the longest word, and blanks
LEAST_ROOM = 50  # columns: an address, which has 44, stays whole
# The other screen of a terminal, which leaves nothing to scroll back to.
TO_OTHER_SCREEN, BACK_FROM_IT, WIPED = "\x1b[?1049h\x1b[H\x1b[2J", "\x1b[?1049l", "\x1b[H\x1b[2J"


class Asker(Terminal):
    """As at the plain command line, but as wide as the terminal is, and words vanish from it again."""

    def __init__(self, is_dumb: bool) -> None:
        super().__init__()
        self.is_dumb = is_dumb

    def password(self, is_new: bool) -> str:
        forget_typed()
        return super().password(is_new)

    def confirm(self, lines: Sequence[tuple[str, str]], question: str) -> bool:
        click.echo("")
        for line in laid_out([(label, plain(text, 2_000)) for label, text in lines], columns()):
            click.echo(line)
        # What was typed while this was being made ready is no answer to a question that nobody had read.
        forget_typed()
        for _ in range(TRIES):
            *first, last = _parts(f"{question} Type yes or no", columns() - len(": perhaps"))
            click.echo("\n" + "\n".join(first), nl=bool(first))
            with echo(True):
                answer = str(click.prompt(last, default="no", show_default=False))
            if answer.strip().lower() in ("yes", "no"):
                return answer.strip().lower() == "yes"
            click.echo("\n".join(_parts("Only yes and no are answers; Enter alone is no.", columns())))
        return False

    def ask(self, question: str) -> str:
        *first, last = _parts(question, columns() - 3)
        for part in first:
            click.echo(part)
        forget_typed()
        return super().ask(last)

    def show_words(self, words: str) -> None:
        if self.is_dumb:
            super().show_words(words)
            return
        wide = columns()
        sys.stdout.write(TO_OTHER_SCREEN)
        try:
            told = [*_parts(WRITE_DOWN, wide), "", *in_columns(words.split(" "), wide), "", *_parts(WHY, wide), ""]
            sys.stdout.write("\n".join(told) + "\n")
            sys.stdout.flush()
            forget_typed()
            click.prompt("Press Enter when you have them", default="", show_default=False, hide_input=True)
        finally:
            sys.stdout.write(WIPED + BACK_FROM_IT)
            sys.stdout.flush()

    def tell(self, sentence: str) -> None:
        click.echo(plain(sentence, 2_000))


def in_columns(words: Sequence[str], wide: int) -> list[str]:
    """Numbered words, as many side by side as there is room for, four at most."""
    count = max(1, min(4, (wide - 2) // WORD_COLUMNS))
    listed = [f"{place:>2}. {word}" for place, word in enumerate(words, start=1)]
    rows = [listed[start : start + count] for start in range(0, len(listed), count)]
    return ["  " + "".join(f"{word:<{WORD_COLUMNS}}" for word in row).rstrip() for row in rows]


def laid_out(lines: Sequence[tuple[str, str]], wide: int) -> list[str]:
    """Labels and texts in two columns; in a narrow terminal each text below its label. No letter is left out."""
    width = max((len(label) for label, _ in lines), default=0)
    is_narrow = wide - width - 4 < LEAST_ROOM
    found = []
    for label, text in lines:
        margin = "    " if is_narrow else " " * (width + 4)
        first = "" if is_narrow else f"  {label:<{width}}  "
        found += [f"  {label}"] if is_narrow else []
        for place, part in enumerate(_parts(text, max(1, wide - len(margin)))):
            found.append((margin if place or is_narrow else first) + part)
    return found


def _parts(text: str, room: int) -> list[str]:
    return textwrap.wrap(text, room, break_on_hyphens=False) or [""]
