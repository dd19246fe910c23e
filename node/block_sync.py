"""Catching up: blocks that others have and we do not, in ranges from several peers at once, executed in order.

What a peer claims decides only whom to ask. All progress is measured by blocks that were verified and executed: whoever
claims much and delivers nothing is set aside for longer and longer, and holds up nobody. Start reading at `_pump`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol

from chain.errors import DecodeError
from chain.transition import Applied, epoch_of
from consensus.messages import Certificate
from network.kinds import RANGE, RANGE_REQUEST
from network.peer import Peer
from node.block_range import Absent, Fault, RangeRun, guarded, open_range
from node.checkpoint import Trust
from node.ledger_view import LedgerView
from node.parts import Handler
from node.runtime import LEDGER, MALFORMED, SLOW, UNASKED, Runtime, Timer
from node.store import TRUSTED, number
from node.sync_messages import RANGE_BLOCKS_MAXIMUM, RangeRequest

BEHIND_BLOCKS = 4  # so many blocks consensus gets by itself
IN_FLIGHT = 4  # ranges that are asked for or wait to be executed
TICK_MS = 1_000
ANSWER_MS = 20_000  # for up to 8 MiB
HEDGE_MS = 2_000  # after which another peer is asked, too, for what all the rest waits for
ASIDE_MS, ASIDE_MS_MAXIMUM = 10_000, 3_600_000
PEERS_KEPT = 1_024
BUSY_MS = 10_000


class Claim(Protocol):
    """What a peer says of itself."""

    @property
    def height(self) -> int: ...


class Claims(Protocol):
    """What all connected peers say (`node.standing`)."""

    @property
    def statuses(self) -> Mapping[bytes, Claim]: ...


@dataclass(slots=True, eq=False)
class Slot:
    """A range that is wanted. `payload`: an answer that came, by `key`, and waits for its turn."""

    first: int
    last: int
    key: bytes = b""
    payload: bytes | None = None
    asked: RangeRequest | None = None  # that the payload answers


@dataclass(slots=True, eq=False)
class Question:
    """What one peer has been asked and has not answered."""

    request: RangeRequest
    slot: Slot
    since_ms: int
    timer: Timer


@dataclass(frozen=True, slots=True)
class Aside:
    """A peer that is not asked for a while."""

    until_ms: int
    times: int  # in a row


@dataclass(slots=True)
class Peers:
    """Whom to ask, and what became of it."""

    open: dict[bytes, Question] = field(default_factory=dict)
    late: dict[bytes, int] = field(default_factory=dict)  # the last question that was given up, by number
    aside: dict[bytes, Aside] = field(default_factory=dict)
    delivered: dict[bytes, int] = field(default_factory=dict)  # ranges that turned out right

    def set_aside(self, key: bytes, now_ms: int, longer: bool) -> None:
        """For a while; each time for twice as long, if it is to be `longer`."""
        before = self.aside.pop(key, Aside(0, 0))
        times = before.times + longer
        self.aside[key] = Aside(now_ms + min(ASIDE_MS << min(max(0, times - 1), 16), ASIDE_MS_MAXIMUM), times)
        _shorten(self.aside)

    def give_up(self, key: bytes) -> None:
        """Nobody waits for this peer's answer any more. If it comes late, it is not held against the peer."""
        question = self.open.pop(key, None)
        if question is not None:
            question.timer.cancel()
            self.late.pop(key, None)
            self.late[key] = question.request.number
            _shorten(self.late)


def _shorten(table: dict[bytes, Any]) -> None:
    """Of many peers that came and went, remember the last."""
    if len(table) > PEERS_KEPT:
        del table[next(iter(table))]


