"""When the next block of ours is due. Waiting goes by a clock that never goes back, so that setting the wall clock
neither stalls the chain nor floods it."""

from collections.abc import Callable

from chain.state import State
from node.ledger_view import LedgerView
from node.producer import Producer
from node.runtime import Runtime, Timer

LOOK_MS = 5  # at least between two looks for late votes


class Pacing:
    """A block at the usual interval if there is something to say, at once if a round waits for it, else a heartbeat."""

    def __init__(self, runtime: Runtime, view: LedgerView, producer: Producer) -> None:
        self.runtime = runtime
        self.view = view
        self.producer = producer
        self.params = view.network.params
        self._since_ms = -self.params.block_interval_max_ms  # when the newest block was there
        self._parent: bytes | None = None  # of the block that is wanted
        self._build: Callable[[], None] = lambda: None
        self._awaits: Callable[[], bool] = lambda: False
        self._timer: Timer | None = None

    def block_came(self) -> None:
        """A block has been proposed, by us or others: the next one is not due before an interval has passed."""
        self._since_ms = self.runtime.now_ms()

    def propose(self, parent_hash: bytes, build: Callable[[], None], awaits: Callable[[], bool]) -> None:
        """Call `build` once a block on this parent is due. `awaits`: whether more votes for the parent may come."""
        self._parent, self._build, self._awaits = parent_hash, build, awaits
        self._look()

    def wake(self) -> None:
        """Something may have to be said."""
        if self._parent is not None:
            self._look()

    def cancel(self) -> None:
        self._parent = None
        if self._timer is not None:
            self._timer.cancel()

    def has_news(self, state: State) -> bool:
        return self.producer.is_urgent(state) or self.producer.has_news(state, self.runtime.wall_ms())

    def _look(self) -> None:
        assert self._parent is not None
        if self._timer is not None:
            self._timer.cancel()
        wait_ms = self._wait_ms(self._parent)
        if wait_ms is None:
            self.cancel()  # The parent is neither final nor to be: another view has begun.
        elif wait_ms > 0:
            self._timer = self.runtime.later(wait_ms, self.wake)
        else:
            self._parent = None
            self.block_came()
            self._build()

    def _wait_ms(self, parent_hash: bytes) -> int | None:
        params, passed_ms = self.params, self.runtime.now_ms() - self._since_ms
        if passed_ms < params.block_interval_min_ms:
            return params.block_interval_min_ms - passed_ms
        if passed_ms >= params.block_interval_max_ms:
            return 0
        found = self.view.built_on(parent_hash)
        if found is None:
            return None
        state = found[0]
        if self.producer.is_urgent(state):
            return self._hurry_ms(passed_ms)
        news = self.producer.has_news(state, self.runtime.wall_ms())
        return max(0, (params.block_interval_ms if news else params.block_interval_max_ms) - passed_ms)

    def _hurry_ms(self, passed_ms: int) -> int:
        """At once, but not before those have voted for the parent who do vote, within the usual interval."""
        left_ms = self.params.block_interval_ms - passed_ms
        if left_ms <= 0 or not self._awaits():
            return 0
        return min(left_ms, max(LOOK_MS, self.params.block_interval_min_ms // 4))
