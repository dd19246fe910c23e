"""`neuroshard light`: its options and subcommands. What they do is in `node.commands.light`."""

from pathlib import Path
from typing import Any

import click

from node.cli_options import JSON, kind_of

FOLDER = "~/.neuroshard-light"


@click.group()
@click.option("--network", type=kind_of("network"), metavar="FILE", help="The network's file.")
@click.option(
    "--peer", type=kind_of("peer"), metavar="HOST:PORT", multiple=True, help="A node to ask; give two or more."
)
@click.option(
    "--checkpoint",
    type=kind_of("checkpoint"),
    metavar="HEIGHT:HASH",
    help="The last block of an epoch that you trust, to begin with; needed where what is known is too old.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    default=FOLDER,
    show_default=True,
    help="Where it is kept what has been verified.",
)
@click.option("--seconds", type=click.IntRange(1, 3_600), default=30, show_default=True, help="To wait for peers.")
@click.pass_context
def light(
    context: click.Context,
    network: Path | None,
    peer: tuple[tuple[str, int], ...],
    checkpoint: tuple[int, bytes] | None,
    data_dir: Path,
    seconds: int,
) -> None:
    """Verify a network's newest block and read from its ledger, without a ledger of your own.

    Peers are believed nothing: certificates are checked from the network file or the checkpoint on, values are proven
    against a certified block. Give two peers or more, so that one's word can be compared with the others'.

    Example: neuroshard light --network ours.network --peer node.example.org:8430 status
    """
    context.obj = network, tuple(peer), checkpoint, data_dir.expanduser(), seconds


def _choice(context: click.Context) -> Any:
    """What was chosen. Asked for by the commands, so that their help can be read without it."""
    from node.commands.light import Choice

    network, peers, *more = context.obj
    if network is None or not peers:
        raise click.UsageError("give the network's file with --network, and peers with --peer HOST:PORT")
    return Choice(network, peers, *more)


@light.command(name="status")
@JSON
@click.pass_context
def light_status(context: click.Context, as_json: bool) -> None:
    """Show the newest final block that the peers can prove.

    Example: neuroshard light --network ours.network --peer node.example.org:8430 status --json
    """
    from node.commands import light as command

    command.status(_choice(context), as_json)


@light.command()
@click.argument("address")
@JSON
@click.pass_context
def account(context: click.Context, address: str, as_json: bool) -> None:
    """Show the balance of ADDRESS at the newest final block, with its proof verified.

    Example: neuroshard light --network ours.network --peer node.example.org:8430 account neuro1…
    """
    from node.commands import light as command

    command.account(_choice(context), address, as_json)
