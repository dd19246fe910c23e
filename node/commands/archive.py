"""`neuroshard archive`: check what is stored."""

import json
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from node.archive import Counts, Replay
from node.commands.opening import network_of, opened
from node.errors import NodeError
from node.key_value import open_key_value
from node.model_store import ModelStore
from node.payload_store import PayloadStore
from node.progress import neuro


def verify(data_directory: Path, as_json: bool) -> None:
    """Replay the ledger of a stopped node and print what was checked. Raises ArchiveDiffers at the first difference."""
    with opened(data_directory) as directory:
        network = network_of(directory)
        if not any((directory / "ledger").iterdir()):
            raise NodeError(
                f"{directory / 'ledger'} is empty: there is nothing to verify. If a node has run here, restore "
                "the whole data directory from a backup; else start one first"
            )
        database = open_key_value(directory / "ledger")
        try:
            with Progress(console=Console(stderr=True), transient=True, disable=as_json) as bars:
                bar = bars.add_task("Replaying", total=None)
                replay = Replay(database, network, PayloadStore(directory / "payloads"))
                counts = replay.run(lambda done, total: bars.update(bar, completed=done, total=total))
            _keep_model(replay, ModelStore(directory / "model", replay.learning))
        finally:
            database.close()
    click.echo(json.dumps({"ok": True, **asdict(counts)}) if as_json else _words(counts))


def _keep_model(replay: Replay, models: ModelStore) -> None:
    """Write down the model that the replay gave, if its file was lost."""
    root = bytes.fromhex(replay.counts.outer_root)
    if replay.model_round and models.find(root) is None:
        models.save(replay.model, replay.model_round, root)


def _words(counts: Counts) -> str:
    return "\n".join(
        (
            f"{counts.blocks} blocks, {counts.certificates} certificates, {counts.proofs} proofs, "
            f"{counts.transactions} transactions",
            f"{counts.rounds_closed} rounds closed, {counts.rounds_void} void, {counts.payloads} payloads replayed",
            f"minted {neuro(str(counts.minted_nanos))}, burned {neuro(str(counts.burned_nanos))}, all "
            "of it owned by somebody",
            f"state root {counts.state_root}",
            f"outer root {counts.outer_root}",
            "OK",
        )
    )
