"""Asking a node's API. Whatever comes back is a stranger's bytes: bounded in size and time, then read by `Answered`."""

import http.client
import json
import math
import re
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlencode

from wallet.answered import Answered
from wallet.errors import BadAnswer, BadValue, NodeAway, Refused
from wallet.plain import plain

SECONDS = 5  # for each step on the wire
SECONDS_IN_ALL = 20  # for an answer, however it trickles
ANSWER_BYTES_MAXIMUM = 4 << 20
DEFAULT_ADDRESS = "127.0.0.1:8420"
_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253}):(?P<port>[0-9]{1,5})", re.ASCII)
Query = Mapping[str, str | int | None]


def checked_address(text: str) -> str:
    """HOST:PORT as a user writes it. Raises BadValue."""
    address = text.strip().removeprefix("http://").rstrip("/")
    found = _ADDRESS.fullmatch(address)
    if found is None or not 1 <= int(found["port"]) <= 65_535:
        raise BadValue(f"{plain(text)!r} is no address of an API: write HOST:PORT, such as {DEFAULT_ADDRESS}")
    return address


def is_this_machine(address: str) -> bool:
    """Whether only this machine can answer there."""
    host = address.rpartition(":")[0]
    return host in ("localhost", "[::1]") or re.fullmatch(r"127(\.[0-9]{1,3}){3}", host) is not None


class Client:
    """One connection to one node, kept open between questions and for one thread. Raises ApiError."""

    def __init__(self, address: str) -> None:
        self.address = checked_address(address)
        self._connection: http.client.HTTPConnection | None = None
        self._socket: socket.socket | None = None  # the connection lets go of it when the node wants to close

    def get(self, path: str, query: Query | None = None) -> Answered:
        """The answer for a path that is quoted already; fields of the query that are None stay away."""
        fields = {name: value for name, value in (query or {}).items() if value is not None}
        return self.ask("GET", f"{path}?{urlencode(fields)}" if fields else path)

    def submit(self, raw: bytes) -> Answered:
        """Hand in a signed transaction. The same once more is answered alike."""
        return self.ask("POST", "/v1/transactions", json.dumps({"transaction": raw.hex()}))

    def ask(self, method: str, path: str, body: str | None = None) -> Answered:
        """The JSON object of a good answer. Raises Refused with the node's words for any other."""
        status, content = self._exchanged(method, path, body)
        answer = object_of(content)
        if answer is None:
            raise BadAnswer(f"another program answers at {self.address}: name a node's API with --api HOST:PORT")
        if not 200 <= status < 300:
            raise refusal(answer, status)
        return Answered(answer, f"the node at {self.address}, {path.partition('?')[0]}")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchanged(self, method: str, path: str, body: str | None) -> tuple[int, bytes]:
        is_new = self._connection is None
        try:
            return self._exchange(method, path, body)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            # A node closes what has been idle for long. Whatever is asked here may be asked twice.
            if not is_new and isinstance(error, ConnectionError | http.client.HTTPException):
                return self._exchanged(method, path, body)
            raise self._away(error) from error

    def _exchange(self, method: str, path: str, body: str | None) -> tuple[int, bytes]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self.address, timeout=SECONDS)
        connection = self._connection
        watch = threading.Timer(SECONDS_IN_ALL, self._cut)
        watch.daemon = True
        watch.start()
        try:
            if connection.sock is None:
                connection.connect()
            self._socket = connection.sock
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            answer = connection.getresponse()
            content = answer.read(ANSWER_BYTES_MAXIMUM + 1)
        finally:
            watch.cancel()
        if len(content) > ANSWER_BYTES_MAXIMUM:
            self.close()
            raise BadAnswer(f"the answer of {self.address} has more than {ANSWER_BYTES_MAXIMUM >> 20} MiB")
        if answer.length:
            raise http.client.IncompleteRead(content, answer.length)
        return answer.status, content

    def _cut(self) -> None:
        """End an answer that trickles: the one who reads it sees a closed connection."""
        with suppress(OSError):
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)

    def _away(self, error: Exception) -> NodeAway:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return NodeAway(
            f"no node answers at {self.address} ({plain(reason)}): start one with `neuroshard`, or name another's "
            "with --api HOST:PORT"
        )


def object_of(content: bytes) -> dict[str, Any] | None:
    """The JSON object in bytes; None if they are none, or hold a number that JSON cannot tell."""
    try:
        found = json.loads(content, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("JSON has no such number")
    return number


def refusal(answer: Mapping[str, Any], status: int) -> Refused:
    """What a node says with an error's status."""
    fault = answer.get("error")
    fault = fault if isinstance(fault, dict) else {}
    code, message = fault.get("code"), fault.get("message")
    words = plain(message, 2_000) if isinstance(message, str) else f"it answers with status {status}"
    return Refused(plain(code) if isinstance(code, str) else "unknown", f"the node refuses: {words}", status)


def in_path(text: str) -> str:
    """A word as a part of a path."""
    return quote(text, safe="")
