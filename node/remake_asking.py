"""Asks the trainer for states that an audit of this node wants and that are not on its disk any more.

A node that cannot show what it has proven loses its rewards. There is time for another run through the round, and
while the node owes a state it has no seat anyway. Nothing is asked if all is here, which is the usual case.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from chain.audit_messages import StateParts
from chain.crypto.hashing import ZERO
from chain.state import Audit, AuditName, Claim, Round, State, claim_key
from node.blob_source import FileSource
from node.errors import StoreError
from node.model_store import ModelStore
from node.segment_store import SegmentStore
from node.trainer_messages import Remake
from node.work_log import state_hash


@dataclass(frozen=True, slots=True)
class Audited:
    """One audit of this node, and what it is about."""

    round: Round
    audit: Audit
    claim: Claim


@dataclass(slots=True)
class Shelf:
    """Where this node keeps what a round is made of."""

    states: SegmentStore
    models: ModelStore
    work: Path  # folder of the averages

    def is_whole(self, audited: Audited) -> bool:
        """Whether both states of the segment and the last weights are here, sound, and those that were proven."""
        source = FileSource(self.states.find)
        for at in (audited.audit.segment, audited.audit.segment + 1):
            parts = self.states.parts(audited.round.number, at)
            proven = audited.claim.start if at == 0 else audited.claim.states[at - 1]
            if parts is None or state_hash(parts) != proven or not _is_here(parts, at, source):
                return False
        return source.size(audited.claim.theta_root) is not None

    def command(self, audited: Audited, secret: bytes) -> Remake | None:
        """How to make the states again; None if too little of the round is left."""
        current, audit, claim = audited.round, audited.audit, audited.claim
        base, averages = self.models.base_of(current.number, current.base.outer_root), self._averages(audited)
        if base is None or averages is None:
            return None
        return Remake(
            round=current.number,
            mix=current.mix,
            base=str(base),
            averages_root=averages,
            averages_steps=claim.averages_steps,
            plant_secret=secret,
            segment=audit.segment,
            segments=len(claim.states),
            first=claim.states[0],
            last=claim.states[-1],
        )

    def _averages(self, audited: Audited) -> bytes | None:
        """The root of the second moments that the round began with: of those on this disk, the one that fits."""
        names = [path.stem.rpartition("-")[2] for path in self.work.glob("averages-*-*.safetensors")]
        begun = {audited.round.base.carried_state(root): root for root in (ZERO, *filter(None, map(_root, names)))}
        return begun.get(audited.claim.start)


class RemakeAsking:
    """Looks at each audit of `node` once: asks the trainer, tells people."""

    def __init__(self, node: bytes, shelf: Shelf, ask: Callable[[Remake], None], tell: Callable[[str], None]) -> None:
        self.node = node
        self.shelf = shelf
        self.ask = ask
        self.tell = tell
        self._seen: set[AuditName] = set()
        self._work: set[asyncio.Task[None]] = set()

    def follow(self, state: State, secret_of: Callable[[Claim], bytes]) -> None:
        """After a block: look at the audits that are new, in a thread, since that hashes files.

        `secret_of` tells with which plants a claim's round was trained.
        """
        ours = {name for name in state.open_audits if name.node == self.node}
        for name in ours - self._seen:
            audit, current = state.audit(name.round, name.node), state.round(name.round)
            claim = state.find(Claim, claim_key(name.round, name.node))
            if audit is not None and current is not None and claim is not None and claim.states:
                task = asyncio.ensure_future(self._look(Audited(current, audit, claim), secret_of(claim)))
                self._work.add(task)
                task.add_done_callback(self._work.discard)
        self._seen = ours

    async def stop(self) -> None:
        """Nothing reads the files afterwards."""
        await asyncio.gather(*self._work, return_exceptions=True)

    async def _look(self, audited: Audited, secret: bytes) -> None:
        number = audited.round.number
        try:
            if await asyncio.to_thread(self.shelf.is_whole, audited):
                return
            command = await asyncio.to_thread(self.shelf.command, audited, secret)
        except (StoreError, OSError) as error:
            self.tell(f"Round {number} is audited, and its states cannot be read: {error}")
            return
        if command is None:
            self.tell(f"Round {number} is audited, and its states are gone: neither its base nor its averages are here")
        else:
            self.tell(f"Round {number} is audited, and states of it are gone: they are made again")
            self.ask(command)


def _is_here(parts: StateParts, at: int, source: FileSource) -> bool:
    # Where a round begins, the weights are the model's.
    roots = [parts.m_root, parts.v_root, *([parts.theta_root] if at else [])]
    return all(root == ZERO or source.size(root) is not None for root in roots)


def _root(name: str) -> bytes | None:
    try:
        root = bytes.fromhex(name)
    except ValueError:
        return None
    return root if len(root) == len(ZERO) else None
