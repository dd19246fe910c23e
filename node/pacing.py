"""When the next block is due, and making it then.

Waiting goes by the monotonic clock, so that setting the wall clock neither stalls the chain nor floods it; a header's
time is the wall clock's, but never before what the rules allow.
"""

import asyncio
import time

from chain.transition import Applied, Proposal
from node.clock import wall_ms
from node.identity import Identity
from node.ledger_view import LedgerView
from node.producer import Producer


class Pacing:
    """A block at the usual interval if there is something to say, at once if a round waits for it, else a heartbeat."""

    def __init__(self, view: LedgerView, producer: Producer, identity: Identity) -> None:
        self.view = view
        self.producer = producer
        self.identity = identity
        self.params = view.network.params
        self._built_at = float("-inf")
        self._news = asyncio.Event()

    def wake(self) -> None:
        self._news.set()

    async def build(self, epoch: int, view: int, proposer: int, parent_hash: bytes) -> Applied:
        """Wait until a block is due, then build it on `parent_hash`."""
        await self._due(parent_hash)
        found = self.view.built_on(parent_hash)
        assert found is not None
        state, parent = found
        chain_id = self.view.network.chain_id
        time_ms = max(wall_ms(), parent.time_ms + self.params.block_interval_min_ms)
        chosen = Proposal(epoch, view, time_ms, proposer, self.identity.beacon_reveal(chain_id, epoch, view))
        body = self.producer.body(state, parent, chosen, self.view.notarization_of(parent_hash))
        self._built_at = time.monotonic()
        return self.view.build(parent_hash, chosen, body)

    async def _due(self, parent_hash: bytes) -> None:
        params = self.params
        while True:
            self._news.clear()
            passed_ms = (time.monotonic() - self._built_at) * 1000
            wait_ms = params.block_interval_min_ms - passed_ms
            if wait_ms <= 0:
                found = self.view.built_on(parent_hash)
                assert found is not None
                state = found[0]
                if self.producer.is_urgent(state) or passed_ms >= params.block_interval_max_ms:
                    return
                has_news = self.producer.has_news(state, wall_ms())
                if has_news and passed_ms >= params.block_interval_ms:
                    return
                wait_ms = (params.block_interval_ms if has_news else params.block_interval_max_ms) - passed_ms
                await self._news_or(wait_ms)
            else:
                await asyncio.sleep(wait_ms / 1000)

    async def _news_or(self, wait_ms: float) -> None:
        try:
            await asyncio.wait_for(self._news.wait(), max(wait_ms, 1) / 1000)
        except TimeoutError:
            return
