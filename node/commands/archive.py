"""`neuroshard archive`: verify, replay, export, prune and repair the ledger of a stopped node."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress as Bars

from chain.genesis import Network
from node.archive import PAYLOADS_ADVICE, Counts, Replay, check_whole
from node.archive_fsck import Finding, Fsck
from node.archive_prune import last_prunable
from node.archive_prune import prune as prune_store
from node.archive_pruned import PrunedCheck, PrunedCounts, check_model_file
from node.archive_stored import Progress
from node.commands.opening import network_of, opened
from node.data_directory import DataDirectory
from node.errors import NodeError
from node.key_value import KeyValue, open_key_value
from node.model_store import ModelStore
from node.payload_store import PayloadStore
from node.progress import neuro
from node.store import CHAIN, PRUNED, SCHEMA_KEY, Store, upgraded
from node.template import Learning


@dataclass(frozen=True, slots=True)
class Stopped:
    """The ledger of a stopped node, open and locked."""

    directory: DataDirectory
    network: Network
    database: KeyValue

    @property
    def payloads(self) -> PayloadStore:
        return PayloadStore(self.directory / "payloads")

    @property
    def models(self) -> ModelStore:
        return ModelStore(self.directory / "model", Learning.of(self.network))


@contextmanager
def stopped(data_directory: Path) -> Iterator[Stopped]:
    """Raises NodeError if a node runs there, or there is no ledger."""
    with opened(data_directory) as directory:
        network = network_of(directory)
        if not any((directory / "ledger").iterdir()):
            raise NodeError(
                f"{directory / 'ledger'} is empty: there is nothing to verify or to work on. If a node has run here, "
                "restore the whole data directory from a backup; else start one first"
            )
        database = open_key_value(directory / "ledger")
        try:
            if database.get(CHAIN) is not None and not upgraded(database):
                raise NodeError(
                    f"the ledger has schema {database.get(SCHEMA_KEY)!r}, which this program does not know: use the "
                    "one that wrote it"
                )
            yield Stopped(directory, network, database)
        finally:
            database.close()


@contextmanager
def watched(words: str, as_json: bool) -> Iterator[Progress]:
    """A bar on stderr."""
    with Bars(console=Console(stderr=True), transient=True, disable=as_json) as bars:
        bar = bars.add_task(words, total=None)
        yield lambda done, total: bars.update(bar, completed=done, total=total)


def verify(data_directory: Path, needs_weights: bool, as_json: bool) -> None:
    """Replay the ledger of a stopped node and print what was checked. Raises ArchiveDiffers at the first difference.

    `needs_weights`: raises PayloadsNotKept too, if the weights cannot be made again.
    """
    with stopped(data_directory) as node, watched("Replaying", as_json) as progress:
        if node.database.get(PRUNED) is not None:
            if needs_weights:
                check_whole(node.database)
            found = PrunedCheck(node.database, node.network, node.payloads, node.models).run(progress)
            tell({"ok": True, **asdict(found)}, _pruned_words(found), as_json)
            return
        replayed = Replay(node.database, node.network, node.payloads)
        replayed.may_lack = not needs_weights
        counts = replayed.run(progress)
        if counts.payloads_missing:
            check_model_file(node.models, node.network, replayed.state)
        else:
            _keep_model(replayed, node.models)
    tell({"ok": True, "weights_rebuilt": not counts.payloads_missing, **asdict(counts)}, _words(counts), as_json)


def _keep_model(replayed: Replay, models: ModelStore) -> None:
    """Write down the model that the replay gave, if its file was lost."""
    root = bytes.fromhex(replayed.counts.outer_root)
    if replayed.model_round and replayed.model is not None and models.find(root) is None:
        models.save(replayed.model, replayed.model_round, root)


def replay(data_directory: Path, height: int, as_json: bool) -> None:
    """Replay up to a height and print what was there. Raises ArchiveDiffers or NodeError."""
    with stopped(data_directory) as node, watched("Replaying", as_json) as progress:
        replayed = Replay(node.database, node.network, node.payloads)
        replayed.follow(height, progress)
    facts = facts_of(replayed)
    tell(facts, _fact_words(facts), as_json)


def facts_of(replayed: Replay) -> dict[str, Any]:
    """What a replay found at the height where it stopped."""
    state, parent, counts = replayed.state, replayed.parent, replayed.counts
    ledger, supply = state.ledger, state.supply
    kinds = ("minted", "burned", "circulating", "balances", "bonded", "unbonding", "vesting", "escrow", "deposits")
    return {
        "height": parent.height,
        "block_hash": parent.hash.hex(),
        "time_ms": parent.time_ms,
        "epoch": parent.epoch,
        "state_root": parent.state_root.hex(),
        "outer_root": ledger.model.outer_root.hex(),
        "model_root": ledger.model.model_root.hex(),
        "supply_nanos": {kind: str(getattr(supply, kind)) for kind in kinds},
        "blocks": counts.blocks,
        "certificates": counts.certificates,
        "transactions": counts.transactions,
        "proofs": counts.proofs,
        "rounds_closed": counts.rounds_closed,
        "rounds_void": counts.rounds_void,
        "payloads": counts.payloads,
        "accounts": sum(key[:1] == b"a" for key in replayed.flat),
        "nodes": ledger.nodes,
        "tokens": ledger.tokens,
    }


def _fact_words(facts: dict[str, Any]) -> str:
    supply = facts["supply_nanos"]
    parts = ", ".join(f"{kind} {neuro(amount)}" for kind, amount in supply.items() if int(amount) or kind == "minted")
    return "\n".join(
        (
            f"height {facts['height']}, block {facts['block_hash']}",
            f"{facts['blocks']} blocks, {facts['certificates']} certificates, {facts['proofs']} proofs, "
            f"{facts['transactions']} transactions",
            f"{facts['rounds_closed']} rounds closed, {facts['rounds_void']} void, {facts['payloads']} payloads "
            f"replayed; {facts['accounts']} accounts, {facts['nodes']} nodes",
            parts,
            f"state root {facts['state_root']}",
            f"outer root {facts['outer_root']}",
            f"model root {facts['model_root']}",
        )
    )


def export(data_directory: Path, folder: Path, as_json: bool) -> None:
    """Write the ledger as tables. Raises ArchiveDiffers or NodeError."""
    try:
        from node.archive_export import export as write
    except ImportError as error:
        raise NodeError(f"the tables need pyarrow, which is not installed here ({error}): install it") from error
    with stopped(data_directory) as node, watched("Exporting", as_json) as progress:
        rows = write(node.database, node.network, folder, progress)
    words = [f"{folder / name}.parquet: {count} rows" for name, count in rows.items()]
    tell({"folder": str(folder), "rows": rows}, "\n".join(words), as_json)


def prune(data_directory: Path, keep_epochs: int, as_json: bool) -> None:
    """Forget old bodies and payloads. Raises NodeError."""
    with stopped(data_directory) as node, watched("Pruning", as_json) as progress:
        store = Store(node.database, node.network)
        root = store.state().ledger.model.outer_root
        if root != node.network.start.outer_root and node.models.find(root) is None:
            raise NodeError(
                f"the model is not in {node.directory / 'model'}, and pruning removes what it can be made from: run "
                "`neuroshard archive verify` first, which writes it"
            )
        before = bytes_of(node.directory / "ledger")
        done = prune_store(store, node.payloads, last_prunable(store, keep_epochs), progress)
        node.database.compact()
        after = bytes_of(node.directory / "ledger")
    facts = {
        "pruned_height": done.height,
        "blocks": done.blocks,
        "payloads": len(done.payloads),
        "payload_bytes": done.payload_bytes,
        "ledger_bytes_before": before,
        "ledger_bytes_after": after,
    }
    where = f"Pruned up to block {done.height}" if done.height else "Nothing is old enough to be pruned"
    words = (
        f"{where}: {done.blocks} bodies and {len(done.payloads)} payloads ({done.payload_bytes:,} bytes) removed\n"
        f"ledger/ had {before:,} bytes, now {after:,}"
    )
    tell(facts, words, as_json)


def bytes_of(folder: Path) -> int:
    """What the files of a folder take."""
    return sum(path.stat().st_size for path in folder.iterdir())


def fsck(data_directory: Path, dry_run: bool, as_json: bool) -> None:
    """Repair indexes and name the rest; ends with status 1 if something is left. Raises NodeError."""
    with stopped(data_directory) as node, watched("Looking", as_json) as progress:
        findings = Fsck(node.database, node.network, dry_run).run(progress)
    left = [finding for finding in findings if not finding.repaired]
    facts = {"ok": not left, "dry_run": dry_run, "findings": [asdict(finding) for finding in findings]}
    tell(facts, "\n".join([*map(_finding_words, findings), "OK" if not left else "Not everything is well."]), as_json)
    if left:
        raise SystemExit(1)


def _finding_words(finding: Finding) -> str:
    records = f"{finding.count} record{'s' if finding.count != 1 else ''}"
    verdict = "repaired" if finding.repaired else "repairable" if finding.repairable else "cannot be repaired"
    return f"{finding.part}: {records}, {verdict}: {finding.sentence}"


def tell(facts: dict[str, Any], words: str, as_json: bool) -> None:
    """One JSON object or words on stdout."""
    click.echo(json.dumps(facts) if as_json else words)


def _words(counts: Counts) -> str:
    return "\n".join(
        (
            f"{counts.blocks} blocks, {counts.certificates} certificates, {counts.proofs} proofs, "
            f"{counts.transactions} transactions",
            f"{counts.rounds_closed} rounds closed, {counts.rounds_void} void, {counts.payloads} payloads replayed",
            *_missing(counts),
            *_ending(counts),
        )
    )


def _missing(counts: Counts) -> tuple[str, ...]:
    if not counts.payloads_missing:
        return ()
    return (
        f"The weights were not made again: {counts.payloads_missing} payloads are not kept here, the first of round "
        f"{counts.first_missing_round}. The model's file has the outer root that the ledger names.",
        f"To make them again: {PAYLOADS_ADVICE}",
    )


def _pruned_words(counts: PrunedCounts) -> str:
    first = f"headers from {counts.first_header} on and of the ends of epochs" if counts.first_header > 1 else "headers"
    return "\n".join(
        (
            f"This ledger is pruned: the bodies of blocks up to {counts.pruned_height} are not kept, so they cannot be "
            "executed again. Verified is what is there:",
            f"{counts.blocks} {first}, {counts.certificates} certificates "
            f"({counts.certificates_unchecked} of forgotten validator sets were not checked)",
            f"{counts.bodies} bodies with {counts.proofs} proofs and {counts.transactions} transactions, the whole "
            f"state and its tree, the model, {counts.payloads} payloads",
            *_ending(counts),
        )
    )


def _ending(counts: Counts | PrunedCounts) -> tuple[str, ...]:
    return (
        f"minted {neuro(str(counts.minted_nanos))}, burned {neuro(str(counts.burned_nanos))}, all "
        "of it owned by somebody",
        f"state root {counts.state_root}",
        f"outer root {counts.outer_root}",
        "OK",
    )
