"""Blobs over the connections between peers: for nodes that nobody can dial. Start reading at `BlobExchange.want`.

The same plan as over HTTPS (`network.download`), with peers as sources: those that should hold the blob first, then
all. What comes is held in memory, so this is for payloads and the like; `node.blobs` fetches longer ones into files.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from network.blob_errors import Absent, BadPages, BlobError
from network.blob_server import BlobSource
from network.download import Ask, Claim, Download, check_page
from network.kinds import PAGE, PAGE_REQUEST, PAGES, PAGES_REQUEST
from network.pages import Wanted, decode_list
from network.peer import LIGHT, Peer
from node.blob_requests import BlobRequests
from node.blob_serving import BLOBS, BlobServing
from node.blob_source import HASHING
from node.parts import Handler
from node.runtime import INVALID, Runtime, Timer

# Of all blobs that are being fetched, together. Where the exact size is unknown and peers show false lists, pages of up
# to three lists are held.
BYTES_MAXIMUM = 64 << 20
PAGES_AT_ONCE = 4  # asked for, in all
LISTS_AT_ONCE = 8  # asked for, for one blob
RETRY_MS, RETRY_MAXIMUM_MS = 1_000, 10_000  # when nobody had it
PATIENCE_MS = 120_000  # from the wish on

Done = Callable[[bytes | Path | None], None]  # the blob or its file; None: it could not be had in time


def order_of(runtime: Runtime, holders: Iterable[bytes]) -> list[bytes]:
    """The peers to ask: those that should hold the blob, then the others by lot, so that not all ask the same one."""
    serving = sorted(key for key, peer in runtime.peers().items() if peer.roles != LIGHT)
    runtime.random.shuffle(serving)
    first = [key for key in dict.fromkeys(holders) if key in serving]
    return [*first, *(key for key in serving if key not in first)]


@dataclass(slots=True, eq=False)
class _Want:
    """One blob that is being fetched, or waits for its turn."""

    wanted: Wanted
    holders: tuple[bytes, ...]
    done: list[Done]
    until_ms: int
    plan: Download[bytes]
    retry_ms: int = RETRY_MS
    pages: dict[Claim[bytes], dict[int, bytes]] = field(default_factory=dict)
    liars: dict[bytes, str] = field(default_factory=dict)
    asked: int = 0  # requests on their way
    begun: bool = False
    ended: bool = False
    timer: Timer | None = None

    @property
    def bytes_maximum(self) -> int:
        return self.wanted.bytes_maximum if self.wanted.size is None else self.wanted.size


class BlobExchange:
    """A part (`node.parts`). `source` is what this node serves, read in the lane BLOBS."""

    def __init__(self, runtime: Runtime, source: BlobSource) -> None:
        self.runtime = runtime
        self.requests = BlobRequests(runtime)
        self._serving = BlobServing(runtime, source)
        self._wants: dict[bytes, _Want] = {}  # by root, the oldest first
        self._pages_asked = 0
        self.bytes_over_https = 0  # that all `node.blobs.Blobs` beside it have received: no message tells of them

    # ---- What the node asks for

    def want(
        self, root: bytes, bytes_maximum: int, holders: Iterable[bytes], done: Done, size: int | None = None
    ) -> None:
        """Fetch a blob. `done` is called later, once, unless it is forgotten before.

        `size` is its exact length in bytes, if that is known. Peers are asked again until PATIENCE_MS have passed,
        since who does not have it now may be fetching it too.
        """
        assert bytes_maximum <= BYTES_MAXIMUM, "too long for the memory: fetch it into a file"
        known = self._wants.get(root)
        if known is not None:
            known.done.append(done)
            return
        wanted = Wanted(root, bytes_maximum, size)
        until = self.runtime.now_ms() + PATIENCE_MS
        self._wants[root] = _Want(wanted, tuple(holders), [done], until, Download(wanted))
        self.runtime.later(0, self._begin)

    def forget(self, root: bytes) -> None:
        """Stop fetching a blob; nobody is told."""
        want = self._wants.pop(root, None)
        if want is not None:
            self._end(want)

    # ---- What peers say

    def handlers(self) -> Mapping[int, Handler]:
        return {
            PAGES_REQUEST: self._serving.pages_request,
            PAGES: self.requests.pages,
            PAGE_REQUEST: self._serving.page_request,
            PAGE: self.requests.page,
        }

    def joined(self, peer: Peer) -> None:
        """A newcomer may have what is wanted."""
        if peer.roles == LIGHT:
            return
        for want in self._wants.values():
            if want.begun and peer.key not in want.liars:
                want.plan.revive(peer.key)
        self._pump()

    def left(self, key: bytes) -> None:
        self._serving.left(key)
        self.requests.left(key)
        for want in list(self._wants.values()):
            want.plan.drop(key, "the connection has ended")
        self._pump()

    # ---- The plan, carried out

    def _begin(self) -> None:
        """Begin with what has room in memory, in the order of the wishes."""
        used = 0
        for want in list(self._wants.values()):
            used += want.bytes_maximum
            if used > BYTES_MAXIMUM:
                break
            if not want.begun:
                want.begun = True
                self._attempt(want)
        self._pump()

    def _attempt(self, want: _Want) -> None:
        """Ask all peers anew, but who has lied; what is here of the blob stays."""
        for key in order_of(self.runtime, want.holders):
            if key not in want.liars:
                want.plan.revive(key)

    def _pump(self) -> None:
        """Send what may be sent now."""
        for want in list(self._wants.values()):
            if not want.begun or want.ended:
                continue
            for ask in want.plan.ask(LISTS_AT_ONCE - want.asked, PAGES_AT_ONCE - self._pages_asked):
                self._send(want, ask)
            if want.asked == 0 and want.timer is None and want.plan.is_hopeless:
                self._wait(want)

    def _send(self, want: _Want, ask: Ask[bytes]) -> None:
        want.asked += 1
        is_page = ask.claim is not None
        self._pages_asked += is_page

        def told(answer: bytes | BlobError) -> None:
            want.asked -= 1
            self._pages_asked -= is_page
            if not want.ended:
                self._take(want, ask, answer)
                for claim in want.plan.forget_dead():
                    want.pages.pop(claim, None)
            self._pump()

        self.requests.ask(ask.source, want.wanted.root, ask.index if is_page else None, told)

    def _take(self, want: _Want, ask: Ask[bytes], answer: bytes | BlobError) -> None:
        """What a peer answered to one ask."""
        if want.plan.is_gone(ask.source):
            return
        try:
            if isinstance(answer, BlobError):
                raise answer
            if ask.claim is None:
                claim = want.plan.listed(ask.source, decode_list(answer, want.wanted, HASHING))
                if claim is not None:
                    want.pages[claim] = {}
                    want.plan.open(claim)
                return
            check_page(ask.claim, ask.index, answer, want.wanted, HASHING)
        except BadPages as error:
            self._lied(want, ask.source, str(error))
        except Absent as error:
            want.plan.drop(ask.source, str(error))
        except BlobError as error:
            want.plan.failed(ask, str(error))
        else:
            self._keep(want, ask, answer)

    def _keep(self, want: _Want, ask: Ask[bytes], page: bytes) -> None:
        assert ask.claim is not None
        want.pages[ask.claim][ask.index] = page
        want.plan.took(ask, len(page))
        self.runtime.praise(ask.source)
        for key in want.plan.wrong_sizes(ask.claim):
            size = ask.claim.members[key]
            self._lied(want, key, f"said that the blob has {size} bytes, it has {ask.claim.size}")
        if ask.claim.is_complete:
            self._finish(want, want.pages[ask.claim])

    def _lied(self, want: _Want, key: bytes, reason: str) -> None:
        want.liars[key] = reason
        want.plan.drop(key, reason)
        self.runtime.blame(key, INVALID, f"blob {want.wanted.root.hex()[:16]}: {reason}")

    def _wait(self, want: _Want) -> None:
        """Nobody has it now: try again in a while, or give up."""
        if self.runtime.now_ms() >= want.until_ms:
            self._give(want, None)
            return
        want.timer = self.runtime.later(want.retry_ms, lambda: self._again(want))
        want.retry_ms = min(2 * want.retry_ms, RETRY_MAXIMUM_MS)

    def _again(self, want: _Want) -> None:
        want.timer = None
        self._attempt(want)
        self._pump()

    def _finish(self, want: _Want, pages: Mapping[int, bytes]) -> None:
        want.ended = True

        def joined(blob: bytes) -> None:
            if self._wants.get(want.wanted.root) is want:
                self._give(want, blob)

        self.runtime.offload(BLOBS, lambda: b"".join(pages[index] for index in range(len(pages))), joined)

    def _give(self, want: _Want, blob: bytes | None) -> None:
        del self._wants[want.wanted.root]
        self._end(want)
        for done in want.done:
            done(blob)

    def _end(self, want: _Want) -> None:
        want.ended = True
        want.pages.clear()
        if want.timer is not None:
            want.timer.cancel()
        self.runtime.later(0, self._begin)
