"""Payloads judged and outer steps computed, away from the event loop: what a validator needs before it signs.

Everything here can be made again from the ledger and the payloads; files only save the time.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

from chain.block import Outcome
from chain.state import State
from network.pages import Wanted
from node.accepted import Accepted
from node.bringing import Bringing, Fetch
from node.counted import Closed, Counted, closed_in, root_of
from node.errors import ModelDiffers, StoreError
from node.model_store import ModelStore, check_outcome, step_from_payloads
from node.payload_store import PayloadStore
from training.errors import PayloadError
from training.outer import OuterState
from training.payload import payload_norm, payload_size

# Encoding moves every value by up to half a step, so a payload may be somewhat longer than the path that led to it.
NORM_SLACK_PERCENT = 25
# The outer step gives way to making blocks. Not by more: a thread that waits long for a core may do so while it holds
# the interpreter's lock, and then the event loop waits too.
NICENESS = 5

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """An outer step computed in advance."""

    round: int
    base_root: bytes
    outcome: Outcome
    state: OuterState


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a reveal says of its payload: root, length, and how far the node went (units of 2⁻²⁴)."""

    payload_root: bytes
    payload_bytes: int
    path: int


# What a round that is over counted and gave; None if it was void. Raises StoreError.
Past = Callable[[State, int], Closed | None]

# Fetches the state with these roots from other nodes and saves it; None if it could not be had. `node.model_fetch`.
FetchCheckpoint = Callable[[Outcome], Awaitable[OuterState | None]]


def _still_in_state(state: State, number: int) -> Closed | None:
    """For who has no blocks to look into, see `node.past_rounds`."""
    current = state.round(number)
    if current is None:
        raise StoreError(f"the ledger has released round {number}")
    return closed_in(state, current)


