"""The clocks of the current view, one of each kind: setting one again ends the earlier."""

from collections.abc import Callable

from node.runtime import Runtime, Timer


class ViewTimers:
    """Timers by kind, and when each fires."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._timers: dict[str, tuple[Timer, int]] = {}

    def set(self, kind: str, delay_ms: int, fire: Callable[[], None]) -> None:
        if kind in self._timers:
            self._timers[kind][0].cancel()
        self._timers[kind] = self.runtime.later(delay_ms, fire), self.runtime.now_ms() + delay_ms

    def is_later(self, kind: str, delay_ms: int) -> bool:
        """Whether the timer fires only after so long."""
        return kind in self._timers and self._timers[kind][1] > self.runtime.now_ms() + delay_ms

    def cancel(self) -> None:
        for timer, _ in self._timers.values():
            timer.cancel()
        self._timers.clear()
