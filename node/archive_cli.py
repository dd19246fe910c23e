"""`neuroshard archive`: its subcommands and their options. What they do is in `node.commands`."""

from pathlib import Path

import click

from node.cli_options import DATA_DIRECTORY, JSON, kind_of

NEW_FOLDER = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
KEEP_EPOCHS = 100


@click.group()
def archive() -> None:
    """Check, replay, export, prune, repair and copy the ledger that a stopped node keeps.

    Example: neuroshard archive verify --data-dir ~/node
    """


@archive.command()
@click.option("--weights", is_flag=True, help="Fail unless every payload is here and the weights are made again.")
@DATA_DIRECTORY
@JSON
def verify(weights: bool, data_dir: Path, as_json: bool) -> None:
    """Execute everything again from genesis: certificates, state roots, supply, and the model from the payloads.

    Where payloads are not kept, the file of the model is checked instead. A pruned ledger is verified as far as it
    goes: headers, certificates, the whole state, and the bodies that are kept.

    Example: neuroshard archive verify --data-dir ~/node
    """
    from node.commands import archive as command

    command.verify(data_dir, weights, as_json)


@archive.command()
@click.option(
    "--peer",
    type=kind_of("peer"),
    metavar="HOST:PORT",
    multiple=True,
    help="A node to fetch from; best one that runs with --archive.  [default: nodes that this one has met]",
)
@DATA_DIRECTORY
@JSON
def fetch(peer: tuple[tuple[str, int], ...], data_dir: Path, as_json: bool) -> None:
    """Fetch the payloads of past rounds that are missing here, so that `verify --weights` can make the model again.

    Every page is verified, so it does not matter whom it comes from. The same command again goes on where it was cut
    short; status 1 if nobody had some of them.

    Example: neuroshard archive fetch --peer 203.0.113.7:8430 --data-dir ~/node
    """
    from node.commands import archive_fetch as command

    command.fetch(data_dir, peer, as_json)


@archive.command()
@click.option("--to", "height", type=int, required=True, metavar="HEIGHT", help="The last block that is executed.")
@DATA_DIRECTORY
@JSON
def replay(height: int, data_dir: Path, as_json: bool) -> None:
    """Execute everything from genesis up to a HEIGHT and print state root, model, supply and counts there.

    Example: neuroshard archive replay --to 1000 --json
    """
    from node.commands import archive as command

    command.replay(data_dir, height, as_json)


@archive.command()
@click.option(
    "--format", "form", type=click.Choice(["parquet"]), default="parquet", show_default=True, help="Kind of the files."
)
@NEW_FOLDER
@DATA_DIRECTORY
@JSON
def export(form: str, folder: Path, data_dir: Path, as_json: bool) -> None:
    """Write blocks, transactions, proofs, rewards and rounds as tables into the new folder DIR.

    Example: neuroshard archive export --format parquet tables
    """
    from node.commands import archive as command

    command.export(data_dir, folder, as_json)


@archive.command()
@click.option(
    "--keep-epochs",
    type=click.IntRange(1, 2**48),
    default=KEEP_EPOCHS,
    show_default=True,
    help="Full epochs before the running one whose blocks are kept whole.",
)
@DATA_DIRECTORY
@JSON
def prune(keep_epochs: int, data_dir: Path, as_json: bool) -> None:
    """Forget the bodies of old blocks and the payloads of released rounds, and give the space back to the disk.

    Headers, certificates, the state and what wallets earned by the day stay: the node goes on, but cannot replay from
    genesis any more, nor tell what happened to a wallet before.

    Example: neuroshard archive prune --keep-epochs 100 --data-dir ~/node
    """
    from node.commands import archive as command

    command.prune(data_dir, keep_epochs, as_json)


@archive.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be repaired.")
@DATA_DIRECTORY
@JSON
def fsck(dry_run: bool, data_dir: Path, as_json: bool) -> None:
    """Make damaged indexes again from the blocks, and name what cannot be repaired; status 1 if anything is left.

    An index of wallets' receipts that begins in the middle, because an older program wrote the blocks before, is
    completed.

    Example: neuroshard archive fsck --dry-run
    """
    from node.commands import archive as command

    command.fsck(data_dir, dry_run, as_json)


@archive.command()
@NEW_FOLDER
@DATA_DIRECTORY
@JSON
def snapshot(folder: Path, data_dir: Path, as_json: bool) -> None:
    """Write state and model at the tip into the new folder DIR, as files that prove themselves.

    Example: neuroshard archive snapshot /mnt/stick/snapshot --data-dir ~/node
    """
    from node.commands import snapshot as command

    command.make(data_dir, folder, as_json)


@archive.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--trust", metavar="HASH", help="Hash of the tip block from somebody you trust; refuse any other.")
@DATA_DIRECTORY
@JSON
def restore(folder: Path, trust: str | None, data_dir: Path, as_json: bool) -> None:
    """Make a new data directory from the snapshot in DIR. A run that was cut short goes on where it was.

    Example: neuroshard archive restore /mnt/stick/snapshot --data-dir ~/new-node
    """
    from node.commands import snapshot as command

    command.restore(folder, trust, data_dir, as_json)
