"""`neuroshard audit`: ask a running node about the audits of trained work."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from node.commands.calling import address_of_running, request
from node.errors import NodeError
from node.explain_audit import KINDS

PAGE, PAGES = 100, 100  # audits of an answer, and answers asked for
LINE = 100  # characters
NODE_FORM = re.compile("[0-9a-f]{4,64}")


@dataclass(frozen=True, slots=True)
class Asked:
    """How the user asked."""

    data_directory: Path
    api: str | None  # None: of the node that runs on the data directory
    as_json: bool

    def get(self, path: str) -> dict[str, Any]:
        """What the node answers. Raises NodeError."""
        return request(self.api or address_of_running(self.data_directory), "GET", path)


def show(asked: Asked, round_number: int, node: str) -> None:
    """Raises NodeError, in the node's words if it knows no such proof."""
    name = node.lower()
    if not NODE_FORM.fullmatch(name):
        raise NodeError(
            f"NODE is {node!r}: a node's id is wanted, 64 hexadecimal digits, or the first 4 of them or more"
        )
    found = asked.get(f"/v1/rounds/{round_number}/proofs/{name}")
    if asked.as_json:
        click.echo(json.dumps(found))
        return
    width = max(map(len, KINDS))
    click.echo(f"Round {round_number}, node {plain(found.get('node'))}\n{plain(found.get('headline'))}\n")
    before = None
    for statement in found.get("statements", []):
        kind, lines = plain(statement["kind"]), wrapped(plain(statement["text"]), LINE - width - 2)
        click.echo(f"{'' if kind == before else kind:<{width}}  {lines[0]}")
        before = kind
        for line in lines[1:]:
            click.echo(f"{'':<{width}}  {line}")


def list_all(asked: Asked, round_number: int | None) -> None:
    """Raises NodeError."""
    query = f"limit={PAGE}" + ("" if round_number is None else f"&round={round_number}")
    audits: list[dict[str, Any]] = []
    cursor = ""
    for _ in range(PAGES):
        page = asked.get(f"/v1/audits?{query}{cursor}")
        audits += page["audits"]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    if asked.as_json:
        click.echo(json.dumps({"audits": audits}))
        return
    if not audits:
        click.echo("No audit is open." if round_number is None else f"Round {round_number} has no audits.")
        return
    head = ("round", "node", "segment", "state", "attempt", "drawn at", "until")
    rows = [head, *(_row(each) for each in audits)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(head))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _row(audit: dict[str, Any]) -> tuple[str, ...]:
    names = ("round", "node", "segment", "phase", "attempt", "drawn_height", "deadline_height")
    cells = ["-" if audit[name] is None else plain(audit[name]) for name in names]
    cells[1] = cells[1][:16]
    return tuple(cells)


def plain(value: Any) -> str:
    """Text of another program that cannot steer a terminal."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in str(value))


def wrapped(text: str, width: int) -> list[str]:
    """Lines of whole words."""
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
