"""What stands beside money and network: signed texts, watching, help."""

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from chain.address import to_text
from wallet.answered import Answered
from wallet.commands.parts import Show, facts, one_after_another, verbatim, words
from wallet.errors import ApiError, BadAnswer, BadValue, CommandError
from wallet.kinds import ACCOUNT, COUNT, Candidate, FileKind, Kind, TextKind, matching
from wallet.messages import BLOCK_CHARACTERS_MAXIMUM, TEXT_BYTES_MAXIMUM, read_block, sign_message
from wallet.registry import GROUPS, Answer, Command, command, commands, find
from wallet.session import Session
from wallet.stream import ADDRESSES_MAXIMUM, Follower
from wallet.told import told


class CommandNameKind(Kind[str]):
    metavar = "COMMAND"
    meaning = "the name of a command"
    role = "command"

    def __init__(self, known: Callable[[], Mapping[str, Command]] = commands) -> None:
        self.known = known

    def parse(self, text: str, session: Session) -> str:
        return find(text, self.known()).name

    def complete(self, prefix: str, session: Session) -> Iterable[Candidate]:
        return matching(prefix, ((each.name, each.summary) for each in self.known().values()))


COMMAND_NAME = CommandNameKind()
TEXT = TextKind("TEXT", "what is signed", TEXT_BYTES_MAXIMUM)
READ = FileKind("a text file; - is stdin")


@command(
    "sign",
    "Sign a text with your key, to prove that you hold an address. Nothing is paid by it.",
    group="tools",
    examples=('sign "I am alice, 2026-11-26"', "sign --file letter.txt"),
)
def sign(
    session: Session,
    text: Annotated[str | None, TEXT] = None,
    *,
    file: Annotated[Path | None, READ, "a file that holds the text; - is stdin"] = None,
    account: Annotated[int | None, ACCOUNT, "which of your accounts signs; the first if not given"] = None,
) -> Answer:
    if (text is None) == (file is None):
        raise BadValue("give either a TEXT or --file FILE")
    signed_text = text if text is not None else _read(file, TEXT_BYTES_MAXIMUM)
    own = session.account(account)
    signed = sign_message(signed_text, session.wallet().wallet_key(own.index))
    block = signed.to_block()
    content = {"address": own.address_text, "text": signed.text, "signature": signed.signature.hex(), "block": block}
    lines = block.rstrip("\n").split("\n")
    if not all(line.replace("\t", "").isprintable() for line in lines):
        return Answer(
            content, words("The text has characters that a terminal would obey or hide: --json gives it whole.")
        )
    return Answer(content, verbatim(*lines))


@command(
    "verify",
    "Check a signed text, from its first line to its last.",
    group="tools",
    examples=("verify letter.signed", "verify -"),
)
def verify(session: Session, file: Annotated[Path, READ]) -> Answer:
    signed = read_block(_read(file, BLOCK_CHARACTERS_MAXIMUM))
    content = {"ok": True, "address": to_text(signed.address), "text": signed.text}
    return Answer(content, words(f"Signed by {session.called(signed.address)}:", *signed.text.split("\n")))


def _read(path: Path | None, most: int) -> str:
    """Raises CommandError."""
    try:
        if path is None or str(path) == "-":
            return sys.stdin.read(most + 1)
        with path.open(encoding="utf-8", newline="") as file:
            return file.read(most + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise CommandError(f"{path} cannot be read: {reason}") from None


@command(
    "watch",
    "Print payments, earnings and finished rounds as they come, until Ctrl-C. With --json: an object on each line.",
    group="network",
    examples=("watch", "watch --limit 5"),
)
def watch(session: Session, *, limit: Annotated[int | None, COUNT, "end after so many"] = None) -> Answer:
    own = tuple(each.address for each in session.accounts())[:ADDRESSES_MAXIMUM]
    follower = Follower(lambda: session.api, lambda: [to_text(each) for each in own])
    seen, is_away = 0, False
    assert session.client.address  # a node that is away, or of another network, is told at once
    session.ui.tell("Waiting for payments, earnings and rounds that end. Ctrl-C ends this.")

    def hear(kind: str, content: Answered) -> None:
        nonlocal seen, is_away
        if kind == "status":
            session.check_chain(content, session.api)
            if is_away:
                session.ui.tell("The node is back.")
            is_away = False
        line = told(kind, content, own, lambda address: session.name_of(address) or None)
        if line is not None:
            seen += 1
            session.ui.say(line, {**content.raw, "event": kind})
        if seen == limit:
            follower.stop()

    def away(error: ApiError) -> None:
        nonlocal is_away
        if isinstance(error, BadAnswer) or not is_away:
            session.ui.tell(f"{error}; waiting for it")
        is_away = True

    follower.run(hear, away)
    return Answer({"events": seen}, words())


@command("help", "All commands, or one with its examples.", group="tools", examples=("help", "help send"))
def help_(session: Session, name: Annotated[str | None, COMMAND_NAME] = None) -> Answer:
    return help_of(commands(), name)


def help_of(known: Mapping[str, Command], name: str | None) -> Answer:
    """What these commands are, or one of them."""
    if name is None:
        content: dict[str, Any] = {
            "commands": [{"name": each.name, "summary": each.summary} for each in known.values()]
        }
        return Answer(content, one_after_another(*(_group(group, known.values()) for group in GROUPS)))
    found = known[name]
    content = {
        "name": found.name,
        "usage": found.usage,
        "summary": found.summary,
        "parameters": [{"name": each.typed, "meaning": each.meaning} for each in found.parameters],
        "examples": list(found.examples),
    }
    rows = [
        (f"{each.typed} {each.metavar}" if each.is_option else each.typed, each.meaning) for each in found.parameters
    ]
    examples = [f"  {example}" for example in found.examples]
    shows = [words(found.usage, "", found.summary, ""), facts(rows), words("", "Examples:", *examples)]
    return Answer(content, one_after_another(*shows))


def _group(group: str, known: Iterable[Command]) -> Show:
    rows = [(f"  {each.name}", each.summary) for each in known if each.group == group]
    return one_after_another(words(GROUPS[group]), facts(rows), words(""))
