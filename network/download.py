"""Which page to ask of whom: the plan of a download, without any input or output. Start reading at `Download.ask`.

Two drivers follow it: `network.blob_client` over HTTPS, the node's blob exchange over the connections between peers.
They carry out the asks, verify what comes, keep it, and tell the plan. So both have the same rules:

- A source is asked for its list first, then for one page at a time.
- Sources that showed the same hashes share the work. Another list is another claim, with pages of its own.
- A source with nothing to do asks for a page that somebody else has been asked for: no slow one holds up the end. What
  comes twice is paid for twice, so `network.blob_client` does this only when nothing has come for a while.
- Who lies is out at once, who fails is out at the second time in a row.
"""

from collections import deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from network.blob_errors import BadPages
from network.pages import PAGE_BYTES, Hashing, PageList, Wanted, page_length

FAILURES_MAXIMUM = 2  # in a row, of one source
CLAIMS_AT_ONCE = 2  # different lists whose pages are fetched at the same time

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True, eq=False)
class Claim(Generic[K]):
    """A list of page hashes with the wanted root, and what has come of its pages."""

    hashes: tuple[bytes, ...]
    members: dict[K, int]  # sources that showed it, and the size each of them said
    is_open: bool = False  # the driver has said which pages it has already
    todo: deque[int] = field(default_factory=deque)  # neither here nor asked for
    asked: dict[int, list[K]] = field(default_factory=dict)  # not here, and who is asked
    size: int | None = None  # in bytes: known when the last page is here

    @property
    def is_complete(self) -> bool:
        return self.is_open and not self.todo and not self.asked

    @property
    def pages_here(self) -> int:
        return len(self.hashes) - len(self.todo) - len(self.asked) if self.is_open else 0


@dataclass(slots=True)
class _Source(Generic[K]):
    claim: Claim[K] | None = None
    busy: bool = False
    failures: int = 0
    gone: str = ""  # why it is not asked any more


@dataclass(frozen=True, slots=True)
class Ask(Generic[K]):
    """To be sent now: for the list (no claim), or for a page of a claim."""

    source: K
    claim: Claim[K] | None
    index: int


