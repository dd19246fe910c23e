"""The line that is typed, the bar below it, and what happens above it meanwhile."""

import asyncio
import os
import sys
import textwrap
from collections.abc import Mapping

import click
from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, get_common_complete_suffix
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.key_binding.key_processor import KeyPressEvent
from prompt_toolkit.styles import Style
from prompt_toolkit.utils import is_dumb_terminal

from wallet.registry import Command
from wallet.repl import bar
from wallet.repl.completer import LineCompleter
from wallet.repl.history import FileOfLines
from wallet.repl.lexer import LineLexer
from wallet.repl.live import Live
from wallet.repl.width import columns
from wallet.repl.words import split
from wallet.session import Session

MESSAGE = "neuro> "
LOOK_SECONDS = 0.25
MENU_LINES = 6
# Underlined as well as red: it has to be seen without colours.
STYLE = {
    "prompt": "bold",
    "line.command": "bold ansigreen",
    "line.option": "ansicyan",
    "line.address": "ansigreen",
    "line.amount": "ansiyellow",
    "line.number": "ansiyellow",
    "line.id": "ansimagenta",
    "line.name": "ansigreen",
    "line.wrong": "ansired underline",
    "bar.there": "bold",
    "bar.money": "bold",
    "bar.away": "noreverse bold ansired",
}


class Prompt:
    """Reads lines. While one is typed, lines of `live` are printed above it."""

    def __init__(self, session: Session, live: Live, known: Mapping[str, Command]) -> None:
        self.session, self.live = session, live
        self.is_dumb = is_dumb_terminal()
        self.has_colours = not self.is_dumb and not os.environ.get("NO_COLOR")
        self._is_unicode = (sys.stdout.encoding or "").lower().startswith("utf")
        self._history = FileOfLines(session.directory / "wallet-history", lambda line: split(line)[0].text in known)
        self._told_trouble = ""
        self._completer = LineCompleter(session, known)
        self._prompts: PromptSession[str] | None = None if self.is_dumb else self._made(LineLexer(session, known))

    def _made(self, lexer: LineLexer) -> PromptSession[str]:
        return PromptSession(
            [("class:prompt", MESSAGE)],
            lexer=lexer,
            completer=self._completer,
            complete_in_thread=True,
            complete_while_typing=True,
            reserve_space_for_menu=MENU_LINES,
            history=self._history,
            auto_suggest=AutoSuggestFromHistory(),
            bottom_toolbar=self._bar,
            style=Style.from_dict(STYLE),
            include_default_pygments_style=False,
            enable_suspend=True,
            key_bindings=_keys(self._completer),
        )

    def line(self) -> str:
        """The next line. Raises KeyboardInterrupt for Ctrl-C, EOFError for Ctrl-D."""
        self._print_news()
        if self._history.trouble != self._told_trouble:
            self._told_trouble = self._history.trouble
            self.say(self._told_trouble, "yellow")
        if self._prompts is not None:
            return self._prompts.prompt(pre_run=self._start_watching)
        try:
            return input(MESSAGE)
        except KeyboardInterrupt:
            click.echo("")  # the next prompt begins a line
            raise

    def say(self, text: str, colour: str = "") -> None:
        """Sentences in whole words, as wide as the terminal is."""
        for line in text.split("\n"):
            for part in textwrap.wrap(line, columns(), break_long_words=False, break_on_hyphens=False) or [""]:
                click.echo(click.style(part, fg=colour) if colour and self.has_colours else part)

    def _print_news(self) -> None:
        for line in self.live.take():
            self.say(line, "cyan")

    def _start_watching(self) -> None:
        get_app().create_background_task(self._watch())

    async def _watch(self) -> None:
        """News above the prompt, and the bar drawn anew when it says something else."""
        shown = self._bar()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self.live.has_news:
                await self._print_above()
            if (now := self._bar()) != shown:
                shown = now
                get_app().invalidate()

    async def _print_above(self) -> None:
        """As `run_in_terminal` does, but the terminal stays as it is: a key pressed just now is not shown twice."""
        app = get_app()
        if app.output.responds_to_cpr:
            await app.renderer.wait_for_cpr_responses()
        if app.is_done:
            return
        app.renderer.erase()
        self._print_news()
        app.renderer.reset()
        app.renderer.request_absolute_cursor_position()
        app.invalidate()

    def _bar(self) -> StyleAndTextTuples:
        return bar.line(self.live.facts, self._lock(), get_app().output.get_size().columns, self._is_unicode)

    def _lock(self) -> str:
        if not self.session.folder.exists:
            return "no wallet"
        return "locked" if self.session.is_locked else "unlocked"


def _keys(completer: LineCompleter) -> KeyBindings:
    """Tab completes at once: the menu that opens while one types comes a moment later."""
    keys = KeyBindings()

    @keys.add("tab")
    def complete(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state and buffer.complete_state.completions:  # without any it is still being made
            buffer.complete_next()
            return
        found = list(completer.get_completions(buffer.document, CompleteEvent(completion_requested=True)))
        if len(found) == 1:
            buffer.apply_completion(found[0])
        elif common := get_common_complete_suffix(buffer.document, found):
            buffer.insert_text(common)
        else:
            buffer.start_completion()

    return keys
