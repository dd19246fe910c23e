"""The command line: `neuroshard` starts a node, its subcommands ask and check."""

import os
import sys

from node.cli import cli


def main() -> None:
    """Run the command line; a fault told in words ends with status 1, a wrong call with 2."""
    from chain.errors import NeuroError
    from training.errors import TrainingError

    os.umask(0o077)  # What a node writes is its owner's alone, also in a directory that others may enter.
    try:
        cli(standalone_mode=True)
    except (NeuroError, TrainingError, OSError, UnicodeError) as error:
        print(f"neuroshard: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
