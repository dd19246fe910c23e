"""Payloads judged and outer steps computed, away from the event loop: what a validator needs before it signs.

Everything here can be made again from the ledger and the payloads; files only save the time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from chain.block import Outcome
from chain.state import CLOSED, State
from node.counted import Counted, counted_in, root_of
from node.errors import StoreError
from node.model_store import ModelStore, step_from_payloads
from node.payload_store import PayloadStore
from training.errors import PayloadError
from training.outer import OuterState
from training.payload import decode_payload, payload_norm, payload_size

# Encoding moves every value by up to half a step, so a payload may be somewhat longer than the path that led to it.
NORM_SLACK_PERCENT = 25


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


# Asks the network for a payload: its root, its length in bytes, and who is told the payload or its file, or that nobody
# has it. Both objects of `node.blobs` and `node.blob_exchange` can do it.
Fetch = Callable[[bytes, int, Callable[[bytes | Path | None], None]], None]

# Fetches the state with these roots from other nodes and saves it; None if it could not be had. `node.model_fetch`.
FetchCheckpoint = Callable[[Outcome], Awaitable[OuterState | None]]

# The payloads that a round counted, by node id; none if it was void. Raises StoreError.
Past = Callable[[State, int], list[Counted]]


def _still_in_state(state: State, number: int) -> list[Counted]:
    """For who has no blocks to look into, see `node.past_rounds`."""
    current = state.round(number)
    if current is None:
        raise StoreError(f"the ledger has released round {number}")
    return counted_in(state, current) if current.phase == CLOSED else []


class _Coming:
    """A payload that is looked for."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.found: asyncio.Future[bytes | Path | None] = loop.create_future()  # what the network gave
        self.here: asyncio.Future[bool] = loop.create_future()  # for all who wait

    def tell(self, found: bytes | Path | None) -> None:
        """What the network gave; the first word counts."""
        if not self.found.done():
            self.found.set_result(found)


class Outcomes:
    """The model after the last closed round, and candidates for the next. Without `fetch` it has nobody to ask."""

    def __init__(self, models: ModelStore, payloads: PayloadStore, fetch: Fetch | None = None) -> None:
        self.models = models
        self.payloads = payloads
        self.fetch = fetch
        self.fetch_checkpoint: FetchCheckpoint | None = None
        self.past: Past = _still_in_state
        self.payload_bytes = payload_size(models.learning.fragment_sizes)  # of every payload of this network
        self.model: OuterState | None = None
        self.model_root = b""
        self.model_round = 0
        self._held: dict[Claimed, bool] = {}
        # One computation at a time: a second wish for the same outer step then finds it done.
        self._busy = asyncio.Lock()
        self._prepared: dict[bytes, Prepared] = {}
        self._coming: dict[bytes, _Coming] = {}  # by root

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

    async def check(self, claimed: Claimed) -> None:
        """Look whether a payload is here, is as long as claimed, decodes, and moves no further than its node went.

        One that is not here is fetched first: so check payloads of several nodes at once, not in turn.
        """
        if claimed not in self._held and claimed.payload_bytes == self.payload_bytes:
            await self._bring(claimed.payload_root)
        async with self._busy:
            if claimed not in self._held:
                self._held[claimed] = await asyncio.to_thread(self._is_sound, claimed)

    def give_up(self) -> None:
        """The time to vote has come: what is still on its way is not held. It may come later all the same."""
        for coming in self._coming.values():
            coming.tell(None)

    async def bring(self, payload_roots: Iterable[bytes]) -> bool:
        """Fetch those of these payloads that are not here. Whether all are here now."""
        return all(await asyncio.gather(*(self._bring(root) for root in dict.fromkeys(payload_roots))))

    async def _bring(self, root: bytes) -> bool:
        """Whether a payload is here, fetched if need be: once, however many wait for it."""
        while (known := self._coming.get(root)) is not None:
            await asyncio.wait([known.here])
            if not known.here.cancelled():  # Else who looked for it has stopped: it is our turn.
                return known.here.result()
        coming = self._coming[root] = _Coming()
        try:
            is_here = await asyncio.to_thread(self.payloads.has, root)
            if not is_here and self.fetch is not None:
                self.fetch(root, self.payload_bytes, coming.tell)
                found = await coming.found
                is_here = found is not None and await asyncio.to_thread(self._keep, root, found)
            coming.here.set_result(is_here)
            return is_here
        finally:
            del self._coming[root]
            coming.here.cancel()  # does nothing to one that has its result

    def _keep(self, root: bytes, found: bytes | Path) -> bool:
        """Put what has been fetched among the payloads. A full disk is told when something of our own is written."""
        try:
            if isinstance(found, bytes):
                self.payloads.put(found)
            elif found != self.payloads.path(root):
                found.replace(self.payloads.path(root))
        except (StoreError, OSError):
            return False
        return self.payloads.has(root)

    def _is_sound(self, claimed: Claimed) -> bool:
        try:
            payload = self.payloads.get(claimed.payload_root)
            numbers = decode_payload(payload, self.models.learning.fragment_sizes)
        except (StoreError, PayloadError):
            return False
        is_short = 100 * payload_norm(numbers) <= (100 + NORM_SLACK_PERCENT) * claimed.path
        return len(payload) == claimed.payload_bytes and is_short

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
            prepared = await asyncio.to_thread(self._compute, round_number, self.model, self.model_root, chosen)
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
        self.models.save_candidate(state, round_number, outcome.outer_root)
        return Prepared(round_number, base_root, outcome, state)

    def adopt(self, round_number: int, outcome: Outcome) -> bool:
        """A round has closed with this outcome: go on from it. False if we have not computed it."""
        prepared = self._prepared.get(outcome.counted_root)
        if prepared is None or prepared.outcome != outcome:
            return False
        self.models.accept(round_number, outcome.outer_root)
        self._take(prepared.state, outcome.outer_root, round_number)
        return True

    def restore(self, state: State) -> None:
        """At the start: the model that the ledger names, from its file, else from an older one (or birth) and payloads.

        Raises StoreError if a payload that is needed is missing.
        """
        wanted = state.ledger.model.outer_root
        saved = self.models.find(wanted)
        if saved is not None:
            self._take(saved.state, wanted, saved.round)
            return
        model, number = self._older(state)
        while number < state.ledger.ended_round:
            number += 1
            chosen = self.past(state, number)
            if chosen:
                model = step_from_payloads(model, chosen, self.payloads, self.models.learning)
        outcome = self.models.learning.outcome(state.ledger.model.counted_root, model)
        if outcome.outer_root != wanted:
            raise StoreError("the model rebuilt from the payloads is not the ledger's: run `neuroshard archive verify`")
        self.models.save(model, number, wanted)
        self._take(model, wanted, number)

    def since(self, state: State) -> list[bytes]:
        """The payloads that lead from the newest model that is here to the ledger's. Raises StoreError."""
        _, number = self._older(state)
        rounds = range(number + 1, state.ledger.ended_round + 1)
        return [counted.payload_root for each in rounds for counted in self.past(state, each)]

    def _older(self, state: State) -> tuple[OuterState, int]:
        """The newest sound state that is not above the ledger's, or the born model; and its round."""
        saved = self.models.newest_sound(state.ledger.ended_round)
        return (self.models.learning.born(), 0) if saved is None else (saved.state, saved.round)

    def _take(self, state: OuterState, root: bytes, round_number: int) -> None:
        self.model, self.model_root, self.model_round = state, root, round_number
        self._held.clear()
