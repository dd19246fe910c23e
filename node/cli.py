"""Options and subcommands. Each command's body lives in `node.commands`, imported only when it runs."""

from pathlib import Path

import click

from node.errors import NodeError
from node.settings import DEFAULT_DIRECTORY, PROFILES, Settings, usual_threads

DATA_DIRECTORY = click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    default=DEFAULT_DIRECTORY,
    envvar="NEUROSHARD_DATA_DIR",
    show_default="~/.neuroshard",
    help="Where the node keeps wallet, ledger and model.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--token", help="Mnemonic or keystore path of your wallet. Visible to others on this machine: prefer --token-file."
)
@click.option("--token-file", type=click.File("r"), help="File with the token; - reads it from stdin.")
@click.option("--password-file", type=click.File("r"), help="File with the wallet's password.")
@click.option("--no-training", is_flag=True, help="Keep the ledger without training.")
@click.option("--validator", is_flag=True, help="Declare that earned rewards are to be bonded.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto", show_default=True)
@click.option("--threads", type=click.IntRange(1, 1024), help="Threads for training.  [default: all cores]")
@DATA_DIRECTORY
@click.option("--network", "network_file", type=click.Path(path_type=Path), help="Network file to start from.")
@click.option(
    "--profile", type=click.Choice(PROFILES), default="dev", show_default=True, help="Numbers of a new network."
)
@click.option(
    "--api", metavar="HOST:PORT", help="Where to serve status and explorer.  [default: 127.0.0.1:8420 or the next free]"
)
@click.option("--until-round", type=click.IntRange(1), help="Stop after this many closed rounds.")
@JSON
@click.version_option(package_name="neuroshard-node")
@click.pass_context
def cli(context: click.Context, /, **options: object) -> None:
    """Train one shared language model with others and earn NEURO for it.

    Without a command: start a node. The first start makes a wallet and a network of one.

    Example: neuroshard --data-dir ~/node --until-round 3
    """
    if context.invoked_subcommand is not None:
        return
    # Before anything that takes time is imported: a token in the argument list is public until then.
    token = _token(options)
    from node.commands import run

    run.start(_settings(options), token, _read(options["password_file"]), bool(options["as_json"]))


def _settings(options: dict[str, object]) -> Settings:
    return Settings(
        data_directory=Path(str(options["data_dir"])).expanduser().resolve(),
        network_file=options["network_file"],  # type: ignore[arg-type]
        profile=str(options["profile"]),
        training=not options["no_training"],
        validator_intent=bool(options["validator"]),
        device=str(options["device"]),
        threads=options["threads"] or usual_threads(),  # type: ignore[arg-type]
        api=options["api"],  # type: ignore[arg-type]
        until_round=options["until_round"],  # type: ignore[arg-type]
    )


def _read(file: object) -> str | None:
    try:
        return file.read().lstrip("\ufeff").strip() if file is not None else None  # type: ignore[attr-defined]
    except ValueError as error:
        raise NodeError(f"the file is not text in UTF-8: {error}") from error


def _token(options: dict[str, object]) -> str | None:
    from node.commands import token

    return token.choose(options["token"], _read(options["token_file"]))  # type: ignore[arg-type]


@cli.command()
@DATA_DIRECTORY
@JSON
def status(data_dir: Path, as_json: bool) -> None:
    """Ask the running node how it is.

    Example: neuroshard status --json
    """
    from node.commands import status as command

    command.show(data_dir.expanduser(), as_json)


@cli.command()
@click.argument("prompt")
@DATA_DIRECTORY
@click.option("--tokens", type=click.IntRange(1, 10_000), default=80, show_default=True, help="Length of the text.")
@click.option("--temperature", type=click.FloatRange(0, 5), default=0.8, show_default=True)
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="The same seed gives the same text."
)
def generate(prompt: str, data_dir: Path, tokens: int, temperature: float, seed: int) -> None:
    """Let the newest model of the data directory continue PROMPT.

    Example: neuroshard generate "The President"
    """
    from node.commands import generate as command

    command.show(data_dir.expanduser(), prompt, command.Choice(tokens, temperature, seed))


@cli.group()
def archive() -> None:
    """Check the ledger that this node keeps."""


@archive.command()
@DATA_DIRECTORY
@JSON
def verify(data_dir: Path, as_json: bool) -> None:
    """Execute everything again from genesis: certificates, state roots, supply, and the model from the payloads.

    Example: neuroshard archive verify --data-dir ~/node
    """
    from node.commands import archive as command

    command.verify(data_dir.expanduser(), as_json)


@cli.group()
def network() -> None:
    """Make or look at a network file."""


@network.command()
@DATA_DIRECTORY
@JSON
def show(data_dir: Path, as_json: bool) -> None:
    """Print the network of a data directory: chain id, validators, every parameter.

    Example: neuroshard network show --json
    """
    from node.commands import network as command

    command.show(data_dir.expanduser(), as_json)
