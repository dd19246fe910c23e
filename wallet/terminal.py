"""The person at a plain terminal: questions and confirmations, on stderr. `wallet.session.Ui` says what is asked."""

import json
import sys
import termios
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import click

from wallet.plain import plain


def forget_typed() -> None:
    """Keys that were pressed before the question was there are no answer to it."""
    with suppress(OSError, ValueError, termios.error):
        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)


class Terminal:
    """Asks only where somebody can read the question and type the answer."""

    def __init__(self, as_json: bool = False) -> None:
        self._as_json = as_json

    def can_ask(self) -> bool:
        return sys.stdin is not None and sys.stderr is not None and sys.stdin.isatty() and sys.stderr.isatty()

    def password(self, is_new: bool) -> str:
        text = "Choose a password for your wallet" if is_new else "Password of your wallet"
        answer: str = click.prompt(text, hide_input=True, confirmation_prompt=is_new, err=True)
        return answer

    def confirm(self, lines: Sequence[tuple[str, str]], question: str) -> bool:
        forget_typed()
        width = max((len(label) for label, _ in lines), default=0)
        for label, text in lines:
            click.echo(f"  {label:<{width}}  {plain(text, 2_000)}", err=True)
        answer: str = click.prompt(f"{question} Type yes or no", default="no", show_default=False, err=True)
        return answer.strip().lower() == "yes"

    def show_words(self, words: str) -> None:
        text = (
            "\nWrite these twelve words down and keep them from others. They are shown this once, they own all that\n"
            f"you earn, and without them a lost password or disk cannot be made good.\n\n    {words}\n\n"
        )
        if sys.stderr is None:
            raise OSError("there is nowhere to show them")
        sys.stderr.write(text)
        sys.stderr.flush()

    def ask_words(self) -> str:
        return self.ask("The twelve words of your wallet (not shown)")

    def ask(self, question: str) -> str:
        answer: str = click.prompt(question, hide_input=True, err=True)
        return answer

    def tell(self, sentence: str) -> None:
        # Nobody may be reading any more: that must not make something that was sent look as if it had failed.
        with suppress(OSError):
            click.echo(plain(sentence, 2_000), err=True)

    def say(self, line: str, content: Mapping[str, Any]) -> None:
        click.echo(json.dumps(content) if self._as_json else plain(line, 2_000))
