"""What only a person can do: choose a password, and write down the words of a new wallet."""

import os
import sys
from contextlib import suppress
from io import StringIO

import click
from rich.console import Console

from node.errors import NodeError
from node.wallet_files import AskPassword


def asker() -> AskPassword:
    if sys.stdin is None or sys.stderr is None or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None

    def ask(new: bool) -> str:
        text = "Choose a password for your wallet" if new else "Password of your wallet"
        answer: str = click.prompt(text, hide_input=True, confirmation_prompt=new, err=True)
        return answer

    return ask


def show_words(words: str, console: Console) -> None:
    """Show the words of a new wallet, which is kept only after they have been written out. Raises NodeError."""
    page = Console(file=StringIO(), force_terminal=console.is_terminal, width=console.width, highlight=False)
    page.print(
        "\n[bold]Write these twelve words down and keep them from others.[/bold] They are shown this once, they own"
    )
    page.print("all that you earn, and without them a lost password or disk cannot be made good.\n")
    page.print(f"    [bold]{words}[/bold]\n")
    stream = sys.stderr if console.stderr else sys.stdout
    try:
        if stream is None:
            raise OSError("it is closed")
        stream.write(page.file.getvalue())  # type: ignore[attr-defined]
        stream.flush()
    except (OSError, ValueError) as error:
        _forget(stream)
        reason = getattr(error, "strerror", None) or error
        raise NodeError(
            f"the words of a new wallet could not be shown ({reason}), so no wallet was made: start where the output "
            "can be read, or give your own twelve words with --token-file"
        ) from error


def _forget(stream: object) -> None:
    """What a broken stream still holds goes nowhere: it would fail once more at the end of the program."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # type: ignore[attr-defined]
