"""What stands beside money and network: help."""

from collections.abc import Iterable
from typing import Annotated, Any

from wallet.commands.parts import Show, facts, one_after_another, words
from wallet.kinds import Candidate, Kind, matching
from wallet.registry import GROUPS, Answer, Command, command, commands, find
from wallet.session import Session


class CommandNameKind(Kind[str]):
    metavar = "COMMAND"
    meaning = "the name of a command"
    role = "command"

    def parse(self, text: str, session: Session) -> str:
        return find(text).name

    def complete(self, prefix: str, session: Session) -> Iterable[Candidate]:
        return matching(prefix, ((each.name, each.summary) for each in commands().values()))


COMMAND_NAME = CommandNameKind()


@command("help", "All commands, or one with its examples.", group="tools", examples=("help", "help send"))
def help_(session: Session, name: Annotated[str | None, COMMAND_NAME] = None) -> Answer:
    known = commands()
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
