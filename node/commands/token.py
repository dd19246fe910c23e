"""Where a wallet token may come from, and how little of it may be seen."""

import os
import sys

import click
from setproctitle import setproctitle

from node.errors import NodeError


def choose(argument: str | None, file: str | None) -> str | None:
    """The token given by argument, file or NEUROSHARD_TOKEN. Raises NodeError if it came twice."""
    given = [token for token in (argument, file, os.environ.pop("NEUROSHARD_TOKEN", None)) if token]
    if len(given) > 1:
        raise NodeError("give the token once: by --token-file, NEUROSHARD_TOKEN or --token")
    if argument:
        # The argument list is public on most systems: overwrite it as early as possible.
        setproctitle("neuroshard")
        sys.argv = ["neuroshard"]
        click.echo(
            "A token on the command line can be read by others on this machine, and stays in your "
            "shell's history: use --token-file.",
            err=True,
        )
    return given[0] if given else None