def _give_way() -> None:
    """Lower this thread's priority. On Linux every thread has its own; elsewhere the number would be another's."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


class Outcomes:
    """The model after the last closed round, and candidates for the next. Without `fetch` it has nobody to ask."""

    def __init__(self, models: ModelStore, payloads: PayloadStore, fetch: Fetch | None = None) -> None:
        self.models = models
        self.payloads = payloads
        self.aggregates = PayloadStore(payloads.folder.with_name("aggregates"), "blob of an outer step")
        self.accepted = Accepted(self.aggregates, models.learning)
        self._payloads_coming = Bringing(payloads, fetch)
        self._aggregates_coming = Bringing(self.aggregates, fetch)
        self.fetch_checkpoint: FetchCheckpoint | None = None
        self.past: Past = _still_in_state
        self.payload_bytes = payload_size(models.learning.fragment_sizes)  # of every payload of this network
        self.model: OuterState | None = None
        self.model_root = b""
        self.model_round = 0
        self._held: dict[Claimed, bool] = {}
        # One computation at a time: a second wish for the same outer step then finds it done. A thread goes on when
        # nobody waits for it any more, and what it makes is the next base.
        self._busy = asyncio.Lock()
        self._worker = ThreadPoolExecutor(1, "outer step", initializer=_give_way)
        self._prepared: dict[bytes, Prepared] = {}

    def fetch_by(self, fetch: Fetch) -> None:
        """Whom to ask from now on."""
        self._payloads_coming.fetch = self._aggregates_coming.fetch = fetch

    async def aside(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do this away from the event loop, after what was asked for before, and without hurrying."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, lambda: work(*args, **kwargs))

    @property
    def model_path(self) -> Path:
        return self.models.path(self.model_round)

    def holds(self, claimed: Claimed) -> bool | None:
        """Whether we have this payload and it is sound; None while nobody has looked, or it is being fetched."""
        return self._held.get(claimed)

    def forget(self, claimed: Claimed) -> None:
        """Look again at the next `check`."""
        self._held.pop(claimed, None)

    def prepared(self, counted_root: bytes, base_root: bytes) -> Outcome | None:
        """The outcome of counting these payloads on this base, if it has been computed."""
        found = self._prepared.get(counted_root)
        return found.outcome if found is not None and found.base_root == base_root else None

    @property
    def candidates(self) -> list[Outcome]:
        """What has been computed and may be agreed on."""
        return [each.outcome for each in self._prepared.values()]

    async def check(self, claimed: Claimed) -> None:
        """Look whether a payload is here, is as long as claimed, decodes, and moves no further than its node went.

        One that is not here is fetched first: so check payloads of several nodes at once, not in turn.
        """
        if claimed not in self._held and claimed.payload_bytes == self.payload_bytes:
            await self._payloads_coming.bring(self._wanted(claimed.payload_root))
        async with self._busy:
            if claimed not in self._held:
                self._held[claimed] = await self.aside(self._is_sound, claimed)

    async def bring(self, payload_roots: Iterable[bytes]) -> bool:
        """Fetch those of these payloads that are not here. Whether all are here now."""
        return await self._payloads_coming.bring_all(map(self._wanted, payload_roots))

    async def bring_accepted(self, outcome: Outcome) -> bool:
        """Fetch what a round gave, if it is not here. Whether it is now."""
        return await self._aggregates_coming.bring_all(self.accepted.wanted(outcome))

    def _wanted(self, payload_root: bytes) -> Wanted:
        return Wanted(payload_root, self.payload_bytes, self.payload_bytes)

    def _is_sound(self, claimed: Claimed) -> bool:
        """Zero is the payload of who has not trained: it is refused, whatever path is claimed for it."""
        try:
            payload = self.payloads.open(claimed.payload_root)
            norm = payload_norm(payload, self.models.learning.fragment_sizes)
        except (StoreError, PayloadError):
            return False
        is_short = 100 * norm <= (100 + NORM_SLACK_PERCENT) * claimed.path
        return len(payload) == claimed.payload_bytes and norm > 0 and is_short

    async def prepare(self, round_number: int, chosen: Sequence[Counted]) -> Prepared | None:
        """Compute and save the outer step over these payloads, by node id. None if a payload is bad.

        Payloads that are not here are fetched first: others may hold what came too late for us to vote for it.
        """
        await self.bring(each.payload_root for each in chosen)
        root = root_of(chosen)
        async with self._busy:
            known = self._prepared.get(root)
            if known is not None and known.base_root == self.model_root:
                return known
            assert self.model is not None
            prepared = await self.aside(self._compute, round_number, self.model, self.model_root, chosen)
            if prepared is not None:
                self._prepared = {root: prepared}
            return prepared

    def _compute(
        self, round_number: int, base: OuterState, base_root: bytes, chosen: Sequence[Counted]
    ) -> Prepared | None:
        learning = self.models.learning
        try:
            state = step_from_payloads(base, chosen, self.payloads, learning)
        except (StoreError, PayloadError):
            return None
        outcome = learning.outcome(root_of(chosen), state)
        # Others ask for it as soon as the round has closed.
        self.accepted.keep(state)
        self.models.save_candidate(state, round_number, outcome.outer_root)
        return Prepared(round_number, base_root, outcome, state)

    def adopt(self, outcome: Outcome) -> bool:
        """A round has closed with this outcome: go on from it. False if we have not computed it."""
        prepared = self._prepared.get(outcome.counted_root)
        if prepared is None or prepared.outcome != outcome:
            return False
        try:
            self.models.accept(prepared.round, outcome.outer_root)
        except StoreError:
            self._prepared.pop(outcome.counted_root, None)  # Its file is gone, perhaps: from here on, make it anew.
            raise
        self._take(prepared.state, outcome.outer_root, prepared.round)
        return True

    def restore(self, state: State) -> None:
        """The model that the ledger names, from its file, else from an older one (or birth) and what rounds gave.

        Raises StoreError if something that is needed is missing, ModelDiffers if it leads to another model.
        """
        wanted = state.ledger.model.outer_root
        saved = self.models.find(wanted)
        if saved is not None:
            self._take(saved.state, wanted, saved.round)
            return
        model, number = self._older(state)
        for closed in self._closed_since(number, state):
            model, number = self._step(model, closed), closed.round
        ledgers = state.ledger.model
        check_outcome(self.models.learning.outcome(ledgers.counted_root, model), ledgers, number)
        self.models.save(model, number, wanted)
        self._take(model, wanted, number)

    def missing(self, state: State) -> list[Closed]:
        """The rounds between the newest model that is here and the ledger's. Raises StoreError."""
        if self.models.find(state.ledger.model.outer_root) is not None:
            return []
        _, number = self._older(state)
        return self._closed_since(number, state)

    def _closed_since(self, number: int, state: State) -> list[Closed]:
        past = (self.past(state, each) for each in range(number + 1, state.ledger.ended_round + 1))
        return [closed for closed in past if closed is not None]

    def _step(self, base: OuterState, closed: Closed) -> OuterState:
        """The model after a round: from what its signers accepted if that is here, else from its payloads."""
        learning = self.models.learning
        if self.accepted.has(closed.outcome):
            state = self.accepted.step(base, closed)
        else:
            try:
                state = step_from_payloads(base, closed.counted, self.payloads, learning)
            except PayloadError as error:
                raise ModelDiffers(f"round {closed.round}: what it counted are no payloads: {error}") from error
            self.accepted.keep(state)
        check_outcome(learning.outcome(closed.outcome.counted_root, state), closed.outcome, closed.round)
        return state

    def _older(self, state: State) -> tuple[OuterState, int]:
        """The newest sound state that is not above the ledger's, or the born model; and its round."""
        saved = self.models.newest_sound(state.ledger.ended_round)
        return (self.models.learning.born(), 0) if saved is None else (saved.state, saved.round)

    def _take(self, state: OuterState, root: bytes, round_number: int) -> None:
        self.model, self.model_root, self.model_round = state, root, round_number
        self._held.clear()
