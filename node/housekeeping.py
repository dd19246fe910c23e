"""What nothing needs any more: drafts that a crash left behind, payloads that no round of the ledger names.

`archive verify` rebuilds the model from the payloads that the ledger names: those go by `node.payload_prune` only. A
payload is written before its round can name it. So one that was here before a round ended, and that no reveal up to
that end names, never will be. What was here before the first look of all is left alone.
"""

import json
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from chain.block import PayloadReveal
from node.data_directory import read_json, write_atomically
from node.store import Store

DRAFT_FOLDERS = ("payloads", "aggregates", "model", "work", "tokens")
NOTE = "housekeeping.json"
BLOCKS_A_LOOK = 5_000
NAMES_REMEMBERED = 4_096

Sight = tuple[int, int, int]  # inode, time of the last change, size


@dataclass
class Housekeeping:
    """Looks from time to time, in one thread; what it has learnt outlives a restart in housekeeping.json."""

    root: Path
    is_archive: bool = False  # then payloads of any age may come, and none is ever removed
    height: int | None = None  # reveals up to here have been read; None: never looked
    waiting: dict[str, int] = field(default_factory=dict)  # payload file: the newest round when it was first seen
    _known: set[str] = field(default_factory=set)
    _named: deque[str] = field(default_factory=lambda: deque(maxlen=NAMES_REMEMBERED))
    _drafts: dict[Path, Sight] = field(default_factory=dict)

    def __post_init__(self) -> None:
        note = read_json(self.root / NOTE) or {}
        height, waiting = note.get("height"), note.get("waiting")
        if type(height) is int and height >= 0 and isinstance(waiting, dict):
            self.height = height
            present = set(self._payloads())
            self.waiting = {name: number for name, number in waiting.items() if type(number) is int and name in present}
        # Files of an earlier run that do not wait have been judged, or were never watched: they stay.
        self._known = set(self._payloads()) - self.waiting.keys()

    def tidy(self, store: Store) -> list[str]:
        """Remove what can be removed and return the names. Raises OSError or StoreError."""
        removed = self._remove_drafts() + ([] if self.is_archive else self._remove_payloads(store))
        content = {"height": self.height, "waiting": self.waiting}
        write_atomically(self.root / NOTE, json.dumps(content).encode() + b"\n")
        return removed

    def _remove_drafts(self) -> list[str]:
        """Drafts that lay here unchanged at the look before: nobody is writing them."""
        seen: dict[Path, Sight] = {}
        removed = []
        for folder in DRAFT_FOLDERS:
            for path in (self.root / folder).glob("*.partial"):
                try:
                    found = path.stat()
                except OSError:
                    continue  # It has been renamed meanwhile.
                sight = (found.st_ino, found.st_mtime_ns, found.st_size)
                if self._drafts.get(path) == sight:
                    path.unlink(missing_ok=True)
                    removed.append(f"{folder}/{path.name}")
                else:
                    seen[path] = sight
        self._drafts = seen
        return removed

    def _payloads(self) -> list[str]:
        folder = self.root / "payloads"
        return [path.name for path in folder.iterdir() if not path.name.endswith(".partial")] if folder.is_dir() else []

    def _remove_payloads(self, store: Store) -> list[str]:
        # The height is read before the folder is: a payload seen now cannot stand in a block before this one unseen.
        tip, ledger = store.height, store.state().ledger
        present = self._payloads()
        if self.height is None or self.height > tip:
            self.height, self._known, self.waiting = tip, set(present), {}
            return []
        for name in present:
            if name not in self._known and name not in self.waiting:
                self.waiting[name] = ledger.round
        end = min(tip, self.height + BLOCKS_A_LOOK)
        for height in range(self.height + 1, end + 1):
            self._read_reveals(store, height)
        self.height = end
        self._settle(set(self._named) | _named_by_state(store))
        return self._remove_abandoned(set(present), ledger.ended_round) if end == tip else []

    def _read_reveals(self, store: Store, height: int) -> None:
        stored = store.block(height)
        if stored is not None:
            reveals = [item for item in stored.block.body.rounds if isinstance(item, PayloadReveal)]
            self._named.extend(reveal.payload_root.hex() for reveal in reveals)

    def _settle(self, named: set[str]) -> None:
        for name in named & self.waiting.keys():
            del self.waiting[name]
            self._known.add(name)

    def _remove_abandoned(self, present: set[str], ended_round: int) -> list[str]:
        removed = []
        for name, number in list(self.waiting.items()):
            if number <= ended_round:
                del self.waiting[name]
                if name in present:
                    (self.root / "payloads" / name).unlink(missing_ok=True)
                    removed.append(f"payloads/{name}")
        return removed


def _named_by_state(store: Store) -> set[str]:
    """Payloads of the rounds whose records are there."""
    state = store.state()
    ledger = state.ledger
    rounds = (state.round(number) for number in range(ledger.released_round + 1, ledger.round + 1))
    return {payload.payload_root.hex() for current in rounds if current for payload in current.revealed}
