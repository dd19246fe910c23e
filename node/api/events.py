"""The event stream: what happens in the node, sent to every listener as Server-Sent Events.

An event is encoded once, whoever listens, and not at all if nobody does. A listener that does not keep up is dropped.
"""

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from aiohttp import web

from chain.address import to_text
from chain.receipts import (
    AuditDrawn,
    AuditEnded,
    AuditFault,
    AuditMissed,
    AutoBonded,
    Jailed,
    Receipt,
    RoundClosed,
    RoundOpened,
    RoundVoid,
    StakeLeft,
    Tombstoned,
)
from chain.state import AUDIT_PHASES
from chain.transition import Applied
from node.api.block_answers import summary
from node.api.wallet_events import chosen, wallet_events
from node.node import Node
from node.round_history import finite
from node.round_now import pace_ms, seconds_left
from node.status import as_json, status_of
from node.trainer_messages import Stepped, TrainerEvent, Validated

QUEUE_EVENTS = 64
HEARTBEAT_SECONDS = 15.0
WRITE_SECONDS = 10.0
STATUS_SECONDS = 1.0
PROGRESS_SECONDS = 0.5
PROOFS_TOLD, CHANGES_TOLD = 32, 32  # of one block
KINDS = {
    "status": "the whole status, first and whenever it has changed, at most once a second",
    "block": "a block is final",
    "proofs": "proofs of work in it",
    "round_opened": "a round has begun",
    "round_phase": "a round has gone on to its next phase",
    "round_closed": "a round has changed the model",
    "round_void": "a round has ended without a result",
    "audit": "audits have been drawn, have ended, or an auditor was silent or at fault",
    "stake": "a block has changed stakes or who may vote",
    "payment": "a payment from or to one of the addresses that were asked for",
    "earning": "one of these addresses was paid or lost something otherwise",
    "progress": "inner steps of this node's trainer, at most twice a second",
    "validated": "the loss of the model after a round has been measured",
    "dropped": "this listener did not keep up: the stream ends",
    "end": "the node stops: the stream ends",
}


def stake_change(receipt: Receipt) -> dict[str, Any] | None:
    """A receipt of stake as JSON; None for any other."""
    match receipt:
        case AutoBonded(wallet, amount):
            return {"kind": "auto_bonded", "wallet": to_text(wallet), "amount_nanos": str(amount)}
        case StakeLeft(wallet, amount, ready):
            told = {"wallet": to_text(wallet), "amount_nanos": str(amount)}
            return {"kind": "stake_left", **told, "ready_epoch": ready}
        case Jailed(wallet, until):
            return {"kind": "jailed", "wallet": to_text(wallet), "until_epoch": until}
        case Tombstoned(key, lost, reporter, reward):
            told = {"validator_key": key.hex(), "lost_nanos": str(lost)}
            return {"kind": "banned", **told, "reporter": to_text(reporter), "reward_nanos": str(reward)}
    return None


def audit_change(receipt: Receipt) -> dict[str, Any] | None:
    """A receipt of an audit as JSON; None for any other."""
    match receipt:
        case AuditDrawn(number, node, segment, attempt, auditors):
            told = {"round": number, "node": node.hex(), "segment": segment, "attempt": attempt}
            return {"kind": "drawn", **told, "auditors": list(auditors)}
        case AuditEnded(number, node, outcome, attempts):
            told = {"round": number, "node": node.hex(), "outcome": AUDIT_PHASES[outcome]}
            return {"kind": "ended", **told, "attempts": attempts}
        case AuditMissed(number, node, key, misses):
            return {"kind": "missed", "round": number, "node": node.hex(), "validator_key": key.hex(), "misses": misses}
        case AuditFault(number, node, key, lost):
            told = {"round": number, "node": node.hex(), "validator_key": key.hex()}
            return {"kind": "fault", **told, "lost_nanos": str(lost)}
    return None


class Listener:
    """One open stream."""

    def __init__(self, events: int, addresses: frozenset[bytes] = frozenset()) -> None:
        self.addresses = addresses  # whose payments and earnings it is told
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue(events + 2)
        self.events = events
        self.is_dropped = False

    def tell(self, event: bytes) -> bool:
        """Queue an event; False if the queue is full."""
        if self.queue.qsize() >= self.events:
            return False
        self.queue.put_nowait(event)
        return True

    def end(self, last_words: bytes) -> None:
        """Nothing that waits is sent any more, but these words."""
        self.is_dropped = True
        while not self.queue.empty():
            self.queue.get_nowait()
        self.queue.put_nowait(last_words)
        self.queue.put_nowait(None)


