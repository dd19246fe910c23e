"""`neuroshard status`: ask the running node of a data directory."""

import http.client
import json
from pathlib import Path
from typing import Any

import click

from node.data_directory import read_json
from node.errors import NodeError, NoNode

SECONDS = 5
PAGE_BYTES_MAXIMUM = 1 << 20


def ask(directory: Path, path: str = "/v1/status") -> dict[str, Any]:
    """What the API of the node that runs on `directory` answers. Raises NoNode if none does."""
    note = read_json(directory / "api.json")
    if note is None or not isinstance(note.get("address"), str):
        raise NoNode(f"no node is running on {directory}: start one with `neuroshard --data-dir {directory}`")
    address = note["address"]
    try:
        answer = _get(address, path)
        status = answer if path == "/v1/status" else _get(address, "/v1/status")
    except http.client.InvalidURL as error:
        raise NodeError(f"{directory / 'api.json'} is damaged ({error}): start the node again") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise NoNode(
            f"the node at {address} does not answer ({error}): it may have been killed; start it again"
        ) from error
    if not (isinstance(answer, dict) and isinstance(status, dict)) or status.get("chain_id") != note.get("chain_id"):
        raise NoNode(f"another program answers at {address}: the node has ended; start it again")
    return answer


def _get(address: str, path: str) -> Any:
    connection = http.client.HTTPConnection(address, timeout=SECONDS)
    try:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read(PAGE_BYTES_MAXIMUM))
    finally:
        connection.close()


def show(directory: Path, as_json: bool) -> None:
    answer = ask(directory)
    if as_json:
        click.echo(json.dumps(answer))
        return
    if isinstance(line := answer.get("round_line"), str):
        click.echo(f"{line}\n")
    width = max(map(len, answer))
    for name, value in answer.items():
        shown = "-" if value == "" else value
        click.echo(f"{name:<{width}}  {shown}")
