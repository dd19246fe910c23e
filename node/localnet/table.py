"""One table of all nodes, for people and for programs."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from node.localnet.crew import Member

MIB = 1 << 20
COLUMNS = (
    *("node", "pid", "role", "listens", "API", "height", "finalized", "round", "steps", "loss"),
    *("peers", "balance", "CPU", "RAM"),
)


def row(member: Member) -> dict[str, Any]:
    """What is known of a node."""
    status = member.status
    return {
        "node": member.number,
        "pid": member.process.pid,
        "state": "runs" if member.runs else "ended",
        "end": member.end,
        "role": role(member),
        "listen": member.place.listen,
        "api": member.place.api,
        "height": member.block.get("height", status.get("height", 0)),
        "hash": member.block.get("hash", ""),
        "round": status.get("round", 0),
        "round_phase": status.get("round_phase", "none"),
        "round_line": status.get("round_line", ""),
        "step": status.get("step", 0),
        "steps": status.get("steps", 0),
        "validation_loss": status.get("validation_loss"),
        "model_root": status.get("model_root", ""),
        "peers": status.get("peers", 0),
        "balance_nanos": status.get("balance_nanos", "0"),
        "memory_bytes": member.memory_bytes,
        "cpu_percent": round(member.cpu_percent, 1),
    }


def role(member: Member) -> str:
    standing = str(member.status.get("validator", "–"))
    return {"active": "validator", "none": "observer"}.get(standing, standing)


def table_of(members: Sequence[Member], chain: str) -> Table:
    """The table as it is now. A node that has ended stays in it."""
    table = Table(title=f"localnet {chain}", title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for column in COLUMNS:
        right = column in ("pid", "height", "round", "steps", "loss", "peers", "balance", "CPU", "RAM")
        table.add_column(column, justify="right" if right else "left", no_wrap=True)
    ended: list[tuple[int, str]] = []
    line = ""
    for member in members:
        found = row(member)
        line = line or (str(found["round_line"]) if member.answers else "")
        if not member.runs:
            ended.append((member.number, member.end))
        table.add_row(*_cells(member, found), style=None if member.runs else "red")
    told = [line] * bool(line) + [f"node {number} {words}" for number, words in ended]
    if told:
        table.caption = Text("\n".join(told))  # Not as markup: a node that ends may say anything.
        table.caption_justify = "left"
    return table


def _cells(member: Member, found: dict[str, Any]) -> list[str]:
    role = found["role"] if member.runs else "ended"
    if member.runs and not member.answers:
        role = "starts" if not member.status else "silent"
    whole, part = divmod(int(found["balance_nanos"]), 10**9)
    return [
        str(found["node"]),
        str(found["pid"]),
        role,
        found["listen"],
        _short(found["api"], found["listen"]),
        str(found["height"]),
        found["hash"][:8] or "–",
        str(found["round"]),
        f"{found['step']}/{found['steps']}" if found["step"] else "–",
        "–" if found["validation_loss"] is None else f"{found['validation_loss']:.3f}",
        str(found["peers"]),
        f"{whole}.{part // 10**6:03}",
        f"{found['cpu_percent']:.0f}%" if member.runs else "–",
        f"{found['memory_bytes'] / MIB:.0f}M" if member.runs else "–",
    ]


def _short(api: str, listen: str) -> str:
    """Only the port where the host stands beside it."""
    host, _, port = api.rpartition(":")
    return f":{port}" if host == listen.rpartition(":")[0] else api