class Download(Generic[K]):
    """The plan for one blob. Sources are asked in the order in which they were added, so add the best first."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.claims: list[Claim[K]] = []
        self._sources: dict[K, _Source[K]] = {}

    def add(self, source: K) -> None:
        """One more that may have the blob. One that is gone stays so."""
        self._sources.setdefault(source, _Source())

    def revive(self, source: K) -> None:
        """Like `add`, and one that is gone may be asked again, beginning with its list."""
        if self.is_gone(source):
            self._sources[source] = _Source()

    def forget_dead(self) -> list[Claim[K]]:
        """Forget the claims that nobody stands for any more, except the one of which most is here; returns them."""
        dead = [claim for claim in self.claims if not claim.members]
        best = max(dead, key=lambda claim: claim.pages_here, default=None)
        forgotten = [claim for claim in dead if claim is not best]
        self.claims = [claim for claim in self.claims if claim not in forgotten]
        return forgotten

    def ask(self, most: int, of_them_pages: int | None = None, again: bool = True) -> list[Ask[K]]:
        """What to ask for now, at most so much; each counts as asked.

        `again`: also for pages that others have been asked for already.
        """
        asks: list[Ask[K]] = []
        pages_left = most if of_them_pages is None else of_them_pages
        active = self._active()
        for key, source in self._sources.items():
            if len(asks) >= most:
                break
            if source.gone or source.busy:
                continue
            if source.claim is None:
                asks.append(Ask(key, None, 0))
            elif pages_left > 0 and source.claim in active and (index := _next_page(source.claim, again)) is not None:
                source.claim.asked.setdefault(index, []).append(key)
                asks.append(Ask(key, source.claim, index))
                pages_left -= 1
            else:
                continue
            source.busy = True
        return asks

    def listed(self, source: K, found: PageList) -> Claim[K] | None:
        """A source's list, verified. Returns the claim if it is a new one: the driver must `open` it."""
        state = self._sources[source]
        state.busy, state.failures = False, 0
        known = next((claim for claim in self.claims if claim.hashes == found.hashes), None)
        claim = known or Claim(found.hashes, {})
        claim.members[source] = found.size
        state.claim = claim
        if known is None:
            self.claims.append(claim)
        return claim if known is None else None

    def open(self, claim: Claim[K], here: Iterable[int] = (), size: int | None = None) -> None:
        """These pages of the claim are here already; `size` is known if the last one is."""
        kept = frozenset(here)
        claim.todo = deque(index for index in range(len(claim.hashes)) if index not in kept)
        claim.is_open, claim.size = True, size

    def took(self, ask: Ask[K], length: int) -> list[K]:
        """The page that was asked for has come, fits, and is kept. Returns others who had been asked for it.

        Their answers are not needed any more. A source whose answer nobody waits for must be `freed`.
        """
        assert ask.claim is not None
        state = self._sources[ask.source]
        state.busy, state.failures = False, 0
        if ask.index == len(ask.claim.hashes) - 1:
            ask.claim.size = ask.index * PAGE_BYTES + length
        return [key for key in ask.claim.asked.pop(ask.index, []) if key != ask.source]

    def freed(self, ask: Ask[K]) -> None:
        """This ask has ended without news: its page came from somebody else."""
        self._sources[ask.source].busy = False
        self._give_back(ask)

    def failed(self, ask: Ask[K], reason: str) -> bool:
        """No answer, or none that can be used. Returns whether the source is out."""
        state = self._sources[ask.source]
        state.busy = False
        state.failures += 1
        self._give_back(ask)
        if state.failures >= FAILURES_MAXIMUM:
            self.drop(ask.source, reason)
        return bool(state.gone)

    def drop(self, source: K, reason: str) -> None:
        """Not to be asked any more: it lies, is gone, or does not have the blob."""
        state = self._sources.get(source)
        if state is None or state.gone:
            return
        state.gone, state.busy = reason, False
        for claim in self.claims:
            claim.members.pop(source, None)
            for index in [index for index, keys in claim.asked.items() if source in keys]:
                self._give_back(Ask(source, claim, index))

    def wrong_sizes(self, claim: Claim[K]) -> list[K]:
        """Sources that showed this claim with a size that the last page has disproved."""
        return [] if claim.size is None else [key for key, size in claim.members.items() if size != claim.size]

    @property
    def complete(self) -> Claim[K] | None:
        """A claim of which every page is here."""
        return next((claim for claim in self.claims if claim.is_complete), None)

    @property
    def is_hopeless(self) -> bool:
        """Nobody is left who could be asked or could still answer."""
        return all(source.gone for source in self._sources.values())

    def is_gone(self, source: K) -> bool:
        return source not in self._sources or bool(self._sources[source].gone)

    @property
    def tried(self) -> dict[K, str]:
        """Who is out, and why."""
        return {key: source.gone for key, source in self._sources.items() if source.gone}

    def _active(self) -> list[Claim[K]]:
        """The oldest claims that somebody still stands for."""
        return [claim for claim in self.claims if claim.members and claim.is_open][:CLAIMS_AT_ONCE]

    def _give_back(self, ask: Ask[K]) -> None:
        if ask.claim is None or ask.source not in (keys := ask.claim.asked.get(ask.index, [])):
            return
        keys.remove(ask.source)
        if not keys:
            del ask.claim.asked[ask.index]
            ask.claim.todo.appendleft(ask.index)


def check_page(claim: Claim[K], index: int, page: bytes, wanted: Wanted, hashing: Hashing) -> None:
    """Raise BadPages unless this is the page that the claim's list names."""
    least, most = _lengths(claim, index, wanted)
    if not least <= len(page) <= most:
        raise BadPages(f"page {index} has {len(page)} bytes")
    if hashing.page_hash(page) != claim.hashes[index]:
        raise BadPages(f"page {index} is not the one that its list names")


def _lengths(claim: Claim[K], index: int, wanted: Wanted) -> tuple[int, int]:
    """The least and the greatest length of a page. Only the last may be short; how much, only an exact size tells."""
    if index < len(claim.hashes) - 1:
        return PAGE_BYTES, PAGE_BYTES
    if wanted.size is not None:
        length = page_length(wanted.size, index)
        return length, length
    return 1, page_length(wanted.bytes_maximum, index)


def _next_page(claim: Claim[K], again: bool) -> int | None:
    """The first page that nobody has been asked for, else, if allowed, the one that the fewest have been asked for."""
    if claim.todo:
        return claim.todo.popleft()
    if not claim.asked or not again:
        return None
    return min(claim.asked, key=lambda index: len(claim.asked[index]))
