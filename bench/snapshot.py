"""A snapshot of many accounts: CPU time, bytes and memory to make and to restore it, each in a process of its own.

.venv/bin/python -m bench snapshot [--accounts 1000000]
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
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
# The peak that the kernel counts for a program's own memory: that of getrusage would include its parent's.
PROGRAM = """
import sys, time
from pathlib import Path
from node.cli import cli

cli(sys.argv[1:], standalone_mode=False)
status = Path("/proc/self/status").read_text().splitlines()
print(time.process_time(), next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench snapshot")
    parser.add_argument("--accounts", type=int, default=1_000_000)
    options = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="neuroshard-snapshot-"))
    try:
        fill(folder / "home", options.accounts)
        made, seconds, memory = _archive("snapshot", folder / "copy", folder / "home")
        note = f"{options.accounts} accounts, {made['chunks']} chunks"
        report("snapshot_bytes", made["bytes"], "B", note=note)
        report("snapshot_make_cpu_s", round(seconds, 1), "s", note=note)
        report("snapshot_make_peak", round(memory / MIB), "MiB", note=note)
        _, seconds, memory = _archive("restore", folder / "copy", folder / "new")
        report("snapshot_restore_cpu_s", round(seconds, 1), "s", note=note)
        report("snapshot_restore_peak", round(memory / MIB), "MiB", note=note)
    finally:
        shutil.rmtree(folder)


def fill(home: Path, accounts: int) -> None:
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
    """What the command says, its seconds of CPU, and its peak of resident bytes."""
    words = [sys.executable, "-c", PROGRAM, "archive", command, str(folder), "--data-dir", str(home), "--json"]
    said, figures = subprocess.run(words, stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()
    seconds, peak_kib = figures.split()
    return json.loads(said), float(seconds), int(peak_kib) * 1024
