"""`neuroshard archive fetch`: payloads of past rounds from other nodes, into the data directory of a stopped one."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from network.address import format_address
from node.archive import check_whole
from node.archive_stored import Progress
from node.commands.archive import Stopped, stopped, tell, watched
from node.errors import NodeError
from node.payload_fetch import Fetched, Missing, fetch_payloads, missing_payloads
from node.remote_blobs import known_peers, remote_blobs
from node.store import Store
from node.template import Learning
from training.payload import payload_size


def fetch(data_directory: Path, peers: Sequence[tuple[str, int]], as_json: bool) -> None:
    """Fetch what is missing; ends with status 1 if nobody had some of it. Raises NodeError."""
    with stopped(data_directory) as node:
        check_whole(node.database)
        store = Store(node.database, node.network)
        missing = list(missing_payloads(store, node.payloads))
        found, pages = Fetched(), dict[str, int]()
        if missing:
            # What was forgotten by policy is here again: let it be forgotten anew, if the node runs on like that.
            store.note_pruned_payloads(0, 0)
            named = [format_address(*peer) for peer in peers] or known_peers(node.directory / "peers")
            if not named:
                raise NodeError("no node is known to fetch from: name some with --peer HOST:PORT")
            with watched("Fetching", as_json) as progress:
                found, pages = asyncio.run(_fetch(node, missing, named, progress))
    facts = {
        "ok": not found.left,
        "payloads": found.payloads,
        "pages": pages,
        "left": [{"round": each.round, "payload_root": each.root.hex()} for each in found.left],
    }
    tell(facts, _words(found, pages), as_json)
    if found.left:
        raise SystemExit(1)


async def _fetch(
    node: Stopped, missing: Sequence[Missing], peers: Sequence[str], progress: Progress
) -> tuple[Fetched, dict[str, Any]]:
    size = payload_size(Learning.of(node.network).fragment_sizes)
    async with remote_blobs(peers) as remote:
        found = await fetch_payloads(missing, size, node.payloads, remote, progress)
        return found, dict(remote.pages)


def _words(found: Fetched, pages: dict[str, int]) -> str:
    lines = [f"{found.payloads} payloads fetched" if found.payloads else "Nothing was fetched"]
    lines += [f"{count} pages from {peer}" for peer, count in sorted(pages.items())]
    if found.left:
        rounds = sorted({each.round for each in found.left})
        lines.append(
            f"{len(found.left)} payloads of {len(rounds)} rounds, {rounds[0]} to {rounds[-1]}, could not be had "
            f"({found.why}): name a node that runs with --archive"
        )
    else:
        lines.append("Every payload that the ledger counts is here: `neuroshard archive verify --weights` can use them")
    return "\n".join(lines)
