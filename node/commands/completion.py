"""`neuroshard completion`: the shell's part of completing our commands, which click makes."""

import json

import click
from click.shell_completion import get_completion_class

PROGRAM = "neuroshard"
VARIABLE = "_NEUROSHARD_COMPLETE"  # click derives it from the program's name
PLACES = {
    "bash": "add it to ~/.bashrc: neuroshard completion bash >> ~/.bashrc (bash 4.4 or later)",
    "zsh": "add it to ~/.zshrc, after compinit: neuroshard completion zsh >> ~/.zshrc",
    "fish": "keep it as a file: neuroshard completion fish > ~/.config/fish/completions/neuroshard.fish",
}


def show(cli: click.Command, shell: str, as_json: bool) -> None:
    """Print the script, headed by a comment that says where it belongs."""
    kind = get_completion_class(shell)
    assert kind is not None, f"click knows {shell}"
    maker = kind(cli, {}, PROGRAM, VARIABLE)
    script = maker.source_template % maker.source_vars()
    if as_json:
        click.echo(json.dumps({"shell": shell, "script": script, "advice": PLACES[shell]}))
        return
    click.echo(f"# Completion of {PROGRAM}: {PLACES[shell]}; then open a new shell.\n{script}")
