"""`neuroshard archive snapshot` and `restore`: carry the state of a ledger to another machine."""

from pathlib import Path

from node.commands.archive import bytes_of, stopped, tell, watched
from node.errors import NodeError
from node.snapshot import make_snapshot
from node.snapshot_restore import Restoration, open_source
from node.store import Store


def make(data_directory: Path, folder: Path, as_json: bool) -> None:
    """Write a snapshot. Raises NodeError."""
    with stopped(data_directory) as node, watched("Writing", as_json) as progress:
        manifest = make_snapshot(Store(node.database, node.network), node.models, folder, progress)
    header = manifest.header
    facts = {
        "folder": str(folder),
        "height": header.height,
        "block_hash": header.hash().hex(),
        "state_root": header.state_root.hex(),
        "chunks": len(manifest.chunks),
        "records": sum(chunk.entries for chunk in manifest.chunks),
        "bytes": bytes_of(folder),
        "first_epoch": manifest.first_epoch,
    }
    words = (
        f"Snapshot of height {header.height} in {folder}: {facts['records']} records in {facts['chunks']} chunks, "
        f"{facts['bytes']:,} bytes\nblock {facts['block_hash']}\nstate root {facts['state_root']}"
    )
    tell(facts, words, as_json)


def restore(folder: Path, trust: str | None, data_directory: Path, as_json: bool) -> None:
    """Make a data directory from a snapshot. Raises SnapshotError or NodeError."""
    source = open_source(folder, _hash(trust))
    restoration = Restoration(source, data_directory)
    with watched("Restoring", as_json) as progress:
        restoration.run(progress)
    header = source.manifest.header
    facts = {
        "data_directory": str(data_directory),
        "height": header.height,
        "block_hash": header.hash().hex(),
        "state_root": header.state_root.hex(),
        "chunks": len(source.manifest.chunks),
        "chunks_before": restoration.chunks_before,
    }
    words = (
        f"Restored height {header.height} in {data_directory}: {facts['chunks']} chunks, each proven by itself\n"
        f"block {facts['block_hash']}\nstate root {facts['state_root']}\n"
        "This directory knows no votes: a validator that has voted needs its file sign-state from the old one."
    )
    tell(facts, words, as_json)


def _hash(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != 32:
        raise NodeError(f"--trust {text!r} is no hash of a block: 64 hexadecimal digits are wanted")
    return found