class Events:
    """All open streams of one node."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.heartbeat_seconds = HEARTBEAT_SECONDS
        self.queue_events = QUEUE_EVENTS
        self.closed = False
        self._listeners: set[Listener] = set()
        self._number = 0
        self._progress_at = float("-inf")
        self._last_status: dict[str, object] = {}
        self._last_phase: tuple[int, str] | None = None
        self._ticking: asyncio.Task[None] | None = None

    @property
    def streams(self) -> int:
        return len(self._listeners)

    def start(self) -> None:
        self.node.hear_block.append(self.hear_block)
        self.node.hear_trainer.append(self.hear_trainer)
        self._ticking = asyncio.create_task(self._tick())

    async def stop(self) -> None:
        """End every stream with a word."""
        self.closed = True
        for listener in list(self._listeners):
            listener.end(self._encode("end", {"reason": "the node stops"}))
        ticking, self._ticking = self._ticking, None
        if ticking is not None:
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)
            self.node.hear_block.remove(self.hear_block)
            self.node.hear_trainer.remove(self.hear_trainer)

    def announce(self, kind: str, content: dict[str, Any]) -> None:
        """Tell every listener; who has not taken the last events is dropped with a word."""
        if not self._listeners:
            return
        event = self._encode(kind, content)
        for listener in list(self._listeners):
            self._tell(listener, event)

    def _tell(self, listener: Listener, event: bytes) -> None:
        if listener in self._listeners and not listener.tell(event):
            self._listeners.discard(listener)
            listener.end(self._encode("dropped", {"reason": f"{listener.events} events were not taken in time"}))

    def _encode(self, kind: str, content: dict[str, Any]) -> bytes:
        self._number += 1
        return f"id: {self._number}\nevent: {kind}\ndata: {json.dumps(content)}\n\n".encode()

    async def _tick(self) -> None:
        """The status, once for all listeners, when it has changed."""
        while True:
            await asyncio.sleep(STATUS_SECONDS)
            if self._listeners:
                status = as_json(status_of(self.node))
                if status != self._last_status:
                    self._last_status = status
                    self.announce("status", status)

    def hear_block(self, applied: Applied) -> None:
        if not self._listeners:
            return
        block = applied.block
        self.announce("block", summary(block))
        if block.body.proofs:
            names = ("round", "segment", "tokens", "loss_milli")
            told = [
                {"node": proof.node.hex(), **{name: getattr(proof, name) for name in names}}
                for proof in block.body.proofs[:PROOFS_TOLD]
            ]
            content = {"height": block.header.height, "count": len(block.body.proofs), "proofs": told}
            self.announce("proofs", content)
        for receipt in applied.receipts:
            match receipt:
                case RoundOpened(number, base):
                    self.announce("round_opened", {"round": number, "base_outer_root": base.outer_root.hex()})
                case RoundClosed(number, outcome):
                    self.announce("round_closed", {"round": number, "model_root": outcome.model_root.hex()})
                case RoundVoid(number):
                    self.announce("round_void", {"round": number})
        self._tell_phase()
        self._tell_changes(applied, "audit", audit_change)
        self._tell_changes(applied, "stake", stake_change)
        self._tell_wallets(applied)

    def _tell_wallets(self, applied: Applied) -> None:
        """What concerns the addresses that a listener has named."""
        named = [listener for listener in self._listeners if listener.addresses]
        if not named:
            return
        found = wallet_events(applied, frozenset[bytes]().union(*(each.addresses for each in named)), self.node.network)
        for listener in named:
            for event in chosen(found, listener.addresses):
                self._tell(listener, self._encode(event.kind, event.content))

    def _tell_phase(self) -> None:
        """The newest round, if it is in another phase than when it was told last."""
        now = self.node.facts.round
        if now is None or (now.number, now.phase) == self._last_phase:
            return
        self._last_phase = now.number, now.phase
        pace = pace_ms(tuple(self.node.readings.block_times_ms), self.node.network.params)
        names = (
            *("phase", "height", "deadline_height", "blocks_left", "participants", "awaited", "committed", "revealed"),
            "held",
        )
        told = {"round": now.number, **{name: getattr(now, name) for name in names}}
        self.announce("round_phase", told | {"seconds_left": seconds_left(now, pace)})

    def _tell_changes(self, applied: Applied, kind: str, told: Callable[[Receipt], dict[str, Any] | None]) -> None:
        changes = [change for receipt in applied.receipts if (change := told(receipt)) is not None]
        if changes:
            height = applied.block.header.height
            self.announce(kind, {"height": height, "count": len(changes), "changes": changes[:CHANGES_TOLD]})

    def hear_trainer(self, event: TrainerEvent) -> None:
        if not self._listeners:
            return
        match event:
            case Stepped(number, step, loss, speed) if time.monotonic() - self._progress_at >= PROGRESS_SECONDS:
                self._progress_at = time.monotonic()
                steps = self.node.network.params.inner_steps
                content = {"round": number, "step": step, "steps": steps, "training_loss": finite(loss)}
                self.announce("progress", {**content, "tokens_per_second": round(speed, 1)})
            case Validated(number, loss):
                self.announce("validated", {"round": number, "validation_loss": finite(loss)})

    async def serve(self, request: web.Request, addresses: frozenset[bytes] = frozenset()) -> web.StreamResponse:
        """Send events, with what concerns these addresses, until the client leaves, falls behind, or the node stops."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
        listener = Listener(self.queue_events, addresses)
        with suppress(ConnectionError, TimeoutError):
            await response.prepare(request)
            self._listeners.add(listener)
            try:
                listener.tell(b"retry: 2000\n\n" + self._encode("status", as_json(status_of(self.node))))
                await self._send(listener, response)
            finally:
                self._listeners.discard(listener)
            return response
        if request.transport is not None:
            request.transport.abort()
        return response

    async def _send(self, listener: Listener, response: web.StreamResponse) -> None:
        """Raises TimeoutError when the client has stopped to read."""
        while not self.closed or listener.is_dropped:
            try:
                async with asyncio.timeout(self.heartbeat_seconds):
                    event = await listener.queue.get()
            except TimeoutError:
                event = b": heartbeat\n\n"
            if event is None:
                return
            async with asyncio.timeout(WRITE_SECONDS):
                await response.write(event)
