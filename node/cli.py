"""Subcommands and their options. Each command's body lives in `node.commands`, imported only when it runs."""

import os
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from node.archive_cli import archive
from node.audit_cli import audit
from node.checkpoint_cli import checkpoint
from node.cli_options import DATA_DIRECTORY, JSON, setting_options
from node.cli_secrets import PASSWORD_FILE, TOKEN_FILE, password_of, token_of
from node.light_cli import light
from node.network_cli import localnet, network
from node.retire_cli import node
from node.settings import PROFILES, InEffect, in_effect, settings_of
from node.wallet_cli import wallet

SHELLS = ("bash", "zsh", "fish")


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--token", help="Mnemonic or keystore path of your wallet. Visible to others on this machine: prefer --token-file."
)
@TOKEN_FILE
@PASSWORD_FILE
@setting_options()
@click.version_option(package_name="neuroshard-node")
@click.pass_context
def cli(context: click.Context, /, **options: Any) -> None:
    """Train one shared language model with others and earn NEURO for it.

    Without a command: start a node. The first start makes a wallet and a network of one. An option may also be set by
    NEUROSHARD_<OPTION> or in a file: `neuroshard settings` shows what is in effect.

    Example: neuroshard --data-dir ~/node --until-round 3
    """
    if context.invoked_subcommand is not None:
        _refuse_misplaced(context, context.invoked_subcommand)
        return
    # Before anything that takes time is imported: a token in the argument list is public until then.
    token = token_of(options)
    from node.commands import run
    from node.commands.settings import rows
    from node.wallet_files import Secrets

    found = _in_effect(options)
    run.start(settings_of(found), Secrets(token, password_of(options)), rows(found))


def _refuse_misplaced(context: click.Context, command: str) -> None:
    """An option before a command's name would have no effect: say so."""
    for name in context.params:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            flag = next(p.opts[0] for p in context.command.params if p.name == name)
            raise click.UsageError(
                f"{flag} stands before {command!r} and would have no effect: write options after the command; "
                f"neuroshard {command} --help lists them"
            )


def _in_effect(options: dict[str, Any]) -> dict[str, InEffect]:
    from node.settings_file import read_settings

    return in_effect(options, os.environ, read_settings)


@cli.command()
@setting_options()
def settings(**options: Any) -> None:
    """Show every setting's value in effect and where it comes from.

    Example: neuroshard settings --threads 2
    """
    from node.commands import settings as command

    command.show(_in_effect(options), bool(options["json"]))


@cli.command()
@setting_options("data_dir", "config", "network", "peer", "listen", "device", "memory", "api", "json")
def doctor(**options: Any) -> None:
    """Check whether this machine can run a node; ends with status 1 if something prevents it.

    Warnings leave the status at 0. With --json: `ok` and the `checks`, each with name, verdict, sentence and advice.
    Peers that are named by --peer are dialled.

    Example: neuroshard doctor --json
    """
    from node.commands import doctor as command

    command.show(settings_of(_in_effect(options)), bool(options["json"]))


@cli.command()
@DATA_DIRECTORY
@JSON
def status(data_dir: Path, as_json: bool) -> None:
    """Ask the running node how it is.

    Example: neuroshard status --json
    """
    from node.commands import status as command

    command.show(data_dir, as_json)


@cli.command()
@click.argument("prompt")
@DATA_DIRECTORY
@click.option("--tokens", type=click.IntRange(1, 10_000), default=80, show_default=True, help="Length of the text.")
@click.option("--temperature", type=click.FloatRange(0, 5), default=0.8, show_default=True)
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="The same seed gives the same text."
)
@JSON
def generate(prompt: str, data_dir: Path, as_json: bool, **options: Any) -> None:
    """Let the newest model of the data directory continue PROMPT.

    Example: neuroshard generate "The President"
    """
    from node.commands import generate as command

    command.show(data_dir, prompt, command.Choice(as_json=as_json, **options))


@cli.command()
@click.argument("shell", type=click.Choice(SHELLS))
@JSON
def completion(shell: str, as_json: bool) -> None:
    """Print what lets your SHELL complete commands and options, with a word on where it belongs.

    Example: neuroshard completion bash >> ~/.bashrc
    """
    from node.commands import completion as command

    command.show(cli, shell, as_json)


cli.add_command(archive)
cli.add_command(audit)
cli.add_command(checkpoint)
cli.add_command(light)


cli.add_command(network)
cli.add_command(localnet)
cli.add_command(node)
cli.add_command(wallet)


@cli.group()
def data() -> None:
    """Let a new network train on your own text.

    Example: neuroshard data add books/ --data-dir ~/mine
    """


@data.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@DATA_DIRECTORY
@click.option(
    "--tokenizer",
    type=click.Choice(["train", "shipped"]),
    default="train",
    show_default=True,
    help="Learnt on this text.",
)
@click.option(
    "--profile", type=click.Choice(PROFILES), default="dev", show_default=True, help="The profile you will start with."
)
@JSON
def add(data_dir: Path, files: tuple[Path, ...], tokenizer: str, profile: str, as_json: bool) -> None:
    """Add text FILES, and every .txt and .md in folders, to the corpus of a data directory.

    A network that is then made there trains on this text alone. Files must be UTF-8.

    Example: neuroshard data add books/ letters.txt --data-dir ~/mine
    """
    from node.commands import data as command

    command.add(data_dir, list(files), tokenizer, profile, as_json)


@data.command(name="show")
@DATA_DIRECTORY
@JSON
def show_data(data_dir: Path, as_json: bool) -> None:
    """List the files and documents of a data directory's own corpus.

    Example: neuroshard data show --data-dir ~/mine
    """
    from node.commands import data as command

    command.show(data_dir, as_json)