class BlockSync:
    """A part of the node. `on_synced(certificate, height)` hears of the end of every range that has become final.

    `hear_block` are told of each block that has. `refusal` says why nothing is fetched, if that is so.
    """

    def __init__(
        self,
        runtime: Runtime,
        view: LedgerView,
        standing: Claims,
        on_synced: Callable[[Certificate, int], None],
        trust: Trust | None = None,
    ) -> None:
        self.runtime = runtime
        self.view = view
        self.params = view.network.params
        self.standing = standing
        self.on_synced = on_synced
        self.trust = trust or Trust(view.network.params)
        self.hear_block: list[Callable[[Applied], None]] = []
        self.refusal: str | None = None
        self._peers = Peers()
        self._slots: list[Slot] = []
        self._numbers = count(1)
        self._executing = False
        self._progress_ms: int | None = None  # when blocks were verified last, in this go
        runtime.later(TICK_MS, self._tick)

    @property
    def busy(self) -> bool:
        """Whether blocks are coming in: a peer that only claims to have some makes nobody busy."""
        return self._progress_ms is not None and self.runtime.now_ms() - self._progress_ms <= BUSY_MS

    # ---- What the node tells

    def handlers(self) -> Mapping[int, Handler]:
        return {RANGE: self._on_range}

    def joined(self, peer: Peer) -> None:
        """It is asked once it has said how far it is."""

    def left(self, key: bytes) -> None:
        self._peers.give_up(key)
        self._peers.delivered.pop(key, None)
        self._pump()

    def on_status(self, key: bytes, status: object) -> None:
        """A peer has said how far it is."""
        self._pump()

    def _tick(self) -> None:
        self._pump()
        self.runtime.later(TICK_MS, self._tick)

    # ---- What to ask of whom

    def _pump(self) -> None:
        """Go on: plan, ask, execute. May be called at any time."""
        tip = self.view.tip.height
        # The head may be at work in the ledger's lane: it is dropped when it comes back.
        self._slots = [slot for slot in self._slots if slot.last > tip or (self._executing and slot is self._slots[0])]
        claims = self._usable_claims()
        target = max(claims.values(), default=0)
        if not self._slots and not self._is_behind(target):
            self._progress_ms = None
            return
        if not self._slots and not self._is_allowed():
            return
        self._plan(target)
        self._ask_around(claims)
        self._execute()

    def _usable_claims(self) -> dict[bytes, int]:
        """The heights of those who may be asked."""
        now, aside = self.runtime.now_ms(), self._peers.aside
        connected = self.runtime.peers()
        return {
            key: status.height
            for key, status in self.standing.statuses.items()
            if key in connected and (key not in aside or aside[key].until_ms <= now)
        }

    def _is_behind(self, target: int) -> bool:
        tip = self.view.tip.height
        is_later_epoch = epoch_of(target + 1, self.params) > epoch_of(tip + 1, self.params)
        return target > tip + BEHIND_BLOCKS or (target > tip and is_later_epoch)

    def _is_allowed(self) -> bool:
        now = self.runtime.wall_ms()
        self.refusal = self.trust.refusal(self.view.tip, self.view.store.trusted_ms, now)
        return self.refusal is None

    def _plan(self, target: int) -> None:
        """Want the next ranges that somebody claims to have; forget those that nobody claims any more."""
        waiting = {id(question.slot) for question in self._peers.open.values()}
        while self._slots:
            slot = self._slots[-1]
            if slot.first <= target or slot.payload is not None or id(slot) in waiting:
                break
            self._slots.pop()
        while len(self._slots) < IN_FLIGHT:
            first = self._slots[-1].last + 1 if self._slots else self.view.tip.height + 1
            if first > target:
                return
            end_of_epoch = (epoch_of(first, self.params) + 1) * self.params.epoch_blocks
            self._slots.append(Slot(first, min(first + RANGE_BLOCKS_MAXIMUM - 1, end_of_epoch)))

    def _ask_around(self, claims: Mapping[bytes, int]) -> None:
        for slot in self._slots:
            if slot.payload is None and self._is_due(slot):
                free = [key for key, height in claims.items() if height >= slot.first and key not in self._peers.open]
                if free:
                    self._ask(slot, self._best_of(free))

    def _is_due(self, slot: Slot) -> bool:
        """Whether to ask for a range now: nobody is asked, or all others wait for it and it takes long."""
        since = [question.since_ms for question in self._peers.open.values() if question.slot is slot]
        if not since:
            return True
        return slot is self._slots[0] and self.runtime.now_ms() - max(since) >= HEDGE_MS

    def _best_of(self, keys: list[bytes]) -> bytes:
        """One of those that have delivered before: a crowd of new peers cannot keep an honest one from its turn."""
        proven = [key for key in keys if self._peers.delivered.get(key, 0)]
        return self.runtime.random.choice(proven or keys)

    def _ask(self, slot: Slot, key: bytes) -> None:
        request = RangeRequest(next(self._numbers), slot.first, slot.last - slot.first + 1)
        timer = self.runtime.later(ANSWER_MS, lambda: self._no_answer(key, request.number))
        self._peers.open[key] = Question(request, slot, self.runtime.now_ms(), timer)
        self.runtime.send(key, RANGE_REQUEST, request.encode())

    def _no_answer(self, key: bytes, asked_number: int) -> None:
        question = self._peers.open.get(key)
        if question is None or question.request.number != asked_number:
            return
        self._peers.give_up(key)
        self._fault(key, SLOW, f"no blocks within {ANSWER_MS // 1000} s")
        self._pump()

    # ---- What comes

    def _on_range(self, key: bytes, payload: bytes) -> None:
        if len(payload) < 8:
            raise DecodeError("a range of blocks without a number")
        answered = int.from_bytes(payload[:8], "big")
        question = self._peers.open.get(key)
        if question is None or question.request.number != answered:
            if self._peers.late.pop(key, None) != answered:
                self.runtime.blame(key, UNASKED, "blocks that were not asked for")
            return
        question.timer.cancel()
        del self._peers.open[key]
        slot = question.slot
        if slot in self._slots and slot.payload is None:
            slot.key, slot.payload, slot.asked = key, payload, question.request
        self._pump()

    # ---- Executing, in the ledger's lane

    def _execute(self) -> None:
        if self._executing or not self._slots:
            return
        slot = self._slots[0]
        if slot.payload is None or slot.asked is None:
            return
        asked, payload = slot.asked, slot.payload
        self._executing = True
        self.runtime.offload(LEDGER, guarded(lambda: open_range(self.view, asked, payload, self.trust)), self._opened)

    def _opened(self, found: RangeRun | Absent | Fault) -> None:
        if isinstance(found, RangeRun):
            self._next_step(found)
        else:
            self._bad(found)

    def _next_step(self, run: RangeRun) -> None:
        def stepped(is_done: bool | Fault) -> None:
            if isinstance(is_done, Fault):
                self._bad(is_done)
            elif is_done:
                notes = self._notes(run)
                self.runtime.offload(LEDGER, lambda: run.finish(notes), lambda fresh: self._finished(run, fresh))
            else:
                self._next_step(run)

        self.runtime.offload(LEDGER, guarded(run.step), stepped)

    def _notes(self, run: RangeRun) -> dict[bytes, bytes]:
        """Old blocks that stand on trusted ones are as good as these: after a restart the sync must go on from there.

        What only leads to a checkpoint is not: its age is known when it has been reached.
        """
        now, tip, last = self.runtime.wall_ms(), self.view.tip, run.last
        trusted_ms = max(tip.time_ms, self.view.store.trusted_ms)
        was_trusted = not self.trust.is_stale(trusted_ms, tip.phase, now)
        return {TRUSTED: number(now)} if was_trusted and self.trust.is_stale(last.time_ms, last.phase, now) else {}

    def _bad(self, found: Absent | Fault) -> None:
        """The head's answer is of no use: ask somebody else."""
        slot = self._slots[0]
        key, slot.payload, slot.asked = slot.key, None, None
        self._executing = False
        if isinstance(found, Fault):
            # Whoever checks what it serves cannot send this.
            self._fault(key, MALFORMED, f"bad range of blocks: {found.reason}")
        else:
            self._peers.set_aside(key, self.runtime.now_ms(), longer=False)
        self._pump()

    def _fault(self, key: bytes, points: int, reason: str) -> None:
        self._peers.set_aside(key, self.runtime.now_ms(), longer=True)
        self._peers.delivered.pop(key, None)
        self.runtime.blame(key, points, reason)

    def _finished(self, run: RangeRun, fresh: list[Applied]) -> None:
        slot = self._slots.pop(0)
        self._executing = False
        self._progress_ms = self.runtime.now_ms()
        if run.last.height < slot.last:
            self._slots.insert(0, Slot(run.last.height + 1, slot.last))
        self._peers.aside.pop(slot.key, None)
        if slot.key in self.runtime.peers():
            self._peers.delivered[slot.key] = self._peers.delivered.get(slot.key, 0) + 1
            self.runtime.praise(slot.key)
        for applied in fresh:
            for hear in self.hear_block:
                hear(applied)
        self.on_synced(run.certificate, run.last.height)
        if not self._is_allowed():
            self._slots.clear()
        self._pump()
