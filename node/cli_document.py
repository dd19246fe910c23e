"""The part of docs/cli.md that follows from the commands: `python -m node.cli_document` rewrites it."""

from collections.abc import Iterator
from pathlib import Path

import click

from node.cli import cli

DOCUMENT = Path(__file__).parents[1] / "docs" / "cli.md"
BEGIN, END = "<!-- made by python -m node.cli_document -->\n", "<!-- end -->\n"
WIDTH = 110
ELSEWHERE = ("wallet",)  # its commands have a registry and a page of their own


def every(command: click.Command = cli, context: click.Context | None = None) -> Iterator[tuple[str, click.Context]]:
    """(name, context) of a command and all below it; of those that are documented elsewhere the first only."""
    name = "neuroshard" if context is None else str(command.name)
    sizes = {"terminal_width": WIDTH, "max_content_width": WIDTH, **command.context_settings}
    own = click.Context(command, parent=context, info_name=name, **sizes)
    yield own.command_path, own
    if isinstance(command, click.Group) and command.name not in ELSEWHERE:
        for each in command.list_commands(own):
            found = command.get_command(own, each)
            assert found is not None
            yield from every(found, own)


def pages() -> str:
    """A section for each command: what `--help` says."""
    parts = []
    for path, context in every():
        level = "##" if path.count(" ") < 2 else "###"
        parts.append(f"{level} `{path}`\n\n```text\n{context.get_help().rstrip()}\n```\n\n")
    return "".join(parts)


def with_pages(text: str) -> str:
    """The document with its commands as they must be."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + pages() + END + after


if __name__ == "__main__":
    DOCUMENT.write_text(with_pages(DOCUMENT.read_text()))
