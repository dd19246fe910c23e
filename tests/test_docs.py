"""The documents name things that exist."""

import re
from importlib import import_module
from pathlib import Path

import click
import pytest

from node.cli import cli

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PACKAGES = ("chain", "consensus", "network", "node", "training", "wallet")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def dotted_names(text: str) -> list[str]:
    """`package.module.Name` in backticks."""
    found = re.findall(r"`([a-z]+(?:\.[A-Za-z_]+)+)`", text)
    return sorted({name for name in found if name.split(".")[0] in PACKAGES})


def resolve(name: str) -> object:
    """The object behind a dotted name."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: object = import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(name)


@pytest.mark.parametrize("name", dotted_names(README + (ROOT / "ARCHITECTURE.md").read_text()))
def test_every_name_in_the_maps_can_be_imported(name):
    assert resolve(name) is not None


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_a_document_names_is_there(document):
    text = document.read_text()
    links = re.findall(r"\]\((?!http)([^)#]+)\)", text)
    paths = re.findall(r"`((?:tests|docs|bench|requirements|data|training|chain)/[\w./-]+)`", text)
    missing = [link for link in links if not (document.parent / link).exists()]
    missing += [path for path in paths if not (ROOT / path).exists()]
    assert missing == []


def test_the_readme_shows_the_two_commands_and_ci_runs_the_second():
    assert "make run" in README and "make test" in README
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def test_every_command_the_readme_shows_exists():
    for words in re.findall(r"bin/neuroshard ([a-z][a-z ]*)", README):
        command: click.Command = cli
        for word in words.split():
            if isinstance(command, click.Group):
                found = command.get_command(click.Context(command), word)
                assert found is not None, word
                command = found
        assert command is not cli


def commands(group: click.Group) -> list[click.Command]:
    found: list[click.Command] = [group]
    context = click.Context(group)
    for command in filter(None, (group.get_command(context, name) for name in group.list_commands(context))):
        found += commands(command) if isinstance(command, click.Group) else [command]
    return found


@pytest.mark.parametrize("command", commands(cli), ids=lambda command: str(command.name))
def test_every_command_explains_itself_and_its_options(command):
    assert command.help
    undocumented = [p.name for p in command.params if isinstance(p, click.Option) and not p.help and not p.show_default]
    assert undocumented == []


def test_no_document_names_a_machine_or_a_place_to_download_from():
    for document in DOCUMENTS:
        assert not re.search(r"https?://[^ )\"']*(simple|registry|dists)/", document.read_text()), document
