"""What a node looks at and computes while rounds go on: payloads checked, outer steps prepared, models adopted.

One task does it, for the newest state. A model that cannot be rebuilt yet, because a payload is missing, is tried again
later; the node goes on without it, and trains again when it has it. Start reading at `Attendance.run`.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from chain.receipts import RoundClosed
from chain.rounds import counted
from chain.state import HOLDING, RESULT, Revealed, State
from node.counted import Counted, counted_in
from node.errors import StoreError
from node.outcomes import Claimed, Outcomes

RETRY_S, RETRY_MAXIMUM_S = 1.0, 30.0
NEAR_ROUNDS = 2  # so few are made up for from their payloads


def claimed_of(revealed: Revealed) -> Claimed:
    return Claimed(revealed.payload_root, revealed.payload_bytes, revealed.path)


class Attendance:
    """`news` is told when there is more to say about the round, `adopted` when the ledger's model is here again."""

    def __init__(self, outcomes: Outcomes, news: Callable[[], None], adopted: Callable[[], None]) -> None:
        self.outcomes = outcomes
        self.news = news
        self.adopted = adopted
        self.trouble = ""  # why the ledger's model is not here, for people
        self._state: State | None = None
        self._foreseen: tuple[Claimed, int, Counted] | None = None
        self._rebuilding: asyncio.Future[None] | None = None
        self._wake = asyncio.Event()

    def closed(self, receipt: RoundClosed) -> bool:
        """A round has closed: go on from its outcome. If we have not computed it, `run` fetches what that takes."""
        return self.outcomes.adopt(receipt.round, receipt.outcome)

    def follow(self, state: State) -> None:
        """The newest finalized state."""
        self._state = state
        self._wake.set()

    def foresee(self, claimed: Claimed, round_number: int, own: Counted) -> None:
        """Our own payload is ready: judge it before it is asked for, and for a lone trainer compute the outer step."""
        self._foreseen = claimed, round_number, own
        self._wake.set()

    async def run(self) -> None:
        """Attend until cancelled. Raises only what is this machine's own fault."""
        wait_s = RETRY_S
        while True:
            self._wake.clear()
            work = asyncio.ensure_future(self.attend())
            try:
                is_done = await self._unless_overtaken(work)
            finally:
                work.cancel()
            if is_done:
                wait_s = RETRY_S
            with suppress(TimeoutError):
                async with asyncio.timeout(None if is_done else wait_s):
                    await self._wake.wait()
                continue
            wait_s = min(RETRY_MAXIMUM_S, wait_s * 1.5)

    async def _unless_overtaken(self, work: "asyncio.Future[bool]") -> bool:
        """The result of `work`; True if the round has gone on meanwhile, so that something else has to be done."""
        at = self._place()
        while not work.done():
            wake = asyncio.ensure_future(self._wake.wait())
            both: list[asyncio.Future[Any]] = [work, wake]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            wake.cancel()
            if not work.done():
                if self._place() != at:
                    return True
                self._wake.clear()
        return work.result()

    def _place(self) -> object:
        """What has to be done depends on this."""
        if self._state is None:
            return self._foreseen
        ledger = self._state.ledger
        current = self._state.round(ledger.round)
        return self._foreseen, ledger.model.outer_root, None if current is None else (current.number, current.phase)

    async def attend(self) -> bool:
        """Do once what the newest state asks for; False if something is missing that may come later."""
        state = self._state
        if self._foreseen is not None:
            await self._look_ahead(*self._foreseen)
        if state is None:
            return True
        if self.outcomes.model_root != state.ledger.model.outer_root and not await self._catch_up(state):
            return False
        current = state.round(state.ledger.round)
        if current is None or current.phase not in (HOLDING, RESULT):
            return True
        if current.phase == HOLDING:
            await self._check(current.revealed)
            return True
        wanted = counted(state, current)
        await self._check_again(wanted)
        prepared = await self.outcomes.prepare(current.number, counted_in(state, current))
        self.news()
        return prepared is not None

    async def _look_ahead(self, claimed: Claimed, round_number: int, own: Counted) -> None:
        foreseen = self._foreseen
        await self.outcomes.check(claimed)
        current = None if self._state is None else self._state.round(round_number)
        if current is not None and current.participants == 1:
            await self.outcomes.prepare(round_number, [own])
        if self._foreseen is foreseen:
            self._foreseen = None
        self.news()

    async def _check(self, payloads: Sequence[Revealed]) -> None:
        """Get and judge payloads, all at once: a slow one does not hold up the others."""

        async def check(claimed: Claimed) -> None:
            await self.outcomes.check(claimed)
            self.news()

        await asyncio.gather(*(check(claimed_of(revealed)) for revealed in payloads))

    async def _check_again(self, payloads: Sequence[Revealed]) -> None:
        """A payload that most validators hold can be had, even if it could not a while ago."""
        missing = [revealed for revealed in payloads if not self.outcomes.holds(claimed_of(revealed))]
        for revealed in missing:
            self.outcomes.forget(claimed_of(revealed))
        await self._check(missing)

    async def _catch_up(self, state: State) -> bool:
        """Have the ledger's model: from the newest one that we have and the payloads since, or as it is from others."""
        is_far = state.ledger.ended_round - self.outcomes.models.newest_round() > NEAR_ROUNDS
        try:
            if not (is_far and await self._fetched(state)):
                await self._follow_payloads(state, is_far)
        except StoreError as error:
            self.trouble = str(error)
            return False
        self.trouble = ""
        self.adopted()
        return True

    async def _follow_payloads(self, state: State, was_asked: bool) -> None:
        try:
            await self.outcomes.bring(await asyncio.to_thread(self.outcomes.since, state))
            await self._rebuild(state)
        except StoreError:
            if was_asked or not await self._fetched(state):
                raise

    async def _fetched(self, state: State) -> bool:
        """The model itself from other nodes, saved and taken for ours, if they have it."""
        fetch = self.outcomes.fetch_checkpoint
        if fetch is None or await fetch(state.ledger.model) is None:
            return False
        await self._rebuild(state)
        return True

    async def _rebuild(self, state: State) -> None:
        """One at a time: a thread goes on although nobody waits for it any more, and what it makes is the next base."""
        if self._rebuilding is not None:
            await asyncio.wait([self._rebuilding])
        self._rebuilding = asyncio.ensure_future(asyncio.to_thread(self.outcomes.restore, state))
        await asyncio.shield(self._rebuilding)
