"""What no crash may break, looked up in the journal of all lives and in the files of the dead node."""

import json
import subprocess
import sys
from collections import defaultdict
from typing import Any

from chain.genesis import parse_network
from consensus.messages import FINALIZE, NOTARIZE, NULLIFY
from node.key_value import open_key_value
from node.store import Store
from tests.crash.lives import Entry, Lives
from tests.node.processes import ROOT


def broken(lives: Lives) -> list[str]:
    """Every promise that the dead node has broken; none, if all is well."""
    entries = lives.entries()
    found = contradicting_votes(entries) + forgotten_heights(entries) + work_done_twice(entries)
    found += [
        f"life with another model: {entry}" for entry in lives.of("start") if entry["model"] != entry["ledger_model"]
    ]
    if not (lives.home / "network").exists():
        return found
    network = parse_network((lives.home / "network").read_bytes())
    database = open_key_value(lives.home / "ledger")
    try:
        store = Store(database, network)
        return found + lost_blocks(entries, store) + paid_twice(store)
    finally:
        database.close()


def contradicting_votes(entries: list[Entry]) -> list[str]:
    votes: dict[tuple[int, int], set[tuple[int, str]]] = defaultdict(set)
    for entry in entries:
        if entry["what"] == "vote":
            votes[entry["epoch"], entry["view"]].add((entry["kind"], entry["block"]))
    found = []
    for place, cast in votes.items():
        kinds = [kind for kind, _ in cast]
        if kinds.count(NOTARIZE) > 1 or kinds.count(FINALIZE) > 1 or {FINALIZE, NULLIFY} <= set(kinds):
            found.append(f"contradicting votes in {place}: {sorted(cast)}")
    return found


def forgotten_heights(entries: list[Entry]) -> list[str]:
    """A life begins at the height at which the last ended, or above: a block may be final and not yet told."""
    height, found, blocks = 0, [], {}
    for entry in entries:
        if entry["what"] == "final":
            if blocks.setdefault(entry["height"], entry["block"]) != entry["block"]:
                found.append(f"two blocks were final at height {entry['height']}")
            height = entry["height"]
        elif entry["what"] == "start" and entry["height"] < height:
            found.append(f"a life began at height {entry['height']}, the one before ended at {height}")
    return found


def work_done_twice(entries: list[Entry]) -> list[str]:
    """A segment that the node has heard of is never trained again, to the same end or to another."""
    heard: dict[tuple[int, int], set[tuple[str, int]]] = defaultdict(set)
    for entry in entries:
        if entry["what"] == "segment":
            heard[entry["round"], entry["segment"]].add((entry["state"], entry["time_ms"]))
    return [f"segment {place} was trained {len(each)} times" for place, each in heard.items() if len(each) > 1]


def lost_blocks(entries: list[Entry], store: Store) -> list[str]:
    told = {entry["height"]: entry["block"] for entry in entries if entry["what"] == "final"}
    return [
        f"the final block {height} is not in the ledger"
        for height, block in told.items()
        if height > store.height or store.hash_at(height).hex() != block
    ]


def paid_twice(store: Store) -> list[str]:
    proven: set[tuple[bytes, int, int]] = set()
    found = []
    for height in range(1, store.height + 1):
        stored = store.block(height)
        assert stored is not None
        for proof in stored.block.body.proofs:
            if (proof.node, proof.round, proof.segment) in proven:
                found.append(f"round {proof.round}, segment {proof.segment} is proven again at height {height}")
            proven.add((proof.node, proof.round, proof.segment))
    return found


def verified(lives: Lives) -> dict[str, Any]:
    """What `archive verify` of the dead node finds: everything executed again, and the money counted."""
    command = [sys.executable, "-m", "node", "archive", "verify", "--json", "--data-dir", str(lives.home)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found
