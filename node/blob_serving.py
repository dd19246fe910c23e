"""Answers peers that ask for blobs over their connection: each in its turn, so many bytes a second, few in waiting."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from chain.codec import Wire
from network.blob_server import BlobSource
from network.kinds import PAGE, PAGES
from network.pages import HASH_BYTES, PAGE_BYTES
from node.blob_messages import Page, PageRequest, Pages, PagesRequest
from node.runtime import Runtime, Timer

BLOBS = "blobs"  # lane of `offload`
WAITING_MAXIMUM = 8  # requests of one peer
BYTES_PER_SECOND = 16 << 20  # to one peer

Answer = tuple[int, Wire]  # kind and message


@dataclass(slots=True)
class _Queue:
    """What a peer has asked for and not got yet."""

    waiting: deque[Callable[[], Answer]] = field(default_factory=deque)
    busy: bool = False
    pause: Timer | None = None


class BlobServing:
    """`source` is read in the lane BLOBS."""

    def __init__(self, runtime: Runtime, source: BlobSource) -> None:
        self.runtime = runtime
        self.source = source
        self._queues: dict[bytes, _Queue] = {}

    def pages_request(self, key: bytes, payload: bytes) -> None:
        root = PagesRequest.decode(payload).root
        self._enqueue(key, lambda: (PAGES, self._pages(root)), (PAGES, Pages(root, 0, ())))

    def page_request(self, key: bytes, payload: bytes) -> None:
        wish = PageRequest.decode(payload)
        self._enqueue(key, lambda: (PAGE, self._page(wish)), (PAGE, Page(wish.root, wish.index, b"")))

    def left(self, key: bytes) -> None:
        queue = self._queues.pop(key, None)
        if queue is not None and queue.pause is not None:
            queue.pause.cancel()

    def _enqueue(self, key: bytes, work: Callable[[], Answer], refusal: Answer) -> None:
        queue = self._queues.setdefault(key, _Queue())
        if len(queue.waiting) >= WAITING_MAXIMUM:
            self.runtime.send(key, refusal[0], refusal[1].encode())
            return
        queue.waiting.append(work)
        if not queue.busy:
            self._next(key, queue)

    def _next(self, key: bytes, queue: _Queue) -> None:
        queue.busy = bool(queue.waiting)
        if queue.busy:
            work = queue.waiting.popleft()
            self.runtime.offload(BLOBS, lambda: _encoded(work()), lambda answer: self._send(key, queue, answer))

    def _send(self, key: bytes, queue: _Queue, answer: tuple[int, bytes]) -> None:
        if self._queues.get(key) is not queue:
            return  # It has left, and maybe come back.
        kind, payload = answer
        self.runtime.send(key, kind, payload)
        pause = 1_000 * len(payload) // BYTES_PER_SECOND
        queue.pause = self.runtime.later(pause, lambda: self._next(key, queue))

    def _pages(self, root: bytes) -> Pages:
        size, hashes = self.source.size(root), self.source.page_hashes(root)
        if size is None or hashes is None:
            return Pages(root, 0, ())
        return Pages(root, size, tuple(hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)))

    def _page(self, wish: PageRequest) -> Page:
        content = self.source.read(wish.root, wish.index * PAGE_BYTES, PAGE_BYTES)
        return Page(wish.root, wish.index, content or b"")


def _encoded(answer: Answer) -> tuple[int, bytes]:
    return answer[0], answer[1].encode()
