"""Every command of the tree: an example that can be called, JSON for programs, completion, the page."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from node.cli import SHELLS, cli
from node.cli_document import DOCUMENT, every, pages, with_pages
from node.commands.completion import PLACES, VARIABLE
from tests.node.processes import ROOT
from wallet import exit_codes

ALL = list(every())
OWN = [(path, context) for path, context in ALL if not isinstance(context.command, click.Group)]


def examples(text: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        if line.strip().startswith("Example: "):
            yield shlex.split(line.strip().removeprefix("Example: "))


@pytest.mark.parametrize(("path", "context"), ALL, ids=[path for path, _ in ALL])
def test_every_command_has_help_with_an_example_of_itself(path: str, context: click.Context) -> None:
    found = list(examples(context.command.help or ""))
    assert found, path
    for words in found:
        assert words[0] == "neuroshard"
        rest = iter(words)
        assert all(word in rest for word in path.split()), words


@pytest.mark.parametrize(("path", "context"), ALL, ids=[path for path, _ in ALL])
def test_every_example_can_be_parsed(path: str, context: click.Context, tmp_path: Path) -> None:
    """Files that an example names need not be there."""
    for words in examples(context.command.help or ""):
        command, place = cli, click.Context(cli, info_name="neuroshard")
        arguments = words[1 : next((at for at, word in enumerate(words) if word.startswith(">")), None)]
        try:
            while isinstance(command, click.Group):
                with command.make_context(place.info_name, list(arguments), parent=place.parent) as place:
                    arguments = [*place._protected_args, *place.args]
                if not arguments:
                    break
                _, found, arguments = command.resolve_command(place, arguments)
                assert found is not None
                command, place = found, click.Context(found, info_name=found.name, parent=place)
            else:
                command.make_context(command.name, list(arguments), parent=place.parent)
        except click.BadParameter as error:
            assert "does not exist" in str(error) or "No such file" in str(error), (words, error)


@pytest.mark.parametrize(("path", "context"), OWN, ids=[path for path, _ in OWN])
def test_every_command_speaks_json(path: str, context: click.Context) -> None:
    options = {name for parameter in context.command.params for name in parameter.opts}
    assert "--json" in options, path


@pytest.mark.parametrize(("path", "context"), ALL, ids=[path for path, _ in ALL])
def test_help_of_every_command_is_shown_and_ends_well(path: str, context: click.Context) -> None:
    for flag in ("--help", "-h"):
        result = CliRunner().invoke(cli, [*path.split()[1:], flag], prog_name="neuroshard")
        assert result.exit_code == 0 and f"Usage: {path}" in result.stdout, path


def test_the_wallets_commands_have_an_example_and_speak_json_too() -> None:
    group = cli.commands["wallet"]
    assert isinstance(group, click.Group)
    context = click.Context(group, info_name="wallet", parent=click.Context(cli, info_name="neuroshard"))
    names = group.list_commands(context)
    assert len(names) > 20
    for name in names:
        command = group.get_command(context, name)
        assert command is not None
        shown = command.get_help(click.Context(command, info_name=name, parent=context))
        assert "--json" in shown and f"neuroshard wallet {name}" in shown and "xample" in shown, name


# ---- Completion


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_is_printed_with_a_word_on_where_it_belongs(shell: str) -> None:
    result = CliRunner().invoke(cli, ["completion", shell])
    assert result.exit_code == 0 and VARIABLE in result.stdout and PLACES[shell] in result.stdout
    assert result.stdout.startswith("# ")
    told = json.loads(CliRunner().invoke(cli, ["completion", shell, "--json"]).stdout)
    assert told["shell"] == shell and VARIABLE in told["script"] and told["advice"] == PLACES[shell]


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_one_that_the_shell_takes(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = tmp_path / "script"
    script.write_text(CliRunner().invoke(cli, ["completion", shell]).stdout)
    check = [shell, "-n", str(script)]
    assert subprocess.run(check, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("neuroshard arch", {"archive"}),
        ("neuroshard archive f", {"fetch", "fsck"}),
        ("neuroshard status --js", {"--json"}),
    ],
)
def test_what_the_shell_asks_for_is_answered(words: str, found: set[str]) -> None:
    asked = {VARIABLE: "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    program = "import sys; sys.argv[0] = 'neuroshard'; from node.__main__ import main; main()"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("NEUROSHARD")}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env={**clean, **asked}, capture_output=True, text=True, check=False
    )
    assert {line.partition(",")[2] for line in done.stdout.splitlines()} == found, done.stderr


# ---- The page


def test_the_page_of_the_command_line_is_what_the_commands_say() -> None:
    text = DOCUMENT.read_text()
    assert pages() in text, "run .venv/bin/python -m node.cli_document"
    assert with_pages(text) == text


def test_the_page_names_every_exit_code() -> None:
    codes = {value for name, value in vars(exit_codes).items() if name.isupper()}
    told = {
        int(line.split("|")[1])
        for line in DOCUMENT.read_text().splitlines()
        if line.startswith("| ") and line[2].isdigit()
    }
    assert told == codes
