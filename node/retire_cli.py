"""`neuroshard node`: what an operator does with a node's registration."""

from pathlib import Path
from typing import Any

import click

from node.cli_options import DATA_DIRECTORY, JSON
from node.cli_secrets import PASSWORD_FILE, TOKEN_FILE, password_of, token_of


@click.group()
def node() -> None:
    """Change the registration of a node.

    Example: neuroshard node retire --data-dir ~/node
    """


@node.command()
@DATA_DIRECTORY
@TOKEN_FILE
@PASSWORD_FILE
@click.option("--api", metavar="HOST:PORT", help="API of the node to ask.  [default: the one that runs on the folder]")
@click.option("--max-fee", type=click.IntRange(0, 2**63), default=100, show_default=True, help="Nanos a unit of gas.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the signed transaction here; do not hand it in.")
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask whether you are sure.")
@JSON
def retire(data_dir: Path, as_json: bool, **options: Any) -> None:
    """End the registration of a data directory's node for ever.

    Rounds wait for it no longer, it earns nothing more, and what it earned goes on vesting. The wallet pays the fee.

    Example: neuroshard node retire --data-dir ~/old --api 127.0.0.1:8420
    """
    from node.commands import retire as command
    from node.wallet_files import Secrets

    given = Secrets(token_of(options), password_of(options))
    wish = command.Wish(options["api"], options["max_fee"], options["out"], options["is_sure"])
    command.retire(data_dir, given, wish, as_json)
