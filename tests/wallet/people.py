"""Somebody who uses the wallet: has answers ready, remembers what was shown. And commands as typed lines."""

import json
import shlex
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console

from wallet.folder import WalletFolder
from wallet.line import read
from wallet.registry import Answer, find
from wallet.session import Session

PASSWORD = "correct horse"


class Person:
    """`answers` are given one by one to questions; whoever says nothing cannot be asked."""

    def __init__(self, *answers: str, says: bool | None = True) -> None:
        self.answers, self.says = list(answers), says
        self.words = ""
        self.confirmed: list[dict[str, str]] = []
        self.told: list[str] = []
        self.said: list[Mapping[str, Any]] = []
        self.questions: list[str] = []

    def can_ask(self) -> bool:
        return self.says is not None

    def password(self, is_new: bool) -> str:
        return self.ask("a new password" if is_new else "the password")

    def confirm(self, lines: Sequence[tuple[str, str]], question: str) -> bool:
        self.confirmed.append(dict(lines))
        assert self.says is not None
        return self.says

    def show_words(self, words: str) -> None:
        self.words = words

    def ask_words(self) -> str:
        return self.ask("the words")

    def ask(self, question: str) -> str:
        self.questions.append(question)
        return self.answers.pop(0)

    def tell(self, sentence: str) -> None:
        self.told.append(sentence)

    def say(self, line: str, content: Mapping[str, Any]) -> None:
        self.said.append(content)


def a_wallet(folder: Path) -> WalletFolder:
    """A new wallet in a folder. With the fixture `cheap` it opens at once."""
    found = WalletFolder(folder)
    found.create(None, PASSWORD)
    return found


def a_session(folder: Path, person: Person | None = None, api: str = "127.0.0.1:1", **how: Any) -> Session:
    """At a folder, with the password known; no node answers at port 1."""
    return Session(folder, person or Person(), api, how.pop("password", lambda: PASSWORD), **how)


def page_of(answer: Answer, width: int = 120) -> str:
    """What a person sees of an answer."""
    page = StringIO()
    answer.show(Console(file=page, width=width, highlight=False, markup=False, emoji=False))
    return page.getvalue()


def typed(session: Session, line: str) -> tuple[dict[str, Any], str]:
    """A line's answer as a program gets it, and as a person sees it: on narrow terminals too. Raises WalletError."""
    name, *words = shlex.split(line)
    command = find(name)
    answer = command.call(read(command, words), session)
    page_of(answer, 40)
    content: dict[str, Any] = json.loads(json.dumps(answer.content))
    return content, page_of(answer)
