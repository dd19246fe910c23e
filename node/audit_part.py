"""All that a running node does for audits, wired together: what it says, what it finds out, and what its user reads."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from chain.state import OPENING, State
from node.audit_driver import AuditDriver
from node.audit_words import Words
from node.audit_work import AuditWork
from node.auditor import Auditor
from node.home import Home
from node.membership import Membership
from node.round_now import duration
from node.segment_store import SegmentStore
from node.template import Learning

WORDS = "verdicts"  # the folder


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
        self._height = 0

    def start(self, membership: Membership) -> "asyncio.Future[None]":
        """Audit others from now on. Returns what ends with the error that ends the node."""
        auditor = Auditor(self.root)
        self.work = AuditWork(self.learning, self.words, membership.audit_blobs, auditor, self.news, self.watch)
        self.driver.examiner = self.work
        return self.work.failed

    async def stop(self) -> None:
        if self.work is not None:
            await self.work.stop()

    def follow(self, state: State, height: int) -> None:
        self._height = height
        self.driver.follow(state, height)

    def tidy(self, state: State) -> None:
        """Forget words about audits that are over. Not for the event loop."""
        self.words.prune(state.open_audits)

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
