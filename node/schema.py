"""The layout of a data directory has a number. A start brings an older one up to date; a newer one is refused.

Each step may be cut short and done again: the number is written only after it. What a step removes can be made anew.
"""

import os
from collections.abc import Callable
from pathlib import Path

from node.errors import DataDirectoryError
from node.node_key import index_text

SCHEMA = 3


def _without_work_of_one_file(root: Path) -> None:
    """1 → 2: the segment in work/ is kept in two files that are written in turn; one of the old kind is of no use."""
    for old in (root / "work").glob("*"):
        if old.is_file():
            old.unlink()


def _first_node_key(root: Path) -> None:
    """2 → 3: which of the wallet's node keys is used stands in a file; until now it was always the first."""
    if (root / "keystore.json").exists():
        with (root / "node-key").open("w") as file:
            file.write(index_text(0))
            file.flush()
            os.fsync(file.fileno())


# From each number to the next one.
UPGRADES: dict[int, Callable[[Path], None]] = {1: _without_work_of_one_file, 2: _first_node_key}


def number_of(root: Path, text: str) -> int:
    """The number in a schema file that this program can read or bring up to date. Raises DataDirectoryError."""
    # At most as many digits as a number that will ever be reached.
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        raise DataDirectoryError(f"{root / 'schema'} is damaged, it holds {text[:20]!r}: restore it from a backup")
    found = int(text)
    if found > SCHEMA:
        raise DataDirectoryError(
            f"{root} was written by a newer program (schema {found}, this one knows up to {SCHEMA}): install the newer "
            "program, or choose another --data-dir"
        )
    if any(number not in UPGRADES for number in range(found, SCHEMA)):
        raise DataDirectoryError(
            f"{root} has schema {found}, which this program cannot bring up to {SCHEMA}: use the program that "
            "wrote it, or choose another --data-dir"
        )
    return found
