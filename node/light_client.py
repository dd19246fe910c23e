"""A light client among peers: one conversation of `node.light` with each, then one peer's word against the others'."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from typing import Any

from chain.errors import DecodeError, NeuroError
from network.kinds import EPOCHS, EPOCHS_REQUEST, STATE, STATE_REQUEST
from network.peer import Peer
from node.checkpoint import CheckpointError
from node.errors import NodeError
from node.light import (
    Ask,
    BehindError,
    ConflictError,
    Context,
    Conversation,
    Followed,
    Told,
    Trusted,
    begin,
    confirm,
    follow,
)
from node.parts import Handler
from node.runtime import INVALID, MALFORMED, SLOW, UNASKED, Runtime, Timer
from node.sync_messages import EpochRange, EpochsRequest, ProvenState

LIGHT_LANE = "light"  # checking certificates takes time
ANSWER_MS = 20_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What all peers together have shown. `error`: what a person must decide; nothing may be believed then.

    `agreeing`: peers that showed the same history, the best one among them. `failed`: what is wrong with the others.
    """

    followed: Followed | None
    agreeing: tuple[bytes, ...]
    failed: Mapping[bytes, str]
    error: NodeError | ConflictError | None = None


@dataclass(slots=True, eq=False)
class Talk:
    """A conversation under way with one peer."""

    conversation: Conversation[Any]
    then: Callable[[Any], None]
    number: int = 0
    kind: int = 0  # of the answer that is waited for
    timer: Timer | None = None


@dataclass(slots=True)
class Findings:
    followed: dict[bytes, Followed] = field(default_factory=dict)
    failed: dict[bytes, str] = field(default_factory=dict)
    weighed: dict[bytes, bool] = field(default_factory=dict)  # against the best: whether it has shown the same


