"""`neuroshard wallet`: the terminal, and one click command for each of the wallet's registry. Loaded when asked for."""

import io
import json
import os
import resource
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from node.cli_options import JSON, kind_of
from node.cli_secrets import PASSWORD_FILE, password_of
from node.settings import data_directory

if TYPE_CHECKING:
    from wallet.kinds import Candidate, Kind
    from wallet.registry import Answer, Command

API = click.option(
    "--api", metavar="HOST:PORT", help="API of the node to ask.  [default: the one that runs on the folder]"
)
FOLDER = click.option(
    "--data-dir", type=kind_of("data_dir"), metavar="FOLDER", help="Where the wallet is.  [default: ~/.neuroshard]"
)
SHARED = (FOLDER, API, PASSWORD_FILE)
SHARED_NAMES = ("data_dir", "api", "password_file")
AS_JSON = "neuroshard.wallet.as_json"


class WalletGroup(click.Group):
    """Commands are read from the registry when one of them, or the list, is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from wallet.registry import commands

        return list(commands())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from wallet.line import click_command
        from wallet.registry import commands

        command = commands().get(cmd_name)
        return None if command is None else click_command(command, _callback(command), _shared(), _completed)

    def invoke(self, ctx: click.Context) -> Any:
        """A line that cannot be read is an object too, where one was asked for; what is too much is not repeated."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            from wallet.exit_codes import USAGE
            from wallet.line import told

            if not ctx.meta.get(AS_JSON):
                raise click.UsageError(told(error), error.ctx) from None
            click.echo(json.dumps({"error": {"code": "usage", "message": told(error)}}))
            sys.exit(USAGE)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from wallet.registry import commands, meant

        ctx.meta[AS_JSON] = "--json" in args
        if args and not args[0].startswith("-") and args[0] not in commands():
            raise click.UsageError(f"No such command {args[0]!r}{meant(args[0], commands())}.", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=WalletGroup, invoke_without_command=True)
@FOLDER
@API
@PASSWORD_FILE
@click.pass_context
def wallet(context: click.Context, /, **options: Any) -> None:
    """Look after your NEURO: earn, send, bond, sign.

    Without a command: a terminal that completes what you type. It works with the node of the data directory, or with
    another one named by --api.

    Example: neuroshard wallet send neuro1… 1.5
    """
    context.obj = options
    if context.invoked_subcommand is None:
        from wallet.client import checked_address
        from wallet.repl import start

        directory, api, password = _session_parts(options)
        sys.exit(start(directory, None if api is None else checked_address(api), password))


def _shared() -> list[click.Parameter]:
    """The options of every command, beside its own."""

    @FOLDER
    @API
    @PASSWORD_FILE
    @JSON
    def holder() -> None: ...

    return list(reversed(holder.__click_params__))  # type: ignore[attr-defined]


def _completed(context: click.Context, kind: "Kind[Any]", prefix: str) -> "Iterable[Candidate]":
    """What a shell offers: names, labels, ids of the folder. Nobody is asked, no password is read."""
    from wallet.session import Session
    from wallet.terminal import Terminal

    directory = data_directory(context.params.get("data_dir"), os.environ)
    return kind.complete(prefix, Session(directory, Terminal()))


def _session_parts(options: Mapping[str, Any]) -> tuple[Path, str | None, Callable[[], str | None]]:
    """Folder, API and password. A password from the environment is taken out of it: nothing inherits it."""
    # A program that breaks must not leave the keys in a core file.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    password = password_of(dict(options))
    return data_directory(options["data_dir"], os.environ), options["api"], lambda: password


def _callback(command: "Command") -> Callable[..., None]:
    @click.pass_context
    def run(context: click.Context, /, **given: Any) -> None:
        outer = context.obj or {}
        options = {name: given.pop(name) for name in SHARED_NAMES}
        options = {name: value if value is not None else outer.get(name) for name, value in options.items()}
        as_json = bool(given.pop("as_json"))
        sys.exit(_ended(lambda: _answered(command, given, options, as_json), as_json))

    return run


def _answered(command: "Command", given: Mapping[str, Any], options: Mapping[str, Any], as_json: bool) -> None:
    from wallet.session import Session
    from wallet.terminal import Terminal

    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal of few letters shows ? for the others, and no command fails because of them.
        sys.stdout.reconfigure(errors="replace")
    directory, api, password = _session_parts(options)
    session = Session(directory, Terminal(as_json), api, password)
    try:
        _print(command.call(given, session), as_json)
    finally:
        session.close()


def _print(answer: "Answer", as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(answer.content))
        return
    from rich.console import Console

    # A file or a pipe has no width: ids stay whole there.
    console = Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else 160)
    answer.show(console)
    sys.stdout.flush()  # while a full disk or a closed pipe can still be told


def _ended(work: Callable[[], None], as_json: bool) -> int:
    """Do it; with --json a fault is an object too. What is not told here goes on to `node.ending`."""
    from chain.errors import NeuroError
    from wallet.exit_codes import DONE, INTERRUPTED, exit_code_of

    try:
        work()
    except (KeyboardInterrupt, click.Abort, EOFError):
        click.echo("\nneuroshard: stopped; what was sent already is not lost", err=True)
        return INTERRUPTED
    except (NeuroError, OSError, UnicodeError) as error:
        if not as_json or isinstance(error, BrokenPipeError):
            raise
        code = getattr(error, "code", None) or _snake(type(error).__name__)
        kept = getattr(error, "kept", None)
        fault = {"code": code, "message": str(error)} | ({"transaction": kept} if kept else {})
        click.echo(json.dumps({"error": fault}))
        return exit_code_of(error)
    return DONE


def _snake(name: str) -> str:
    return "".join(f"_{each.lower()}" if each.isupper() else each for each in name).strip("_")
