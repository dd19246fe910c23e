"""What people touch: how soon the wallet's prompt is there, what the explorer weighs, how often the API answers.

.venv/bin/python -m bench people                     everything: about twelve minutes
.venv/bin/python -m bench people --only repl,api     some of it
.venv/bin/python -m bench people --write             also keeps the figures in docs/results/people.json

Each part runs in a process of its own, with a node of its own. Figures of parts that are not run now stay.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.consensus import machine

RECORD = Path(__file__).parents[1] / "docs" / "results" / "people.json"
PARTS = {
    "repl": ["people_wallet", "repl"],
    "keystore": ["people_wallet", "keystore"],
    "command": ["people_wallet", "command"],
    "page": ["people_page"],
    "checks": ["people_checks"],
    "api": ["people_api"],
    "finality": ["people_finality"],
}


def measured(part: str) -> dict[str, dict[str, Any]]:
    """A part's figures, shown as they come."""
    load, found = os.getloadavg()[0], {}
    module, *words = PARTS[part]
    with subprocess.Popen(
        [sys.executable, "-m", f"bench.{module}", *words], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            figure: dict[str, Any] = json.loads(line)
            name = figure.pop("name")
            found[name] = figure | {
                "command": f".venv/bin/python -m bench people --only {part}",
                "date": time.strftime("%Y-%m-%d", time.gmtime()),
                "load_before": round(load, 1),
            }
    if process.returncode:
        sys.exit(process.returncode)
    return found


def keep(found: dict[str, dict[str, Any]]) -> None:
    before = json.loads(RECORD.read_text())["figures"] if RECORD.exists() else {}
    content = {**machine(), "figures": before | found}
    RECORD.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench people", description=__doc__)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between them")
    parser.add_argument("--write", action="store_true", help="keep the figures in docs/results/people.json")
    options = parser.parse_args(arguments)
    parts = options.only.split(",")
    if unknown := [part for part in parts if part not in PARTS]:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    for part in parts:
        found = measured(part)
        if options.write:
            keep(found)


if __name__ == "__main__":
    main(sys.argv[1:])
