"""`neuroshard checkpoint`: its subcommands and their options. What they do is in `node.commands.checkpoint`."""

from pathlib import Path

import click

from node.cli_options import DATA_DIRECTORY, JSON, kind_of


@click.group()
def checkpoint() -> None:
    """Make files of the network's model.

    Example: neuroshard checkpoint assemble model.safetensors
    """


@checkpoint.command()
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--peer",
    type=kind_of("peer"),
    metavar="HOST:PORT",
    multiple=True,
    help="A node to fetch from; give several.  [default: nodes that the data directory's node has met]",
)
@click.option(
    "--network",
    type=kind_of("network"),
    metavar="FILE",
    help="The network's file, where there is no ledger: then the peers prove what the model is.",
)
@click.option(
    "--round", "number", type=click.IntRange(1, 2**63 - 1), help="The model after this round; nodes keep two."
)
@DATA_DIRECTORY
@JSON
def assemble(
    out: Path,
    peer: tuple[tuple[str, int], ...],
    network: Path | None,
    number: int | None,
    data_dir: Path,
    as_json: bool,
) -> None:
    """Rebuild the network's model as the new file OUT, from the pages of several nodes, each page verified.

    The ledger of the data directory says which model it is, whether or not its node is running; with --network, peers
    prove it. The same command again goes on where it was cut short.

    Example: neuroshard checkpoint assemble model.safetensors --peer 203.0.113.7:8430 --peer node.example.org:8430
    """
    from node.commands import checkpoint as command

    command.assemble(command.Choice(out, data_dir, network, tuple(peer), number), as_json)
