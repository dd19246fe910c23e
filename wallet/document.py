"""The list in docs/wallet-commands.md, made from the registry: `python -m wallet.document` rewrites it."""

from pathlib import Path

from wallet.registry import GROUPS, Command, Parameter, commands
from wallet.repl.local import all_commands

DOCUMENT = Path(__file__).parents[1] / "docs" / "wallet-commands.md"
BEGIN, END = "<!-- made by python -m wallet.document -->\n", "<!-- end -->\n"


def listing() -> str:
    """Every command, group by group."""
    known = commands()
    groups = [_group(group, [each for each in known.values() if each.group == group]) for group in GROUPS]
    return "\n".join([*groups, _local([each for name, each in all_commands(None).items() if name not in known])])


def _local(members: list[Command]) -> str:
    rows = [f"| `{_in_table(each.usage)}` | {each.summary} |" for each in members]
    return "\n".join(["## At the prompt only", "", "| Command | What it does |", "|---|---|", *rows, ""])


def _group(group: str, members: list[Command]) -> str:
    return f"## {GROUPS[group]}\n\n" + "\n".join(map(_command, members))


def _command(each: Command) -> str:
    lines = [f"### {each.name}", "", each.summary, "", "```", f"neuroshard wallet {each.usage}", "```", ""]
    if each.parameters:
        lines += ["| What may be typed | What it means |", "|---|---|", *map(_row, each.parameters), ""]
    examples = [f"neuroshard wallet {example}" for example in each.examples]
    return "\n".join([*lines, "```sh", *examples, "```", ""])


def _row(each: Parameter) -> str:
    typed = each.typed if each.is_flag or not each.is_option else f"{each.typed} {each.metavar}"
    return f"| `{_in_table(typed + '...' * each.takes_several)}` | {each.meaning} |"


def _in_table(text: str) -> str:
    return text.replace("|", "\\|")


def with_listing(text: str) -> str:
    """The document with its list as it must be."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + listing() + END + after


if __name__ == "__main__":
    DOCUMENT.write_text(with_listing(DOCUMENT.read_text()))
