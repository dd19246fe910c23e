"""Where a node keeps its things, and the lock that keeps a second copy away.

schema          the layout's version
lock            held (flock) while a node runs
network         the network file
keystore.json   the wallet, EIP-2335        keystore.password   only where nobody could be asked
ledger/         finalized blocks and state   sign-state          every vote ever given
model/          outer states after rounds    payloads/           published pseudo-gradients by root
work/           the round in training        tokens/             the corpus as token numbers
rounds.jsonl    what each round did to the loss
api.json        where the running node listens
"""

import fcntl
import json
import os
from pathlib import Path
from typing import Any

from node.errors import DataDirectoryError

SCHEMA = "1"
FOLDERS = ("ledger", "model", "payloads", "work", "tokens")


class DataDirectory:
    """An opened data directory. `lock` must be taken before anything is written. Raises DataDirectoryError."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock: int | None = None

    def __truediv__(self, name: str) -> Path:
        return self.root / name

    def create(self) -> None:
        """Make the folders, or check that they are of our schema."""
        schema = self / "schema"
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._refuse_foreign()
            if not schema.exists():
                write_atomically(schema, SCHEMA.encode())
            for name in FOLDERS:
                (self / name).mkdir(exist_ok=True)
        except OSError as error:
            raise DataDirectoryError(
                f"cannot use {self.root}: {error.strerror}; check its permissions and free space, or "
                "choose another with --data-dir"
            ) from error
        self.check_schema()

    def _refuse_foreign(self) -> None:
        """Whatever lies in a directory that is not ours is left as it is."""
        ours = {"schema", "lock", "schema.partial"}
        foreign = sorted(entry.name for entry in self.root.iterdir() if entry.name not in ours)
        if foreign and not (self / "schema").exists():
            raise DataDirectoryError(
                f"{self.root} is not empty and not a data directory of NeuroShard (it holds {foreign[0]}); "
                "choose an empty one with --data-dir"
            )

    def check_schema(self) -> None:
        try:
            found = (self / "schema").read_text()
        except OSError as error:
            raise DataDirectoryError(
                f"{self.root} is no data directory of NeuroShard: {error.strerror}; start a node "
                "there first, or name another with --data-dir"
            ) from error
        if found != SCHEMA:
            raise DataDirectoryError(
                f"{self.root} has schema {found!r}, this program knows {SCHEMA!r}: use the program "
                "that wrote it, or another --data-dir"
            )

    def lock(self) -> None:
        """Keep every other node away from this directory until the process ends."""
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._refuse_foreign()
            descriptor = os.open(self / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise DataDirectoryError(
                f"cannot use {self.root}: {error.strerror}; check its permissions, or choose another with --data-dir"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise DataDirectoryError(
                f"another node is running on {self.root}: stop it first, or choose another directory with --data-dir"
            ) from None
        self._lock = descriptor

    def unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def write_atomically(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace a file as a whole and durably: after a crash the old one or the new one is there."""
    draft = path.with_name(path.name + ".partial")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file of ours; None if it is missing or damaged."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
