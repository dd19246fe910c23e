"""How many bytes this node sent and received while a round went on: for people, and not on disk."""

from collections.abc import Callable, Mapping

from chain.receipts import RoundOpened
from chain.transition import Applied
from network.traffic import Traffic

ROUNDS_KEPT = 128


class RoundTraffic:
    """`total` tells all traffic since the start, None before there is any.

    A round that was open already when the node came is not known.
    """

    def __init__(self, total: Callable[[], Traffic | None]) -> None:
        self._total = total
        self._known: dict[int, Traffic] = {}
        self._running: tuple[int, Traffic] | None = None  # the newest round, and the total when it opened

    def hear_block(self, applied: Applied) -> None:
        for receipt in applied.receipts:
            if isinstance(receipt, RoundOpened):
                self._known |= self._of_running()
                self._running = receipt.round, self._total() or Traffic()
        while len(self._known) > ROUNDS_KEPT:
            del self._known[min(self._known)]

    def _of_running(self) -> dict[int, Traffic]:
        if self._running is None:
            return {}
        number, before = self._running
        now = self._total() or Traffic()
        return {number: Traffic(now.sent - before.sent, now.received - before.received)}

    @property
    def known(self) -> Mapping[int, Traffic]:
        """By round, the newest as far as it has come; a copy, for threads that read."""
        return self._known | self._of_running()
