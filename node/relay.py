"""Transactions between nodes: announced by name, asked for once, checked by the mempool. Start reading at `Relay`.

Whoever refuses a transaction for now says nothing of its sender: base fees and nonces differ between nodes. A peer that
passes on what no state could allow checks nothing itself, and is blamed.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from chain.errors import BadSignature, DecodeError, LedgerError, NeuroError
from chain.state import State
from chain.transactions import Transaction
from network.kinds import ANNOUNCE, KINDS, TRANSACTION, TRANSACTION_REQUEST
from network.peer import Peer
from node.errors import RefusedForNow
from node.mempool import Mempool
from node.mempool_queue import Waiting
from node.parts import Handler
from node.recent import Recent
from node.relay_messages import NAMES_MAXIMUM, Names, Transactions, name_of
from node.runtime import INVALID, MALFORMED, UNASKED, Runtime, Timer

GATHER_MS, GATHER_NAMES = 20, 256  # an announcement waits so long for more names, or until there are so many
PATIENCE_MS = 2_000  # for transactions asked for; then another announcer is asked
ASKED_MAXIMUM = 1_024  # of one peer at a time
BACKLOG_MAXIMUM = 20_000  # announced by one peer and not asked for yet
OTHERS_MAXIMUM = 3  # announcers of one name that are remembered besides the one asked
KNOWN, SEEN, ASKED = 8_192, 100_000, 2_048  # names remembered: of one peer, of all, asked of one peer
SLICE = 32  # transactions checked at a time: about 4 ms
AGAIN_MS, AGAIN_TIMES, AGAIN_MAXIMUM = 500, 2, 1_024  # refused for now: tried again, for one before it may come later
# Layout of TRANSACTION: a count, then a length before each.
MESSAGE_ROOM = KINDS[TRANSACTION].bytes_maximum - 4


@dataclass(slots=True)
class Link:
    """What is between us and one peer."""

    known: Recent = field(default_factory=lambda: Recent(KNOWN))  # names that it has
    outbox: dict[bytes, None] = field(default_factory=dict)  # names to announce to it, in order
    asked: dict[bytes, None] = field(default_factory=dict)  # names that it owes us
    settled: Recent = field(default_factory=lambda: Recent(ASKED))  # names that it owed us: answered, or too late
    backlog: deque[bytes] = field(default_factory=deque)  # names to ask for when it has answered


@dataclass(slots=True)
class Arrived:
    """A transaction on its way into the mempool."""

    key: bytes
    name: bytes
    encoded: bytes
    refusals: int = 0


class Relay:
    """One node's part in it. `state` gives the finalized state, `news` is told when something has come in."""

    def __init__(
        self, runtime: Runtime, mempool: Mempool, state: Callable[[], State], news: Callable[[], None] = lambda: None
    ) -> None:
        self.runtime = runtime
        self.mempool = mempool
        self.state = state
        self.news = news
        self._links: dict[bytes, Link] = {}
        self._wanted: dict[bytes, list[bytes]] = {}  # names asked for, with who else has announced them
        self._seen = Recent(SEEN)
        self._arrived: OrderedDict[bytes, Arrived] = OrderedDict()  # not checked yet
        self._again: dict[bytes, Arrived] = {}  # refused for now
        self._flush_timer: Timer | None = None
        self._is_slicing = False
        mempool.on_added = self._added

    def handlers(self) -> Mapping[int, Handler]:
        return {
            ANNOUNCE: self._announced,
            TRANSACTION_REQUEST: self._requested,
            TRANSACTION: self._received,
        }

    def joined(self, peer: Peer) -> None:
        """A newcomer hears of all that waits."""
        link = self._links[peer.key] = Link()
        link.outbox = dict.fromkeys(self.mempool.names())
        self._flush_soon()

    def left(self, key: bytes) -> None:
        link = self._links.pop(key, None)
        if link is not None:
            self._ask_others(list(link.asked))

    # ---- Out

    def _added(self, waiting: Waiting) -> None:
        """The mempool has taken a transaction, from a wallet or a peer."""
        self._seen.add(waiting.name)
        is_full = False
        for link in self._links.values():
            if waiting.name not in link.known:
                link.outbox[waiting.name] = None
                is_full = is_full or len(link.outbox) >= GATHER_NAMES
        if is_full:
            self._flush()
        else:
            self._flush_soon()

    def _flush_soon(self) -> None:
        if self._flush_timer is None and any(link.outbox for link in self._links.values()):
            self._flush_timer = self.runtime.later(GATHER_MS, self._flush)

    def _flush(self) -> None:
        """Announce what has gathered, to each peer what it does not know."""
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None
        for key, link in self._links.items():
            names = tuple(link.outbox)[:NAMES_MAXIMUM]
            for name in names:
                del link.outbox[name]
                link.known.add(name)
            if names:
                self.runtime.send(key, ANNOUNCE, Names(names).encode())
        self._flush_soon()

    def _requested(self, key: bytes, payload: bytes) -> None:
        """Send what waits here of the names; the others are in a block by now, or dropped."""
        link = self._links.get(key)
        batch: list[bytes] = []
        room = MESSAGE_ROOM
        for name in Names.decode(payload).names:
            encoded = self.mempool.find_transaction(name)
            if encoded is None:
                continue
            if link is not None:
                link.known.add(name)
            if room < len(encoded) + 4:
                self.runtime.send(key, TRANSACTION, Transactions(tuple(batch)).encode())
                batch, room = [], MESSAGE_ROOM
            batch.append(encoded)
            room -= len(encoded) + 4
        if batch:
            self.runtime.send(key, TRANSACTION, Transactions(tuple(batch)).encode())

    # ---- In

    def _announced(self, key: bytes, payload: bytes) -> None:
        link = self._links.get(key)
        names = Names.decode(payload).names
        if link is None:
            return
        for name in names:
            link.known.add(name)
            link.outbox.pop(name, None)
            if not self._is_wanted(name, key) and not self._is_known(name) and len(link.backlog) < BACKLOG_MAXIMUM:
                link.backlog.append(name)
        self._ask(key, link)

    def _is_wanted(self, name: bytes, key: bytes) -> bool:
        """Whether a name has been asked for; if so, this peer is one who could be asked next."""
        others = self._wanted.get(name)
        if others is not None and len(others) < OTHERS_MAXIMUM and key not in others:
            others.append(key)
        return others is not None

    def _is_known(self, name: bytes) -> bool:
        is_on_its_way = name in self._arrived or name in self._again
        return is_on_its_way or name in self._seen or self.mempool.was_refused(name)

    def _ask(self, key: bytes, link: Link) -> None:
        """Ask for the next names of the backlog, as far as the peer has answered."""
        names: list[bytes] = []
        while link.backlog and len(link.asked) < ASKED_MAXIMUM:
            name = link.backlog.popleft()
            if not self._is_wanted(name, key) and not self._is_known(name):
                self._wanted[name] = []
                link.asked[name] = None
                names.append(name)
        if names:
            self.runtime.send(key, TRANSACTION_REQUEST, Names(tuple(names)).encode())
            self.runtime.later(PATIENCE_MS, lambda: self._timed_out(key, link, names))

    def _timed_out(self, key: bytes, link: Link, names: list[bytes]) -> None:
        """It may have lost them to a block meanwhile, so nobody is blamed; whoever else has them is asked."""
        if self._links.get(key) is not link:
            return
        owed = [name for name in names if name in link.asked]
        for name in owed:
            del link.asked[name]
            link.settled.add(name)
        self._ask_others(owed)
        self._ask(key, link)

    def _ask_others(self, names: list[bytes]) -> None:
        asking: dict[bytes, Link] = {}
        for name in names:
            others = self._wanted.pop(name, [])
            for key in others:
                link = self._links.get(key)
                if link is not None and len(link.backlog) < BACKLOG_MAXIMUM:
                    link.backlog.append(name)
                    asking[key] = link
        # Whoever comes first is asked; the others stay in mind as announcers.
        for key, link in asking.items():
            self._ask(key, link)

    def _received(self, key: bytes, payload: bytes) -> None:
        link = self._links.get(key)
        transactions = Transactions.decode(payload).transactions
        if link is None:
            return
        is_asked = True
        for encoded in transactions:
            name = name_of(encoded)
            if name in link.asked:
                del link.asked[name]
                link.settled.add(name)
                self._wanted.pop(name, None)
                self._arrived[name] = Arrived(key, name, encoded)
            elif name not in link.settled:
                is_asked = False
        if not is_asked:
            self.runtime.blame(key, UNASKED, "sent transactions that nobody asked for")
        self._slice_soon()
        self._ask(key, link)

    # ---- Into the mempool

    def _slice_soon(self) -> None:
        if self._arrived and not self._is_slicing:
            self._is_slicing = True
            self.runtime.later(0, self._slice)

    def _slice(self) -> None:
        """Check a few, so that votes and blocks need not wait for thousands of signatures."""
        self._is_slicing = False
        state = self.state().fork()  # It reads each record once.
        before = len(self.mempool)
        for _ in range(min(SLICE, len(self._arrived))):
            self._admit(self._arrived.popitem(last=False)[1], state)
        if len(self.mempool) > before:
            self.news()
        self._slice_soon()

    def _admit(self, arrived: Arrived, state: State) -> None:
        try:
            self.mempool.add(Transaction.decode(arrived.encoded), state)
            self._seen.add(arrived.name)
        except RefusedForNow:
            self._try_again(arrived)
        except (DecodeError, BadSignature) as error:
            self._refuse(arrived, MALFORMED, error)
        except LedgerError as error:
            self._refuse(arrived, INVALID, error)

    def _refuse(self, arrived: Arrived, points: int, error: NeuroError) -> None:
        self._seen.add(arrived.name)
        self.runtime.blame(arrived.key, points, str(error))

    def _try_again(self, arrived: Arrived) -> None:
        """Its sender's transaction before it may still be on the way, from another peer."""
        arrived.refusals += 1
        if arrived.refusals > AGAIN_TIMES or len(self._again) >= AGAIN_MAXIMUM:
            return
        self._again[arrived.name] = arrived
        if len(self._again) == 1:
            self.runtime.later(AGAIN_MS, self._retry)

    def _retry(self) -> None:
        self._arrived.update(self._again)
        self._again.clear()
        self._slice_soon()
