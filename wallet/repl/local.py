"""Commands that there are at the prompt only."""

from typing import Annotated

from wallet.commands.parts import words
from wallet.commands.tools import CommandNameKind, help_of
from wallet.kinds import ChoiceKind
from wallet.registry import Answer, Command, commands
from wallet.repl.live import Live
from wallet.session import Session

ON_OR_OFF = ChoiceKind("on", "off", meanings=("only what you ask for", "also payments, earnings, finished rounds"))


class Leave(Exception):
    """The user is done."""


def all_commands(live: Live | None) -> dict[str, Command]:
    """The registry's and those of the prompt, by name. Without `live` they can be listed and not all be called."""

    def leave(session: Session) -> Answer:
        raise Leave

    def lock(session: Session) -> Answer:
        session.lock()
        return Answer({"locked": True}, words("Locked: the next command that signs opens the wallet again."))

    def quiet(session: Session, state: Annotated[str | None, ON_OR_OFF] = None) -> Answer:
        assert live is not None
        if state is not None:
            live.is_watching = state == "off"
        how = "are told above the prompt as they happen" if live.is_watching else "are not told"
        return Answer({"quiet": not live.is_watching}, words(f"Payments, earnings and finished rounds {how}."))

    def help_(session: Session, name: Annotated[str | None, CommandNameKind(lambda: known)] = None) -> Answer:
        return help_of(known, name)

    local = {
        "help": Command("help", "All commands, or one with its examples.", "tools", ("help", "help send"), help_),
        "quiet": Command(
            "quiet", "Stop telling above the prompt what happens, or go on.", "tools", ("quiet on", "quiet off"), quiet
        ),
        "lock": Command("lock", "Forget the opened keys now.", "tools", ("lock",), lock),
        "exit": Command("exit", "Leave; Ctrl-D does the same.", "tools", ("exit",), leave),
        "quit": Command("quit", "Leave.", "tools", ("quit",), leave),
    }
    known = {**commands(), **local}
    return known
