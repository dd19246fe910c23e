"""`neuroshard audit`: what was claimed, what was checked, by whom, and what is still only claimed."""

from pathlib import Path

import click

from node.cli_options import DATA_DIRECTORY, JSON

API = click.option(
    "--api", metavar="HOST:PORT", help="API of the node to ask.  [default: the one that runs on the folder]"
)


@click.group()
def audit() -> None:
    """Look at the audits of trained work.

    Example: neuroshard audit list
    """


@audit.command()
@click.argument("round_number", metavar="ROUND", type=click.IntRange(1, 2**64 - 1))
@click.argument("node")
@API
@DATA_DIRECTORY
@JSON
def show(round_number: int, node: str, api: str | None, data_dir: Path, as_json: bool) -> None:
    """Tell in plain words what NODE claimed in ROUND, what was checked, and by whom.

    NODE is its id or the first digits of it, at least four.

    Example: neuroshard audit show 12 5f3a9c
    """
    from node.commands import audit as command

    command.show(command.Asked(data_dir, api, as_json), round_number, node)


@audit.command(name="list")
@click.option(
    "--round", "round_number", type=click.IntRange(1, 2**64 - 1), metavar="N", help="All audits of this round."
)
@API
@DATA_DIRECTORY
@JSON
def list_audits(round_number: int | None, api: str | None, data_dir: Path, as_json: bool) -> None:
    """List the audits that are open, or all of one round.

    Example: neuroshard audit list --round 12
    """
    from node.commands import audit as command

    command.list_all(command.Asked(data_dir, api, as_json), round_number)
