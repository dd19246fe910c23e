"""The options that carry secrets, and how they are read."""

import os
from typing import Any

import click

from node.errors import NodeError

TOKEN_FILE = click.option("--token-file", type=click.File("r"), help="File with the token; - reads it from stdin.")
PASSWORD_FILE = click.option("--password-file", type=click.File("r"), help="File with the wallet's password.")


def _read(file: Any) -> str | None:
    try:
        return cleaned(file.read()) if file is not None else None
    except ValueError as error:
        raise NodeError(f"the file is not text in UTF-8: {error}") from error


def cleaned(text: str) -> str:
    """A secret as it was meant: without the end of its line, or the mark that some editors put at the beginning."""
    return text.lstrip("\ufeff").strip()


def password_of(options: dict[str, Any]) -> str | None:
    """The password given by file, else by NEUROSHARD_PASSWORD, which is taken out: the trainer inherits the rest."""
    from_file, variable = _read(options["password_file"]), os.environ.pop("NEUROSHARD_PASSWORD", None)
    given = from_file if from_file is not None else cleaned(variable) if variable else None
    if given == "":
        # Taking it for no password at all would silently make one.
        raise NodeError("the password is empty: write one into the file or NEUROSHARD_PASSWORD, or give none of them")
    return given


def token_of(options: dict[str, Any]) -> str | None:
    """The token given by --token, file or NEUROSHARD_TOKEN. Raises NodeError."""
    from node.commands import token

    return token.choose(options.get("token"), _read(options["token_file"]))
