"""What makes a node an archive: every payload that the ledger counts is here. Start reading at `ArchiveKeeper.run`.

Rounds that have just ended come first, since most nodes will soon forget their payloads; then older ones, the newest
first. What nobody could give is tried again later.
"""

import asyncio
from contextlib import suppress

from chain.receipts import RoundClosed, RoundVoid
from chain.transition import Applied
from node.errors import StoreError
from node.logs import log_of
from node.outcomes import Outcomes
from node.past_rounds import payloads_of
from node.store import Store

AGAIN_S = 60.0
LOG = log_of("archive")


class ArchiveKeeper:
    """`missing`: rounds of which a payload is not here yet, or was not looked for."""

    def __init__(self, store: Store, outcomes: Outcomes) -> None:
        self.store = store
        self.outcomes = outcomes
        if store.pruned_payloads() != (0, 0):
            # It was no archive before: what it has forgotten is fetched again.
            store.note_pruned_payloads(0, 0)
            store.note_complete(0)
        self._ended = store.complete_round
        self.missing: set[int] = set()
        self._news = asyncio.Event()

    def hear_block(self, applied: Applied) -> None:
        """A block is final."""
        if any(isinstance(receipt, RoundClosed | RoundVoid) for receipt in applied.receipts):
            self._news.set()

    async def run(self) -> None:
        """Fetch what is missing, until cancelled."""
        tried: set[int] = set()
        while True:
            self._news.clear()
            self._learn()
            left = self.missing - tried
            if left:
                number = max(left)
                tried.add(number)
                if await self._bring(number):
                    self.missing.discard(number)
                    await asyncio.to_thread(self._note)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(AGAIN_S if self.missing else None):
                    await self._news.wait()
                continue
            tried.clear()

    def _learn(self) -> None:
        """Rounds that have ended since."""
        ended = self.store.state().ledger.ended_round
        self.missing.update(range(self._ended + 1, ended + 1))
        self._ended = max(self._ended, ended)

    async def _bring(self, number: int) -> bool:
        """Whether all payloads of a round are here now."""
        try:
            state = self.store.state()
            counted = await asyncio.to_thread(payloads_of, self.store, state, number)
        except StoreError as error:
            LOG.warning("the payloads of a round are not known", round=number, reason=str(error))
            return False
        if await self.outcomes.bring(each.payload_root for each in counted):
            return True
        LOG.warning("no peer has a payload of a round", round=number)
        return False

    def _note(self) -> None:
        """Up to which round nothing is missing: the next start begins there."""
        complete = min(self.missing, default=self._ended + 1) - 1
        if complete > self.store.complete_round:
            self.store.note_complete(complete)
