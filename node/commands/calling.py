"""Asking the API of a node that runs here or elsewhere."""

import http.client
import json
from pathlib import Path
from typing import Any

from node.commands.status import PAGE_BYTES_MAXIMUM, SECONDS, ask
from node.data_directory import read_json
from node.errors import NodeError, NoNode


def address_of_running(data_directory: Path) -> str:
    """Where the node listens that runs on a data directory. Raises NoNode if none does."""
    ask(data_directory)
    note: Any = read_json(data_directory / "api.json")
    return str(note["address"])


def request(address: str, method: str, path: str, body: str | None = None) -> dict[str, Any]:
    """The answer of a node's API. Raises NodeError, in the node's own words if it refuses."""
    try:
        connection = http.client.HTTPConnection(address, timeout=SECONDS)
        headers = {"Content-Type": "application/json"} if body else {}
        connection.request(method, path, body, headers)
        answered = connection.getresponse()
        answer = json.loads(answered.read(PAGE_BYTES_MAXIMUM))
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise NoNode(
            f"no node answers at {address} ({error}): start one, or name another's API with --api HOST:PORT"
        ) from error
    if not isinstance(answer, dict):
        raise NoNode(f"another program answers at {address}: name a node's API with --api HOST:PORT")
    if answered.status >= 400:
        fault = answer.get("error")
        raise NodeError(f"the node at {address} refuses: {fault.get('message') if isinstance(fault, dict) else answer}")
    return answer
