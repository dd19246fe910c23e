"""A snapshot of many accounts: time, bytes and memory to make it and to restore it, each in a process of its own.

.venv/bin/python -m bench snapshot [--accounts 1000000]
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path

from bench.figure import report
from chain.state import Account, account_key
from chain.tree import Update
from node.data_directory import DataDirectory
from node.key_value import KeyValue, open_key_value
from node.store import GENESIS_ROOT
from tests.node.lone_node import LoneNode, tiny_network

BATCH = 50_000
MIB = 1 << 20


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench snapshot")
    parser.add_argument("--accounts", type=int, default=1_000_000)
    options = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="neuroshard-snapshot-"))
    try:
        _fill(folder / "home", options.accounts)
        made, seconds, memory = _archive("snapshot", folder / "copy", folder / "home")
        note = f"{options.accounts} accounts, {made['chunks']} chunks"
        report("snapshot_bytes", made["bytes"], "B", note=note)
        report("snapshot_make_s", round(seconds, 1), "s", note=note)
        report("snapshot_make_peak", round(memory / MIB), "MiB", note=note)
        _, seconds, memory = _archive("restore", folder / "copy", folder / "new")
        report("snapshot_restore_s", round(seconds, 1), "s", note=note)
        report("snapshot_restore_peak", round(memory / MIB), "MiB", note=note)
    finally:
        shutil.rmtree(folder)


def _fill(home: Path, accounts: int) -> None:
    """A ledger of one block over a state with many accounts, as no genesis would hold: only the block is real."""
    directory = DataDirectory(home)
    directory.create()
    network = tiny_network()
    (directory / "network").write_bytes(network.file_bytes())
    database = open_key_value(directory / "ledger")
    root = LoneNode(home, network, database).view.tip.state_root
    for start in range(0, accounts, BATCH):
        root = _add(database, root, range(start, min(start + BATCH, accounts)))
    LoneNode(home, network, database).block()
    database.close()


def _add(database: KeyValue, root: bytes, numbers: range) -> bytes:
    values: dict[bytes, bytes | None] = {
        account_key(b"\x00" + sha256(str(number).encode()).digest()[:20]): Account(number, 0).encode()
        for number in numbers
    }
    tree = Update(lambda digest: database.get(b"t" + digest))
    root = tree.apply(root, values)
    changes: dict[bytes, bytes | None] = {b"t" + digest: None for digest in tree.stale}
    changes |= {b"t" + digest: record for digest, record in tree.fresh.items()}
    changes |= {b"s" + key: value for key, value in values.items()}
    database.write({**changes, GENESIS_ROOT: root})
    return root


def _archive(command: str, folder: Path, home: Path) -> tuple[dict[str, int], float, int]:
    """What the command says, its seconds, and its peak of resident bytes."""
    words = [sys.executable, "-m", "node", "archive", command, str(folder), "--data-dir", str(home), "--json"]
    started = time.perf_counter()
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"archive {command} ended with {process.returncode}")
    return json.loads(said), time.perf_counter() - started, usage.ru_maxrss * 1024
