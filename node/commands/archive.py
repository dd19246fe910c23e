"""`neuroshard archive`: check what is stored."""

import json
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from chain.genesis import parse_network
from node.archive import Counts, Replay
from node.commands.opening import opened
from node.key_value import open_key_value
from node.payload_store import PayloadStore
from node.progress import neuro


def verify(data_directory: Path, as_json: bool) -> None:
    """Replay the ledger of a stopped node and print what was checked. Raises ArchiveDiffers at the first difference."""
    with opened(data_directory) as directory:
        network = parse_network((directory / "network").read_bytes())
        database = open_key_value(directory / "ledger")
        try:
            with Progress(console=Console(stderr=True), transient=True, disable=as_json) as bars:
                bar = bars.add_task("Replaying", total=None)
                replay = Replay(database, network, PayloadStore(directory / "payloads"))
                counts = replay.run(lambda done, total: bars.update(bar, completed=done, total=total))
        finally:
            database.close()
    click.echo(json.dumps({"ok": True, **asdict(counts)}) if as_json else _words(counts))


def _words(counts: Counts) -> str:
    return "\n".join(
        (
            f"{counts.blocks} blocks, {counts.certificates} certificates, {counts.proofs} proofs, {counts.transactions} transactions",
            f"{counts.rounds_closed} rounds closed, {counts.rounds_void} void, {counts.payloads} payloads replayed",
            f"minted {neuro(str(counts.minted_nanos))}, burned {neuro(str(counts.burned_nanos))}, all of it owned by somebody",
            f"state root {counts.state_root}",
            f"outer root {counts.outer_root}",
            "OK",
        )
    )
