"""A fresh node under a memory limit of the kernel's control group: whether two rounds close, and the peak it needed.

.venv/bin/python -m bench memory [--limit-mib 2048] [--threads 1]     (needs the right to make a control group)
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.figure import report

VERSION_1, VERSION_2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
MIB = 1 << 20
PATIENCE_SECONDS = 300


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench memory")
    parser.add_argument("--limit-mib", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    old = VERSION_1.is_dir()
    group = (VERSION_1 if old else VERSION_2) / f"neuroshard-bench-{os.getpid()}"
    limit, peak = ("memory.limit_in_bytes", "memory.max_usage_in_bytes") if old else ("memory.max", "memory.peak")
    directory = tempfile.mkdtemp(prefix="neuroshard-memory-")
    try:
        group.mkdir()
        (group / limit).write_text(str(options.limit_mib * MIB))
    except OSError as error:
        sys.exit(
            f"cannot make the control group {group}: {error.strerror}; run this as root, or in a container of its own"
        )
    command = [sys.executable, "-m", "node", "--data-dir", directory, "--api", "127.0.0.1:0", "--until-round", "2"]
    try:
        run = subprocess.run(
            [*command, "--threads", str(options.threads), "--json"],
            preexec_fn=lambda: (group / "cgroup.procs").write_text(str(os.getpid())),  # type: ignore[arg-type]
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            check=True,
            timeout=PATIENCE_SECONDS,
        )
        needed = int((group / peak).read_text()) / MIB
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        group.rmdir()
    closed = json.loads(run.stdout.splitlines()[-1])["closed_rounds"]
    report("rounds_closed_under_limit", closed, "rounds", 2, f"limit {options.limit_mib} MiB")
    report("peak_mib", needed, "MiB", options.limit_mib, "node, trainer and their page cache, as the kernel counts")
