"""The prompt: a line is read, done and answered, until the user leaves. Start reading at `Loop.run`."""

import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click
from prompt_toolkit.utils import is_dumb_terminal

from chain.errors import NeuroError
from wallet import line as typed
from wallet.errors import BadValue, NoWallet, WalletError
from wallet.plain import plain
from wallet.registry import Command, find
from wallet.repl.asker import Asker
from wallet.repl.echo import echo
from wallet.repl.live import Live
from wallet.repl.local import Leave, all_commands
from wallet.repl.prompt import Prompt
from wallet.repl.words import split
from wallet.session import Session

if TYPE_CHECKING:
    from rich.console import Console

IDLE_SECONDS = 300
FIRST_RUN = (
    "There is no wallet in {directory} yet. `create` makes a new one and shows its twelve words, to be written down; "
    "`restore` brings one back from its words. What the network does can be seen without: `status`, `rounds`."
)
GREETING = "`help` lists the commands, Tab completes, Ctrl-D leaves."


class Loop:
    """One user at one terminal."""

    def __init__(self, directory: Path, api: str | None, password: Callable[[], str | None]) -> None:
        self.session = Session(directory, Asker(is_dumb_terminal()), api, password, IDLE_SECONDS)
        self.live = Live(self.session)
        self.known: Mapping[str, Command] = all_commands(self.live)
        self.prompt = Prompt(self.session, self.live, self.known)
        self._console: Console | None = None

    def run(self) -> int:
        """The exit status."""
        self._greet()
        self.live.start()
        try:
            with echo(self.prompt.is_dumb), suppress(EOFError, Leave):
                self._lines()
        finally:
            self.live.stop()
            self.session.close()
        return 0

    def _lines(self) -> None:
        """One after the other. Raises EOFError or Leave at the last one."""
        while True:
            with suppress(KeyboardInterrupt):  # the line is gone, the prompt stays
                self.do(self.prompt.line())

    def do(self, line: str) -> None:
        """One line. Whatever is wrong with it is said, and costs nothing else."""
        words = split(line)
        if not words:
            return
        try:
            if not words[-1].is_whole:
                raise BadValue("a quote is opened and not closed")
            self._run([word.text for word in words])
        except Leave:
            raise
        except (KeyboardInterrupt, click.Abort):
            self._say("\nStopped; what was sent already is not lost: `pending` lists it.")
        except NoWallet:
            self._say(FIRST_RUN.format(directory=plain(self.session.directory)), "yellow")
        except (NeuroError, OSError, UnicodeError) as error:
            self._say(_sentence(error), "red")
        except Exception as error:
            self._say(_unexpected(error), "red")
        finally:
            self.live.look_again()

    def _run(self, words: list[str]) -> None:
        name, *rest = words
        command = find(name, self.known)
        if rest in (["--help"], ["-h"]):
            command, rest = self.known["help"], [name]
        try:
            with echo(self.prompt.is_dumb or "-" in rest):  # what a minus stands for is typed at the terminal
                answer = command.call(typed.read(command, rest), self.session)
            answer.show(self.console)
        finally:
            if command.name == "watch":
                self.live.take()  # it has told the same

    @property
    def console(self) -> "Console":
        """Made when the first answer is shown: its import takes long."""
        if self._console is None:
            from rich.console import Console

            self._console = Console(highlight=False, markup=False, emoji=False)
        return self._console

    def _greet(self) -> None:
        if self.session.folder.exists:
            self._say(f"NeuroShard wallet in {plain(self.session.directory)}.")
        else:
            self._say(FIRST_RUN.format(directory=plain(self.session.directory)), "yellow")
        try:
            self.session.accounts()
        except WalletError as error:
            self._say(_sentence(error), "red")
        self._say(GREETING)

    def _say(self, text: str, colour: str = "") -> None:
        """Sentences in whole words, as wide as the terminal is."""
        self.prompt.say(text, colour)


def _sentence(error: Exception) -> str:
    """Errors are written as the end of a sentence; here they stand alone."""
    text = "\n".join(plain(line, 2_000) for line in str(error).split("\n"))
    return text[:1].upper() + text[1:]


def _unexpected(error: Exception) -> str:
    """A fault of this program, which costs the command and not the session. Its message may hold what was typed."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{type(error).__name__} in {Path(place.filename).name}, line {place.lineno}"
    return f"This should not have happened ({where}): please report it. You can go on."
