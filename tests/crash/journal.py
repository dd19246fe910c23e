"""A node that writes down beside its data directory what it says, before anybody can hear it.

`python -m tests.crash.journal JOURNAL ...` is `neuroshard ...` with a journal: one JSON object per line. Each line is
on disk before the node goes on, so that a kill never hides what was said.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from consensus.events import CastVote
from consensus.messages import Vote
from node.__main__ import main
from node.node import Node
from node.replica import Replica
from node.trainer_messages import Failed, SegmentDone


class Journal:
    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, what: str, **content: Any) -> None:
        line = json.dumps({"what": what, "at": time.monotonic(), **content}) + "\n"
        os.write(self._file, line.encode())
        os.fdatasync(self._file)


def watch(journal: Journal) -> None:
    """Let the classes of the node tell the journal what happens."""
    signed, final, heard, run = Replica._signed, Node._on_final, Node._on_trainer, Node._prepare_registration

    def sign(self: Replica, cast: CastVote, us: int) -> Vote:
        journal.note("vote", kind=cast.kind, epoch=cast.epoch, view=cast.view, block=cast.block_hash.hex())
        return signed(self, cast, us)

    def on_final(self: Node, applied: Any) -> None:
        header = applied.block.header
        journal.note("final", height=header.height, block=header.hash().hex())
        final(self, applied)

    def on_trainer(self: Node, event: Any) -> None:
        if isinstance(event, SegmentDone):
            state = event.state_after.hex()
            journal.note("segment", round=event.round, segment=event.segment, state=state, time_ms=event.time_ms)
        elif isinstance(event, Failed):
            journal.note("failed", message=event.message)
        heard(self, event)

    async def begin(self: Node) -> None:
        tip, model = self.view.tip, self.store.state().ledger.model.outer_root.hex()
        ours = self.outcomes.model_root.hex()
        journal.note("start", height=tip.height, block=tip.hash.hex(), model=ours, ledger_model=model)
        await run(self)

    Replica._signed = sign  # type: ignore[method-assign]
    Node._on_final = on_final  # type: ignore[method-assign]
    Node._on_trainer = on_trainer  # type: ignore[method-assign]
    Node._prepare_registration = begin  # type: ignore[method-assign]


if __name__ == "__main__":
    watch(Journal(Path(sys.argv.pop(1))))
    main()
