"""The questions of a command at the prompt. Secrets are typed unseen and touch neither history nor screen."""

import sys
import termios
from collections.abc import Sequence
from contextlib import suppress

import click

from wallet.plain import plain
from wallet.terminal import Terminal

TRIES = 3
# The other screen of a terminal, which leaves nothing to scroll back to.
TO_OTHER_SCREEN, BACK_FROM_IT, WIPED = "\x1b[?1049h\x1b[H\x1b[2J", "\x1b[?1049l", "\x1b[H\x1b[2J"


class Asker(Terminal):
    """As at the plain command line, but a terminal is certain, and words vanish from it again."""

    def __init__(self, is_dumb: bool) -> None:
        self.is_dumb = is_dumb

    def password(self, is_new: bool) -> str:
        forget_keys_typed_before()
        return super().password(is_new)

    def confirm(self, lines: Sequence[tuple[str, str]], question: str) -> bool:
        width = max((len(label) for label, _ in lines), default=0)
        click.echo("")
        for label, text in lines:
            click.echo(f"  {label:<{width}}  {plain(text, 2_000)}")
        # What was typed while this was being made ready is no answer to a question that nobody had read.
        forget_keys_typed_before()
        for _ in range(TRIES):
            answer = str(click.prompt(f"\n{question} Type yes or no", default="no", show_default=False))
            if answer.strip().lower() in ("yes", "no"):
                return answer.strip().lower() == "yes"
            click.echo("Only yes and no are answers; Enter alone is no.")
        return False

    def show_words(self, words: str) -> None:
        if self.is_dumb:
            super().show_words(words)
            return
        listed = [f"{place:>2}. {word}" for place, word in enumerate(words.split(), start=1)]
        rows = ["".join(f"{word:<18}" for word in listed[row : row + 3]).rstrip() for row in range(0, len(listed), 3)]
        sys.stdout.write(TO_OTHER_SCREEN)
        try:
            sys.stdout.write(
                "Write these twelve words down, in this order, on paper.\n\n  " + "\n  ".join(rows) + "\n\n"
                "Whoever reads them owns the wallet. Without them a lost\npassword or a broken disk costs all of it. "
                "They are shown\nonce, and leave this screen now.\n\n"
            )
            sys.stdout.flush()
            forget_keys_typed_before()
            click.prompt("Press Enter when they are written down", default="", show_default=False, hide_input=True)
        finally:
            sys.stdout.write(WIPED + BACK_FROM_IT)
            sys.stdout.flush()

    def tell(self, sentence: str) -> None:
        click.echo(plain(sentence, 2_000))


def forget_keys_typed_before() -> None:
    """Drop what waits in the terminal's queue."""
    with suppress(termios.error, OSError, ValueError):
        termios.tcflush(sys.stdin, termios.TCIFLUSH)
