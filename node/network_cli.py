"""`neuroshard network` and `neuroshard localnet`: a network's file, and a network of many nodes on one machine."""

from pathlib import Path
from typing import Any

import click

from node.cli_options import DATA_DIRECTORY, JSON
from node.cli_secrets import PASSWORD_FILE, TOKEN_FILE, password_of, token_of
from node.settings import PROFILES

SET = click.option(
    "--set",
    "numbers",
    metavar="NAME=N",
    multiple=True,
    help="Another number for a parameter, such as chain.epoch_blocks=120; may be given several times.",
)


def _given(options: dict[str, Any]) -> Any:
    from node.wallet_files import Secrets

    return Secrets(token_of(options), password_of(options))


@click.group()
def network() -> None:
    """Make or look at a network file.

    Example: neuroshard network show
    """


@network.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@DATA_DIRECTORY
@JSON
def show(file: Path | None, data_dir: Path, as_json: bool) -> None:
    """Print a network: chain id, bootstrap validators, every parameter, and how to join it.

    It is the one of FILE, or else of the data directory.

    Example: neuroshard network show ours.network
    """
    from node.commands import network as command

    command.show(data_dir, file, as_json)


@network.command()
@DATA_DIRECTORY
@TOKEN_FILE
@PASSWORD_FILE
@JSON
def key(data_dir: Path, as_json: bool, **options: Any) -> None:
    """Print your wallet's record as a bootstrap validator, for somebody who makes a network with you.

    The record is public. A wallet is made in the data directory if there is none.

    Example: neuroshard network key > mine.record
    """
    from node.commands import network as command

    command.key(data_dir, _given(options), as_json)


@network.command()
@click.option("--name", help="Name of the network, up to 64 bytes.  [default: the template's]")
@click.option("--profile", default="dev", type=click.Choice(PROFILES), show_default=True, help="Numbers to begin with.")
@click.option(
    "--validator",
    "validators",
    metavar="RECORD",
    multiple=True,
    help="A bootstrap validator: what `network key` printed, or a file with it; up to seven, instead of your wallet.",
)
@SET
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="Where to write the network file.")
@DATA_DIRECTORY
@TOKEN_FILE
@PASSWORD_FILE
@JSON
def create(data_dir: Path, out: Path, as_json: bool, **options: Any) -> None:
    """Make the file of a new network: your wallet is its bootstrap validator, or those of the given records are.

    Text of your own that was added with `data add` becomes its corpus.

    Example: neuroshard network create --name ours --validator a.record --validator b.record -o ours.network
    """
    from node.commands import network as command

    given = _given(options)
    wishes = command.Wishes(options["name"], options["profile"], options["validators"], options["numbers"])
    command.create(data_dir, wishes, given, out, as_json)


@click.command()
@click.option("--nodes", type=click.IntRange(1, 64), help="How many nodes run.  [default: 4, or as before]")
@click.option(
    "--validators",
    type=click.IntRange(1, 7),
    help="How many of them are bootstrap validators.  [default: 4, or all if there are fewer nodes]",
)
@click.option(
    "--hosts",
    type=click.Choice(["loopback", "netns"]),
    default="loopback",
    show_default=True,
    help="On ports of this machine, or each in a network namespace (Linux, root).",
)
@click.option("--profile", type=click.Choice(PROFILES), help="Numbers of a new network.  [default: lab]")
@SET
@click.option("--training/--no-training", default=True, help="Train on every node, or keep the ledger only.")
@click.option("--bond/--no-bond", default=False, help="The other nodes bond what they earn, and then validate.")
@click.option("--until-height", type=click.IntRange(1), help="Stop when all have this block.  [default: never]")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    default=Path("~/.neuroshard-localnet"),
    show_default=True,
    metavar="FOLDER",
    help="Where the network is kept, and gone on with the next time.",
)
@JSON
def localnet(data_dir: Path, as_json: bool, **options: Any) -> None:
    """Run a network of many nodes on this machine, and show them in one table. Ctrl-C stops all.

    With --json: one object at the end; where each node listens stands in FOLDER/localnet.json while they run.

    Example: neuroshard localnet --nodes 4 --no-training
    """
    from node.commands import localnet as command
    from node.localnet.plan import Wishes

    wishes = Wishes(options["nodes"], options["validators"], options["profile"], options["numbers"])
    how = command.Options(options["hosts"], options["training"], options["bond"], options["until_height"], as_json)
    command.start(data_dir.expanduser().resolve(), wishes, how)
