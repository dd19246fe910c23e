"""Who may tell a node what to do: whoever can read the token in its data directory. Orders are in `node.api.orders`.

The token is made at the first start and kept. It goes over plain HTTP: to another machine send it through a tunnel.
"""

import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from node.api.faults import Refusal
from node.api.limits import Limits, Rates
from node.data_directory import DataDirectory, write_atomically
from node.errors import NodeError, disk_advice

TOKEN_FILE = "api-token"
TOKEN_BYTES = 32
FAILURES = Limits(requests_per_second=0.1, burst=5)


def open_token(directory: DataDirectory) -> str:
    """The token of a data directory, made if there is none that is whole and a secret. Raises NodeError."""
    path = directory / TOKEN_FILE
    try:
        kept = path.read_text(errors="replace").strip() if path.exists() else ""
        # A file that others could read, as a copy may be, is worth nothing any more.
        if re.fullmatch(f"[0-9a-f]{{{2 * TOKEN_BYTES}}}", kept) and not path.stat().st_mode & 0o077:
            return kept
        made = secrets.token_hex(TOKEN_BYTES)
        write_atomically(path, made.encode() + b"\n", "api-token")
    except OSError as error:
        raise NodeError(f"cannot use {path}: {disk_advice(error)}") from error
    return made


@dataclass(slots=True, repr=False)
class Control:
    """What the program that runs a node lets its operator do beside what the node itself can."""

    token: str
    settings: Mapping[str, Mapping[str, Any]]  # value, source and where, by name
    log_level: Callable[[], str]
    set_log_level: Callable[[str], None]
    stop: Callable[[], None]
    failures: Rates = field(default_factory=lambda: Rates(FAILURES))

    def check(self, request: web.Request) -> None:
        """Raises Refusal 401 without the token, and 429 for one who has guessed too often."""
        if self.is_given(request):
            return
        self.failures.take(request.remote or "")
        raise Refusal(
            401,
            f"this is for the operator: send `Authorization: Bearer TOKEN` with the token in the file {TOKEN_FILE} of "
            "the data directory",
        )

    def is_given(self, request: web.Request) -> bool:
        """Whether a request carries the token; how long the answer takes tells nothing of it."""
        given = request.headers.getall("Authorization", [])
        kind, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        is_same = hmac.compare_digest(token.strip().encode(errors="replace"), self.token.encode())
        return kind.lower() == "bearer" and is_same
