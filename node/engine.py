"""The shell around consensus: performs the effects of `consensus.step`, feeds back what happened. See `Engine.run`.

One event is handled at a time and its effects in their order; a vote is on disk before it counts anywhere.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from chain.crypto import bls
from chain.genesis import Network
from chain.transition import Applied, epoch_of
from consensus.events import (
    Built,
    CastVote,
    Effect,
    EndEpoch,
    Event,
    FetchBlock,
    Finalized,
    Halt,
    Keep,
    Linked,
    Propose,
    SetTimer,
    Signed,
    TimerFired,
)
from consensus.messages import NOTARIZE, Vote, vote_message
from consensus.state import Epoch, Root, State, Timing
from consensus.step import start, step
from node.certificates import committee_of
from node.errors import NodeError
from node.identity import Identity
from node.ledger_view import LedgerView
from node.pacing import Pacing
from node.producer import Producer
from node.sign_state import SignState

T = TypeVar("T")


class Engine:
    """Consensus for one validator. `on_final` hears of every finalized block, after it is on disk."""

    def __init__(
        self,
        view: LedgerView,
        identity: Identity,
        producer: Producer,
        sign_state: SignState,
        on_final: Callable[[Applied], None],
    ) -> None:
        self.view = view
        self.identity = identity
        self.producer = producer
        self.sign_state = sign_state
        self.on_final = on_final
        self.network: Network = view.network
        self.pacing = Pacing(view, producer, identity)
        self._events: asyncio.Queue[Event | BaseException] = asyncio.Queue()
        self._state: State | None = None
        self._epoch: Epoch | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._disk_work: set[asyncio.Future[Any]] = set()

    async def run(self) -> None:
        """Take part until cancelled. Raises NodeError if the disk fails or finality is contradicted."""
        await self._begin_epoch(epoch_of(self.view.tip.height + 1, self.network.params))
        while True:
            event = await self._events.get()
            if isinstance(event, BaseException):
                raise event
            assert self._state is not None and self._epoch is not None
            self._state, effects = step(self._state, event, self._epoch)
            for effect in effects:
                await self._perform(effect)

    def news(self) -> None:
        """Something that belongs into a block has come."""
        self.pacing.wake()

    async def stop(self) -> None:
        """End all that `run` has begun. Afterwards nothing touches the files any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*self._disk_work, return_exceptions=True)

    async def _perform(self, effect: Effect) -> None:
        match effect:
            case CastVote(kind, _, _, block_hash) if kind == NOTARIZE and not self._holds(block_hash):
                # A disk lost the block that we voted for. Repeating the vote alone would certify what nobody can show;
                # without it the view is given up, which the recorded vote allows.
                pass
            case CastVote(kind, epoch, view, block_hash):
                await self._on_disk(self.sign_state.record, kind, epoch, view, block_hash)
                self._post(Signed(self._signed(kind, epoch, view, block_hash)))
            case Keep(certificate):
                await self._on_disk(self.view.keep, certificate)
            case Propose(view, parent_hash, _):
                self._spawn(self._propose(view, parent_hash))
            case SetTimer(kind, view, delay_ms):
                self._spawn(self._wait(TimerFired(kind, view), delay_ms))
            case Finalized(block_hash, _, certificate):
                for applied in await self._on_disk(self.view.finalize, block_hash, certificate):
                    self.on_final(applied)
            case FetchBlock(_, block_hash) if self.view.knows(block_hash):
                header = self.view.block(block_hash).header
                self._post(Linked(block_hash, header.parent_hash, header.height))
            case EndEpoch(epoch, _, _):
                await self._begin_epoch(epoch + 1)
            case Halt(reason):
                raise NodeError(f"finality is contradicted: {reason}; stop and ask the other operators")
            case _:
                # Messages to peers have nobody to go to in a network of one.
                pass

    async def _begin_epoch(self, number: int) -> None:
        """Set up the committee that the state names, and go on from the last finalized block."""
        params, tip = self.network.params, self.view.tip
        committee = committee_of(self.view.state(), number)
        first = number * params.epoch_blocks + 1
        anchor_hash = tip.hash if tip.height < first else self.view.store.hash_at(first - 1)
        self._epoch = Epoch(
            chain_id=self.network.chain_id,
            number=number,
            committee=committee,
            us=committee.place_of(self.identity.validator_public_key),
            anchor_hash=anchor_hash,
            anchor_height=first - 1,
            last_height=first - 1 + params.epoch_blocks,
            timing=Timing(patience_ms=params.block_interval_max_ms),
        )
        root = Root(tip.view, tip.hash, tip.height) if tip.height >= first else None
        self._cancel_tasks()
        self._state, effects = start(self._epoch, root, self.sign_state.own_votes(number), self.view.kept())
        for effect in effects:
            await self._perform(effect)

    async def _propose(self, view: int, parent_hash: bytes) -> None:
        """Build a block when it is due and answer Built."""
        assert self._epoch is not None and self._epoch.us is not None
        applied = await self.pacing.build(self._epoch.number, view, self._epoch.us, parent_hash)
        block_hash = applied.block.header.hash()
        await self._on_disk(self.view.hold, block_hash)
        self._post(Built(view, block_hash))

    async def _wait(self, event: Event, delay_ms: int) -> None:
        await asyncio.sleep(delay_ms / 1000)
        self._post(event)

    async def _on_disk(self, work: Callable[..., T], *arguments: object) -> T:
        """Do `work` in a thread. Cancelling cannot end a thread: `stop` waits for it, since files are closed then."""
        future = asyncio.get_running_loop().run_in_executor(None, work, *arguments)
        self._disk_work.add(future)
        future.add_done_callback(self._disk_work.discard)
        return await asyncio.shield(future)

    def _signed(self, kind: int, epoch: int, view: int, block_hash: bytes) -> Vote:
        assert self._epoch is not None and self._epoch.us is not None
        message = vote_message(self.network.chain_id, kind, epoch, view, block_hash)
        signature = bls.sign(self.identity.validator_secret, message)
        return Vote(kind, epoch, view, block_hash, self._epoch.us, signature)

    def _holds(self, block_hash: bytes) -> bool:
        return self.view.knows(block_hash) or self.view.store.height_of(block_hash) is not None

    def _post(self, event: Event) -> None:
        self._events.put_nowait(event)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        # A proposal that fails must end the node with its reason: nothing else would ever propose again.
        if not task.cancelled() and (error := task.exception()) is not None:
            self._events.put_nowait(error)

    def _cancel_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
