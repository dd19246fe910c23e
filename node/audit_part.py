"""All that a running node does for audits, wired together: what it says, what it finds out, and what its user reads."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from chain.audit_messages import MISMATCH, PlantReveal
from chain.findings import is_segment_planted
from chain.receipts import AuditEnded, AuditFault, AuditMissed
from chain.state import ACQUITTED, AUDIT_PHASES, OPENING, PASSED, PROVEN, UNCHECKED, WITHHELD, State
from chain.transition import Applied
from node.audit_driver import AuditDriver
from node.audit_words import Words
from node.audit_work import AuditWork
from node.auditor import Auditor, auditor_threads
from node.home import Home
from node.logs import log_of
from node.membership import Membership
from node.round_now import duration
from node.segment_store import SegmentStore
from node.template import Learning

WORDS = "verdicts"  # the folder

ENDINGS = {
    PROVEN: "fraud is proven; what this node had not been paid yet is lost, with a part of its wallet's stake",
    WITHHELD: "its states were not to be had in time, and what this node had not been paid yet is lost",
    ACQUITTED: "the validators could not agree, so nobody pays; the next rounds are all audited",
    UNCHECKED: "nobody could check it (said once: `neuroshard audit show` tells of others)",
}
LOG = log_of("audits")


def _fault_words(receipt: AuditMissed | AuditFault) -> str:
    where = f"the audit of round {receipt.round} of node {receipt.node.hex()[:16]}"
    if isinstance(receipt, AuditMissed):
        return f"This validator gave no verdict in {where}: {receipt.misses} in a row; too many of them lead to jail"
    return f"This validator was wrong in {where}: that leads to jail and costs {receipt.lost} nanos of its stake"


class AuditPart:
    """`news` is told when there is more to say, `watch` in a sentence what has happened."""

    def __init__(
        self,
        home: Home,
        learning: Learning,
        segments: SegmentStore,
        news: Callable[[], None],
        watch: Callable[[str], None],
    ) -> None:
        self.learning = learning
        self.news = news
        self.watch = watch
        self.root: Path = home.directory.root
        self.words = Words(home.directory / WORDS)
        self.driver = AuditDriver(home.network, home.identity, self.words, segments)
        self.driver.watch = watch
        self.work: AuditWork | None = None  # while the node runs
        self.ended: Counter[int] = Counter()  # audits of anybody since the start, by how they ended
        self.faults = 0  # of this validator, since the start
        self._height = 0
        # Endings of which the user hears nothing more: a network of one would say so in every round.
        self._told = {PASSED}

    def start(self, membership: Membership) -> "asyncio.Future[None]":
        """Audit others from now on. Returns what ends with the error that ends the node."""
        auditor = Auditor(self.root, auditor_threads(self.learning.parameters, membership.settings.threads))
        self.work = AuditWork(self.learning, self.words, membership.audit_blobs, auditor, self.news, self.watch)
        self.driver.examiner = self.work
        return self.work.failed

    async def stop(self) -> None:
        if self.work is not None:
            await self.work.stop()

    def follow(self, state: State, height: int) -> None:
        self._height = height
        self.driver.follow(state, height)

    def hear_block(self, applied: Applied) -> None:
        """What the block says of audits: of ours in a sentence to the user, of all into the log."""
        for item in applied.block.body.rounds:
            if isinstance(item, PlantReveal):
                self._hear_secret(applied.state, item)
        for receipt in applied.receipts:
            if isinstance(receipt, AuditEnded):
                self.ended[receipt.outcome] += 1
                outcome = AUDIT_PHASES[receipt.outcome]
                LOG.info("an audit has ended", round=receipt.round, node=receipt.node.hex()[:16], outcome=outcome)
                if receipt.node == self.driver.node and receipt.outcome not in self._told:
                    self.watch(f"The audit of our round {receipt.round} has ended: {ENDINGS[receipt.outcome]}")
                    if receipt.outcome == UNCHECKED:
                        self._told.add(UNCHECKED)
            elif isinstance(receipt, AuditMissed | AuditFault) and receipt.public_key == self.driver.validator_key:
                self.faults += 1
                self.watch(_fault_words(receipt))

    def _hear_secret(self, state: State, item: PlantReveal) -> None:
        """Who could not know of a planted fault has told its user of a mismatch: what that was can be said now."""
        audit, current = state.audit(item.round, item.node), state.round(item.round)
        if audit is None or current is None:
            return
        found = self.words.replayed(item.round, item.node, current.mix)
        if found is None or found.finding != MISMATCH or not is_segment_planted(audit, current.mix, self.driver.params):
            return
        node = item.node.hex()[:16]
        LOG.info("a mismatch was due to a planted fault", round=item.round, node=node, segment=audit.segment)
        self.watch(
            f"Audit of segment {audit.segment} of round {item.round} of node {node}: it was a planted fault, so the "
            "mismatch says nothing against the node"
        )

    def tidy(self, state: Callable[[], State]) -> None:
        """Forget words about audits that are over. Not for the event loop."""
        self.words.prune(lambda: state().open_audits)

    # ---- For people

    @property
    def given(self) -> int:
        """Findings and answers since the start."""
        return 0 if self.work is None else self.work.given

    @property
    def replays(self) -> bool:
        """Whether a segment is being replayed now, or was a moment ago."""
        return self.work is not None and self.work.auditor.pid is not None

    def farewell(self, pace_ms: int) -> str:
        """What is lost if the node stays away while its work is audited; empty if nothing is."""
        deadlines = [audit.deadline_height for audit in self.driver.own if audit.phase == OPENING]
        if deadlines:
            left = max(0, min(deadlines) - self._height)
            return (
                f"A round of this node is being audited: start it again within {duration(left * pace_ms // 1_000)} "
                f"(block {min(deadlines)}), or all its rewards that are not released yet are lost"
            )
        if self.driver.own:
            return (
                "A round of this node is being audited: start it again soon, so that others can fetch its states; "
                "what they cannot fetch is not paid"
            )
        return ""
