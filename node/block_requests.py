"""Whole blocks by their hash: asking one peer, asking all in turn until one has it. Start reading at `BlockRequests`.

What is delivered has the hash that was asked for, and its body fits its header; whether it is valid is for the ledger.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from chain.block import Block, Body, Header, certificate_root, encode_round_input
from chain.crypto.hashing import merkle_root
from chain.errors import DecodeError
from network.kinds import BLOCK_REQUEST
from node.recent import Recent
from node.relay_messages import BlockName
from node.runtime import LEDGER, MALFORMED, SLOW, UNASKED, Runtime, Timer

Answer = Callable[[Block | None], None]
PATIENCE_MS, PATIENCE_MAXIMUM_MS = 1_000, 10_000
SETTLED = 1_024  # requests that are answered or have timed out: another answer is no offence


def body_fits(header: Header, body: Body) -> bool:
    """Whether this is the body that the header commits to."""
    return (
        header.certificate_root == certificate_root(body.parent_certificate)
        and header.proofs_root == merkle_root([proof.encode() for proof in body.proofs])
        and header.rounds_root == merkle_root([encode_round_input(item) for item in body.rounds])
        and header.transactions_root == merkle_root([transaction.encode() for transaction in body.transactions])
    )


def _decoded(payload: bytes) -> Block | None:
    """A block whose body fits its header; None if the bytes are no such block."""
    try:
        block = Block.decode(payload)
    except DecodeError:
        return None
    return block if body_fits(block.header, block.body) else None


@dataclass(slots=True)
class Request:
    """One block asked of one peer, and who waits for the answer."""

    timer: Timer
    answers: list[Answer]


class BlockRequests:
    """Asks one peer for one block; `answer` is called once: with the block, or None if this peer did not give it."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._open: dict[tuple[bytes, bytes], Request] = {}
        self._settled = Recent(SETTLED)
        self._slow = Recent(SETTLED)

    def ask(self, key: bytes, block_hash: bytes, patience_ms: int, answer: Answer) -> None:
        known = self._open.get((key, block_hash))
        if known is not None:
            known.answers.append(answer)
            return
        timer = self.runtime.later(patience_ms, lambda: self._timed_out(key, block_hash))
        self._open[key, block_hash] = Request(timer, [answer])
        self.runtime.send(key, BLOCK_REQUEST, BlockName(block_hash).encode())

    def received(self, key: bytes, payload: bytes) -> None:
        """A block has come. Raises DecodeError if it does not even begin with a header."""
        header, _ = Header.read(payload, 0)
        block_hash = header.hash()
        request = self._open.get((key, block_hash))
        if request is None:
            if key + block_hash not in self._settled:
                self.runtime.blame(key, UNASKED, "sent a block that nobody asked for")
            return
        del self._open[key, block_hash]
        self._settled.add(key + block_hash)
        request.timer.cancel()
        self.runtime.offload(LEDGER, lambda: _decoded(payload), lambda block: self._judged(key, block, request))

    def _judged(self, key: bytes, block: Block | None, request: Request) -> None:
        if block is None:
            self.runtime.blame(key, MALFORMED, "sent a block whose body is not the one of its header")
        else:
            self.runtime.praise(key)
        _tell(request, block)

    def absent(self, key: bytes, block_hash: bytes) -> None:
        request = self._open.pop((key, block_hash), None)
        if request is not None:
            request.timer.cancel()
            _tell(request, None)

    def left(self, key: bytes) -> None:
        for peer, block_hash in [each for each in self._open if each[0] == key]:
            self.absent(peer, block_hash)

    def _timed_out(self, key: bytes, block_hash: bytes) -> None:
        request = self._open.pop((key, block_hash))
        if key + block_hash not in self._slow:  # blamed once for each block, however often it is asked
            self.runtime.blame(key, SLOW, "did not answer a request of a block")
        self._slow.add(key + block_hash)
        self._settled.add(key + block_hash)
        _tell(request, None)


def _tell(request: Request, block: Block | None) -> None:
    for answer in request.answers:
        answer(block)


@dataclass(slots=True)
class Fetch:
    """A block that is wanted, whoever has it."""

    wishes: list[Callable[[Block], None]]
    hints: list[bytes] = field(default_factory=list)
    tried: set[bytes] = field(default_factory=set)
    patience_ms: int = PATIENCE_MS
    timer: Timer | None = None


class BlockFetches:
    """Asks peers one after another, the hinted ones first, and begins anew when all have been asked."""

    def __init__(self, runtime: Runtime, requests: BlockRequests, lookup: Callable[[bytes], Block | None]) -> None:
        self.runtime = runtime
        self.requests = requests
        self.lookup = lookup
        self._open: dict[bytes, Fetch] = {}

    def fetch(self, block_hash: bytes, done: Callable[[Block], None]) -> None:
        known = self._open.get(block_hash)
        if known is not None:
            known.wishes.append(done)
            return
        fetch = self._open[block_hash] = Fetch([done])
        fetch.timer = self.runtime.later(0, lambda: self._begin(block_hash, fetch))

    def hint(self, block_hash: bytes, key: bytes) -> None:
        """This peer should have it; nothing happens if the block is not wanted."""
        fetch = self._open.get(block_hash)
        if fetch is not None and key not in fetch.hints:
            fetch.hints.append(key)

    def forget(self, block_hash: bytes) -> None:
        fetch = self._open.pop(block_hash, None)
        if fetch is not None and fetch.timer is not None:
            fetch.timer.cancel()

    def came(self, block: Block) -> None:
        """A block is here, from wherever."""
        fetch = self._open.get(block.header.hash())
        if fetch is not None:
            self.forget(block.header.hash())
            for done in fetch.wishes:
                done(block)

    def _begin(self, block_hash: bytes, fetch: Fetch) -> None:
        block = self.lookup(block_hash)
        if block is not None:
            self.came(block)
        else:
            self._ask_next(block_hash, fetch)

    def _ask_next(self, block_hash: bytes, fetch: Fetch) -> None:
        if self._open.get(block_hash) is not fetch:
            return  # Forgotten, or it came from elsewhere.
        fetch.timer = None
        peers = self.runtime.peers()
        others = [key for key in peers if key not in fetch.hints]
        self.runtime.random.shuffle(others)
        left = [key for key in [*fetch.hints, *others] if key in peers and key not in fetch.tried]
        patience_ms = fetch.patience_ms
        if not left:
            fetch.tried.clear()
            fetch.patience_ms = min(PATIENCE_MAXIMUM_MS, patience_ms * 3 // 2)
            fetch.timer = self.runtime.later(patience_ms, lambda: self._ask_next(block_hash, fetch))
            return
        fetch.tried.add(left[0])
        self.requests.ask(left[0], block_hash, patience_ms, lambda block: self._answered(block_hash, fetch, block))

    def _answered(self, block_hash: bytes, fetch: Fetch, block: Block | None) -> None:
        if block is not None:
            self.came(block)
        else:
            self._ask_next(block_hash, fetch)
