"""Asks one peer for one list of page hashes or one page, over its connection; whoever waits is told once."""

from collections.abc import Callable
from dataclasses import dataclass

from network.blob_errors import Absent, BlobError, SourceFailed
from network.kinds import PAGE_REQUEST, PAGES_REQUEST
from network.pages import PageList
from node.blob_messages import Page, PageRequest, Pages, PagesRequest
from node.recent import Recent
from node.runtime import SLOW, UNASKED, Runtime, Timer

LIST_PATIENCE_MS, PAGE_PATIENCE_MS = 10_000, 20_000
LATE = 1_024  # requests that have timed out, whose answers are no offence

# An encoded list (`network.pages.PageList`) or a page, neither judged; or why there is none.
Told = Callable[[bytes | BlobError], None]
Name = tuple[bytes, bytes, int | None]  # peer, root, page; None: the list


@dataclass(slots=True)
class _Request:
    timer: Timer
    told: list[Told]


class BlobRequests:
    """What comes without having been asked for is blamed."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._open: dict[Name, _Request] = {}
        self._late = Recent(LATE)

    def ask(self, key: bytes, root: bytes, index: int | None, told: Told) -> None:
        """`index` None asks for the list. `told` is called later, once."""
        name = key, root, index
        if (known := self._open.get(name)) is not None:
            known.told.append(told)
            return
        patience = LIST_PATIENCE_MS if index is None else PAGE_PATIENCE_MS
        self._open[name] = _Request(self.runtime.later(patience, lambda: self._timed_out(name)), [told])
        if index is None:
            self.runtime.send(key, PAGES_REQUEST, PagesRequest(root).encode())
        else:
            self.runtime.send(key, PAGE_REQUEST, PageRequest(root, index).encode())

    def pages(self, key: bytes, payload: bytes) -> None:
        found = Pages.decode(payload)
        is_absent = found.size == 0 and not found.hashes
        answer = PageList(found.size, found.hashes).encode()
        self._answered((key, found.root, None), Absent("does not have it") if is_absent else answer)

    def page(self, key: bytes, payload: bytes) -> None:
        found = Page.decode(payload)
        answer = found.content or SourceFailed(f"does not give page {found.index}")
        self._answered((key, found.root, found.index), answer)

    def left(self, key: bytes) -> None:
        for name in [name for name in self._open if name[0] == key]:
            self._close(name, SourceFailed("the connection has ended"))

    def _answered(self, name: Name, answer: bytes | BlobError) -> None:
        if name in self._open:
            self._close(name, answer)
        elif _text(name) not in self._late:
            self.runtime.blame(name[0], UNASKED, "sent a page or a list of pages that nobody asked for")

    def _timed_out(self, name: Name) -> None:
        self._late.add(_text(name))
        if name[0] in self.runtime.peers():  # Who was cut off meanwhile could not answer.
            self.runtime.blame(name[0], SLOW, "did not answer a request of pages")
        self._close(name, SourceFailed("does not answer"))

    def _close(self, name: Name, answer: bytes | BlobError) -> None:
        request = self._open.pop(name)
        request.timer.cancel()
        for told in request.told:
            told(answer)


def _text(name: Name) -> bytes:
    key, root, index = name
    return key + root + (b"" if index is None else index.to_bytes(4, "big"))
