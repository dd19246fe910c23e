"""Where a node keeps its things, and the lock that keeps a second copy away.

schema          the layout's version
lock            held (flock) while a node runs
network         the network file             node-key     which of the wallet's node keys is this directory's
keystore.json   the wallet, EIP-2335        keystore.password   only where nobody could be asked
ledger/         finalized blocks and state   sign-state          every vote ever given
model/          outer states after rounds    payloads/           published pseudo-gradients by root
aggregates/     accepted aggregates and records of trust by root
work/           the round in training        tokens/             the corpus as token numbers
segments/       states that audits may ask for          audits/      states of others that are audited here
verdicts/       what this node found in audits
logs/           what has happened            neuroshard.toml  settings, if the user wrote some
corpus/         the operator's own text, if some was added
rounds.jsonl    what each round did to the loss
api.json        where the running node listens
wallet.json, wallet-*  what `neuroshard wallet` keeps beside the keystore
uptime.json     seconds of operation         housekeeping.json  payloads whose round has not ended yet
"""

import fcntl
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from node.errors import DataDirectoryError, disk_advice
from node.failpoints import moments_of
from node.schema import SCHEMA, UPGRADES, number_of
from wallet.durable import replace_whole, unwatched

# Of `neuroshard wallet`, which makes one where there has been no node yet.
WALLET_FILES = ("keystore.json", "wallet.json", "wallet-pending.json", "wallet-history", "wallet.lock")
FOLDERS = ("ledger", "model", "payloads", "aggregates", "work", "segments", "audits", "verdicts", "tokens")


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
                write_atomically(schema, str(SCHEMA).encode(), "schema")
            self._upgrade()
            for name in FOLDERS:
                (self / name).mkdir(exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from error
        self.check_schema()

    def _refuse_foreign(self) -> None:
        """Whatever lies in a directory that is not ours is left as it is. A wallet may be there before a node is."""
        names = {entry.name for entry in self.root.iterdir()}
        foreign = foreign_names(names)
        if foreign and not (self / "schema").exists():
            if {"network", "keystore.json"} <= names:
                raise DataDirectoryError(
                    f"{self / 'schema'} is missing, which says what wrote this directory: restore it from a backup"
                )
            raise DataDirectoryError(
                f"{self.root} is not empty and not a data directory of NeuroShard (it holds {foreign[0]}); "
                "choose an empty one with --data-dir"
            )

    def _upgrade(self) -> None:
        """Bring an older layout up to date. Every step is done anew if it was cut short."""
        for number in range(self.schema(), SCHEMA):
            UPGRADES[number](self.root)
            write_atomically(self / "schema", str(number + 1).encode(), "schema")

    def check_schema(self) -> None:
        """Raise DataDirectoryError unless the layout is today's."""
        found = self.schema()
        if found != SCHEMA:
            raise DataDirectoryError(
                f"{self.root} has schema {found} and this program writes {SCHEMA}: start the node once, "
                "which brings it up to date"
            )

    def schema(self) -> int:
        """The layout's number, which this program can read or bring up to date."""
        try:
            found = (self / "schema").read_text(errors="replace")
        except FileNotFoundError as error:
            raise DataDirectoryError(
                f"{self.root} is no data directory of NeuroShard: {error.strerror}; start a node "
                "there first, or name another with --data-dir"
            ) from error
        except OSError as error:
            raise self._unusable(error) from error
        return number_of(self.root, found)

    def lock(self) -> None:
        """Keep every other node away from this directory until the process ends."""
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._refuse_foreign()
            descriptor = os.open(self / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0)
            os.close(descriptor)
            who = f" (process {int(holder)})" if holder.isdigit() else ""
            raise DataDirectoryError(
                f"another node is running on {self.root}{who}: stop it first, or choose another directory with "
                "--data-dir"
            ) from None
        self._lock = descriptor
        # Only for the message above: on a full disk it stays away.
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)

    def _unusable(self, error: OSError) -> DataDirectoryError:
        return DataDirectoryError(
            f"cannot use {error.filename or self.root}: {disk_advice(error)}, or choose another with --data-dir"
        )

    def unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def foreign_names(names: Iterable[str]) -> list[str]:
    """Those that may not lie where a first start is to make a node; ascending."""
    ours = {"schema", "lock", "schema.partial", "neuroshard.toml", *WALLET_FILES}
    return sorted(name for name in names if name not in ours and not _is_wallet_draft(name))


def _is_wallet_draft(name: str) -> bool:
    """What the end of a process in the middle of a wallet's write leaves."""
    return name.removesuffix(".partial") in WALLET_FILES or (name.startswith(".keystore-") and name.endswith(".draft"))


def write_atomically(path: Path, content: bytes, place: str | None = None) -> None:
    """Replace a file as a whole and durably: after a crash the old one or the new one is there. Raises OSError.

    `place` names the file in `node.failpoints`.
    """
    replace_whole(path, content, moments_of(place) if place is not None else unwatched)


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file of ours; None if it is missing or damaged."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