class LightClient:
    """A part. Begins with every peer that joins; `finish` weighs what they have said and calls `done` once.

    `kept`: what was verified the last time. Raises CheckpointError if that is too old and there is no checkpoint.
    """

    def __init__(
        self,
        runtime: Runtime,
        kept: Trusted | None,
        keys: tuple[bytes, ...],
        context: Context,
        done: Callable[[Verdict], None],
    ) -> None:
        refusal = None if kept is None else context.refusal(kept)
        if refusal is not None and context.trust.checkpoint is None:
            raise CheckpointError(refusal)
        self.runtime = runtime
        self.kept = kept
        self.keys = keys
        self.context = context
        self.done = done
        self._numbers = count(1)
        self._talks: dict[bytes, Talk] = {}
        self._found = Findings()
        self._is_closing = False
        self._is_over = False

    @property
    def settled(self) -> int:
        """Peers of which it is known what they have to say."""
        return len(self._found.followed) + len(self._found.failed)

    @property
    def is_talking(self) -> bool:
        """Whether somebody is being asked."""
        return bool(self._talks)

    # ---- What the node tells

    def handlers(self) -> Mapping[int, Handler]:
        return {
            STATE: lambda key, payload: self._on_answer(key, STATE, ProvenState, payload),
            EPOCHS: lambda key, payload: self._on_answer(key, EPOCHS, EpochRange, payload),
        }

    def joined(self, peer: Peer) -> None:
        if not self._is_closing:
            self._begin(peer.key, self._first(), lambda followed: self._followed(peer.key, followed))

    def left(self, key: bytes) -> None:
        if key in self._talks:
            self._fail(key, "the connection was lost")

    def finish(self) -> None:
        """No more peers are waited for: compare, and tell."""
        if self._is_closing:
            return
        self._is_closing = True
        self._weigh()

    # ---- Conversations

    def _first(self) -> Conversation[Followed]:
        trusted = yield from begin(self.kept, self.context)
        followed = yield from follow(trusted, self.keys, self.context)
        if trusted is not self.kept and self.kept is not None and self.kept.newest:
            # The checkpoint has led here: what was believed before must be on the way.
            yield from confirm(Followed(self.kept, (), ()), followed, self.context)
        return followed

    def _begin(self, key: bytes, conversation: Conversation[Any], then: Callable[[Any], None]) -> None:
        self._talks[key] = Talk(conversation, then)
        self._go_on(key, None)

    def _go_on(self, key: bytes, told: Told | None) -> None:
        """Let the conversation judge an answer, aside, and do what it wants next."""
        talk = self._talks[key]

        def work() -> Ask | StopIteration | NeuroError:
            try:
                return talk.conversation.send(told) if told is not None else next(talk.conversation)
            except StopIteration as end:
                return end
            except NeuroError as error:
                return error

        self.runtime.offload(LIGHT_LANE, work, lambda found: self._judged(key, talk, found))

    def _judged(self, key: bytes, talk: Talk, found: Ask | StopIteration | NeuroError) -> None:
        if self._talks.get(key) is not talk or self._is_over:
            return  # It has left meanwhile.
        if isinstance(found, StopIteration):
            del self._talks[key]
            talk.then(found.value)
        elif isinstance(found, NodeError | ConflictError):
            self._over(found)
        elif isinstance(found, NeuroError):
            if not isinstance(found, BehindError):
                self.runtime.blame(key, MALFORMED if isinstance(found, DecodeError) else INVALID, str(found))
            self._fail(key, str(found))
        else:
            self._ask(key, talk, found)

    def _ask(self, key: bytes, talk: Talk, ask: Ask) -> None:
        talk.number = next(self._numbers)
        kind, talk.kind = (EPOCHS_REQUEST, EPOCHS) if isinstance(ask, EpochsRequest) else (STATE_REQUEST, STATE)
        numbered = replace(ask, number=talk.number)
        talk.timer = self.runtime.later(ANSWER_MS, lambda: self._no_answer(key, talk, numbered.number))
        self.runtime.send(key, kind, numbered.encode())

    def _no_answer(self, key: bytes, talk: Talk, number: int) -> None:
        if self._talks.get(key) is talk and talk.number == number and talk.kind:
            self.runtime.blame(key, SLOW, f"no answer within {ANSWER_MS // 1000} s")
            self._fail(key, f"no answer within {ANSWER_MS // 1000} s")

    def _on_answer(self, key: bytes, kind: int, form: type[ProvenState] | type[EpochRange], payload: bytes) -> None:
        talk = self._talks.get(key)
        if talk is None or talk.kind != kind or payload[:8] != talk.number.to_bytes(8, "big"):
            self.runtime.blame(key, UNASKED, "an answer that was not asked for")
            return
        if talk.timer is not None:
            talk.timer.cancel()
        talk.kind = 0
        try:
            told = form.decode(payload)
        except DecodeError as error:
            self.runtime.blame(key, MALFORMED, str(error))
            self._fail(key, str(error))
            return
        self._go_on(key, told)

    def _fail(self, key: bytes, reason: str) -> None:
        talk = self._talks.pop(key, None)
        if talk is not None and talk.timer is not None:
            talk.timer.cancel()
        if self._found.followed.pop(key, None) is not None:
            self._found.weighed.clear()
        self._found.failed[key] = reason
        if self._is_closing:
            self._weigh()

    def _followed(self, key: bytes, followed: Followed) -> None:
        self._found.followed[key] = followed
        self._found.failed.pop(key, None)  # of an earlier connection
        if self._is_closing:
            self._weigh()

    # ---- One word against the others

    def _weigh(self) -> None:
        """Ask the best peer for its blocks at the heights of the others; when all have been compared, it is over."""
        if self._talks or self._is_over:
            return
        found = self._found
        if not found.followed:
            self._tell(Verdict(None, (), dict(found.failed)))
            return
        best = max(found.followed, key=lambda key: (found.followed[key].tip.header.height, key))
        for key, followed in found.followed.items():
            if key != best and key not in found.weighed:
                told = confirm(followed, found.followed[best], self.context)
                self._begin(best, told, partial(self._heard, key))
                return
        agreeing = [key for key in found.followed if key == best or found.weighed[key]]
        self._tell(Verdict(found.followed[best], tuple(agreeing), dict(found.failed)))

    def _heard(self, key: bytes, same: bool) -> None:
        self._found.weighed[key] = same
        self._weigh()

    def _over(self, error: NodeError | ConflictError) -> None:
        self._tell(Verdict(None, (), dict(self._found.failed), error))

    def _tell(self, verdict: Verdict) -> None:
        if not self._is_over:
            self._is_over = self._is_closing = True
            self.done(verdict)
