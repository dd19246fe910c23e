"""Where a wallet token may come from, and how little of it may be seen."""

import os
import sys

import click
from setproctitle import setproctitle

from node.errors import NodeError


def choose(argument: str | None, file: str | None) -> str | None:
    """The token given by argument, file or NEUROSHARD_TOKEN. Raises NodeError if it came twice or is empty."""
    given = [token for token in (argument, file, os.environ.pop("NEUROSHARD_TOKEN", None) or None) if token is not None]
    if len(given) > 1:
        raise NodeError("give the token once: by --token-file, NEUROSHARD_TOKEN or --token")
    if given and not given[0].strip():
        # Taking it for no token at all would silently make a new wallet.
        raise NodeError("the token is empty: give the twelve words, or the path of a keystore")
    if argument:
        setproctitle("neuroshard")  # `node.__main__.hide_secrets` has done so already, where it was the entrance
        sys.argv = ["neuroshard"]
        click.echo(
            "A token on the command line can be read by others on this machine, and stays in your "
            "shell's history: use --token-file.",
            err=True,
        )
    return given[0] if given else None
