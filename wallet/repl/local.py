"""Commands that there are at the prompt only."""

from typing import Annotated

from wallet.commands.parts import words
from wallet.kinds import ChoiceKind
from wallet.registry import Answer, Command
from wallet.repl.live import Live
from wallet.session import Session

ON_OR_OFF = ChoiceKind("on", "off", meanings=("tell payments, earnings and finished rounds", "be quiet"))


class Leave(Exception):
    """The user is done."""


def local_commands(live: Live) -> dict[str, Command]:
    """By name; they go before the registry's of the same name."""

    def leave(session: Session) -> Answer:
        raise Leave

    def lock(session: Session) -> Answer:
        session.lock()
        return Answer({"locked": True}, words("Locked: the next command that signs asks for the password."))

    def watch(session: Session, state: Annotated[str | None, ON_OR_OFF] = None) -> Answer:
        if state is not None:
            live.is_watching = state == "on"
        how = "are told above the prompt as they happen" if live.is_watching else "are not told"
        return Answer({"watching": live.is_watching}, words(f"Payments, earnings and finished rounds {how}."))

    return {
        "watch": Command(
            "watch", "Tell what happens while you type, or stop it.", "tools", ("watch", "watch off"), watch
        ),
        "lock": Command("lock", "Forget the opened keys now.", "tools", ("lock",), lock),
        "exit": Command("exit", "Leave; Ctrl-D does the same.", "tools", ("exit",), leave),
        "quit": Command("quit", "Leave.", "tools", ("quit",), leave),
    }
