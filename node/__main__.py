"""The command line: `neuroshard` starts a node, its subcommands ask and check."""

import os
import sys
import traceback
from types import TracebackType


def main() -> None:
    """Run the command line; a fault told in words ends with status 1, a wrong call with 2."""
    sys.excepthook = _tell
    try:
        from chain.errors import NeuroError
        from node.backends import choose
        from node.cli import cli
        from training.errors import TrainingError
    except ModuleNotFoundError as error:
        sys.exit(
            f"neuroshard: the package {error.name} is missing: install the program again; "
            "`python -m node.doctor` says what else is"
        )
    os.umask(0o077)  # What a node writes is its owner's alone, also in a directory that others may enter.
    try:
        choose(os.environ)
        cli(standalone_mode=True)
    except (NeuroError, TrainingError, OSError, UnicodeError) as error:
        print(f"neuroshard: {error}", file=sys.stderr)
        sys.exit(1)


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What nobody expected: in a sentence if the log has the rest, else as Python shows it."""
    if kind is KeyboardInterrupt:
        return  # Ctrl-C while the program was still being loaded
    notes = getattr(error, "__notes__", [])
    if notes and isinstance(error, Exception):
        print(
            f"neuroshard: an unexpected error ({kind.__name__}: {error}); {notes[-1]}: please report it",
            file=sys.stderr,
        )
    else:
        traceback.print_exception(kind, error, trace)


if __name__ == "__main__":
    main()
