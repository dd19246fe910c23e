"""The command line: `neuroshard` starts a node, its subcommands ask and check. Exit codes: docs/cli.md."""

import os
import sys
import traceback
from types import TracebackType

SECRET_VARIABLES = ("NEUROSHARD_TOKEN", "NEUROSHARD_PASSWORD")


def main() -> None:
    """Run the command line; what goes wrong is told in words on stderr, and its kind is the exit status."""
    hide_secrets()
    sys.excepthook = _tell
    try:
        from node.backends import choose
        from node.cli import cli
        from node.ending import ended
    except ModuleNotFoundError as error:
        sys.exit(
            f"neuroshard: the package {error.name} is missing: install the program again; "
            "`python -m node.doctor` says what else is"
        )
    os.umask(0o077)  # What a node writes is its owner's alone, also in a directory that others may enter.

    def work() -> object:
        choose(os.environ)
        return cli(standalone_mode=False)

    sys.exit(ended(work))


def hide_secrets() -> None:
    """Overwrite what everybody may read of this process, before anything that takes time: python has its own copy.

    The list of arguments is public, and the first environment can be read by whoever may look into the process.
    """
    is_argument = any(word == "--token" or word.startswith("--token=") for word in sys.argv)
    if not is_argument and not any(name in os.environ for name in SECRET_VARIABLES):
        return
    try:
        from setproctitle import setproctitle
    except ImportError:
        return  # What is missing is told by whoever needs it next.
    setproctitle("neuroshard")
    sys.orig_argv[:] = ["neuroshard"]


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
