"""What a node looks at and computes while rounds go on: payloads checked, outer steps prepared, models adopted.

Only who attests a round fetches and judges its payloads. All others wait for its end and take the step with the
accepted aggregate, whatever the number of payloads: the ledger's root tells that it is the right one.

One task does it, for the newest state. A model that cannot be had yet, because something is missing, is tried again
later; the node goes on without it, and trains again when it has it. Start reading at `Attendance.run`.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from chain.rounds import counted
from chain.state import HOLDING, RESULT, Revealed, Round, State
from node.counted import Closed, Counted, counted_in
from node.errors import ModelDiffers, StoreError
from node.logs import log_of
from node.outcomes import Claimed, Outcomes

RETRY_S, RETRY_MAXIMUM_S = 1.0, 30.0
# A checkpoint has 9 bytes a parameter (weights, momentum, aggregate), an accepted aggregate 1: whoever has missed more
# rounds than this asks for a checkpoint first.
ROUNDS_BY_AGGREGATE = 8
LOG = log_of("rounds")


def claimed_of(revealed: Revealed) -> Claimed:
    return Claimed(revealed.payload_root, revealed.payload_bytes, revealed.path)


class Attendance:
    """`news` is told when there is more to say about the round, `adopted` when the ledger's model is here again.

    `attests`: whether this node is in the validator set that says what a round gave.
    """

    def __init__(
        self,
        outcomes: Outcomes,
        attests: Callable[[State, Round], bool],
        news: Callable[[], None],
        adopted: Callable[[], None],
    ) -> None:
        self.outcomes = outcomes
        self.attests = attests
        self.news = news
        self.adopted = adopted
        self.trouble = ""  # why the ledger's model is not here, for people
        self._state: State | None = None
        self._differed: tuple[bytes, int] | None = None  # with this model in this round: once is enough
        self._told: bytes | None = None  # root of the newest model that `adopted` was told of, or that was there before
        self._foreseen: tuple[Claimed, int, Counted] | None = None
        self._wake = asyncio.Event()

    def follow(self, state: State) -> None:
        """The newest finalized state."""
        self._told = self.outcomes.model_root if self._told is None else self._told
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
            at = self._place()
            work = asyncio.ensure_future(self.attend())
            try:
                is_done = await self._unless_overtaken(work, at)
            finally:
                work.cancel()
            if is_done:
                wait_s = RETRY_S
                await self._wake.wait()
            elif not await self._goes_on(at, wait_s):
                wait_s = min(RETRY_MAXIMUM_S, wait_s * 1.5)

    async def _goes_on(self, at: object, seconds: float) -> bool:
        """Wait so long before the same is tried again, or until the round goes on: a block alone brings nothing new.

        To find out what is missing takes a look into every model file.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._place() == at:
                    self._wake.clear()
                    await self._wake.wait()
                return True
        return False

    async def _unless_overtaken(self, work: "asyncio.Future[bool]", at: object) -> bool:
        """The result of `work`; True if the round has gone on meanwhile, so that something else has to be done."""
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
        if self._told != self.outcomes.model_root:
            # Not in `_catch_up`: who waited for the model may have been overtaken, and the thread has gone on.
            self._told = self.outcomes.model_root
            self.adopted()
        current = state.round(state.ledger.round)
        if current is None or current.phase not in (HOLDING, RESULT) or not self.attests(state, current):
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
        foreseen, state = self._foreseen, self._state
        current = None if state is None else state.round(round_number)
        if state is not None and current is not None and self.attests(state, current):
            await self.outcomes.check(claimed)
            if current.participants == 1:
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
        """Get the ledger's model: computed here, else from its file, else from what others give; see `_bring`.

        One that differs is computed anew in the next round only: the same files would give the same again.
        """
        outcomes, place = self.outcomes, (state.ledger.model.outer_root, state.ledger.round)
        if self._differed == place:
            return False
        try:
            if not await outcomes.aside(outcomes.adopt, state.ledger.model):
                await self._bring(state, await outcomes.aside(outcomes.missing, state))
                await outcomes.aside(outcomes.restore, state)
        except StoreError as error:
            if isinstance(error, ModelDiffers):
                self._differed = place
                if str(error) != self.trouble:
                    LOG.error("this node does not train: its model is not the ledger's", reason=str(error))
            self.trouble = str(error)
            return False
        self.trouble = ""
        return True

    async def _bring(self, state: State, missing: Sequence[Closed]) -> None:
        """Fetch what leads over the rounds that we have missed.

        What rounds accepted is the shortest way; over many of them a checkpoint is. Payloads are the longest.
        """
        if len(missing) > ROUNDS_BY_AGGREGATE and await self._by_checkpoint(state):
            return
        found = await asyncio.gather(*(self.outcomes.bring_accepted(each.outcome) for each in missing))
        lacking = [each for each, is_here in zip(missing, found, strict=True) if not is_here]
        if not lacking or (len(missing) <= ROUNDS_BY_AGGREGATE and await self._by_checkpoint(state)):
            return
        numbers = [each.round for each in lacking]
        LOG.warning("nobody gives the accepted aggregate: its payloads are fetched instead", rounds=numbers)
        await self.outcomes.bring(payload.payload_root for each in lacking for payload in each.counted)

    async def _by_checkpoint(self, state: State) -> bool:
        """Whether the ledger's model could be had whole; it has been saved then."""
        fetch = self.outcomes.fetch_checkpoint
        return fetch is not None and await fetch(state.ledger.model) is not None
