"""The wallet's terminal: `neuroshard wallet` without a command. Start reading at `wallet.repl.loop`."""

import io
import sys
from collections.abc import Callable
from pathlib import Path


def start(directory: Path, api: str | None, password: Callable[[], str | None]) -> int:
    """Run until the user leaves. The exit status; 2 where there is no terminal to run on."""
    if not (_is_terminal(sys.stdin) and _is_terminal(sys.stdout)):
        print(
            "neuroshard: the wallet's prompt needs a terminal: in a script or a pipe use `neuroshard wallet COMMAND`, "
            "with --json for programs; `neuroshard wallet --help` lists the commands",
            file=sys.stderr,
        )
        return 2
    for stream in (sys.stdout, sys.stderr):
        # A terminal of few letters shows ? for the others, and no command fails because of them.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    from wallet.repl.loop import Loop

    return Loop(directory, api, password).run()


def _is_terminal(stream: object) -> bool:
    try:
        return bool(stream and stream.isatty())  # type: ignore[attr-defined]
    except ValueError:  # closed
        return False
