"""From a compact proposal back to its block: names looked up, the missing asked for. Start reading at `Assemblies`.

What strangers can make us hold is bounded: proposals per peer, and bytes in total. Of several offers of one block the
first is worked on; the others wait, and take its place if who made it does not keep his word.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from chain.block import Block, Body
from chain.errors import DecodeError
from chain.transactions import Transaction, vouch
from consensus.messages import Proposal
from network.kinds import MISSING_REQUEST
from node.block_requests import BlockRequests, body_fits
from node.recent import Recent
from node.relay_messages import CompactProposal, Missing, MissingRequest, name_of
from node.runtime import INVALID, LEDGER, SLOW, UNASKED, Runtime, Timer

OFFERS_PER_PEER = 2
BYTES_MAXIMUM = 64 << 20  # of all that is being assembled; one block has at most 8 MiB
PATIENCE_MS = 1_000
WHOLE_PATIENCE_MS = 2_000
SETTLED = 1_024  # requests that are answered or have timed out: another answer is no offence

Offers = list[tuple[bytes, Proposal]]


@dataclass(slots=True, eq=False)
class Assembly:
    """One peer's offer of one block."""

    key: bytes
    compact: CompactProposal
    size: int  # bytes that it may take
    found: list[bytes | None] = field(default_factory=list)  # transactions, by place
    checked: set[int] = field(default_factory=set)  # places of those that our mempool has checked
    indices: tuple[int, ...] = ()  # places of those asked for
    timer: Timer | None = None  # set while they are awaited

    @property
    def block_hash(self) -> bytes:
        return self.compact.proposal.block_hash


def _block_of(compact: CompactProposal, encoded: list[bytes], checked: set[int], chain_id: bytes) -> Block | None:
    """The block, None if these are not its transactions. `checked`: places of those that came from the mempool."""
    try:
        transactions = tuple(map(Transaction.decode, encoded))
    except DecodeError:
        return None
    for place in checked:
        vouch(transactions[place], chain_id)
    body = Body(compact.proofs, transactions, compact.rounds, compact.parent_certificate)
    return Block(compact.header, body) if body_fits(compact.header, body) else None


class Assemblies:
    """All offers that are not complete yet. `complete` gets a block with all who offered it."""

    def __init__(
        self,
        runtime: Runtime,
        requests: BlockRequests,
        chain_id: bytes,
        find_transaction: Callable[[bytes], bytes | None],
        complete: Callable[[Offers, Block], None],
    ) -> None:
        self.runtime = runtime
        self.requests = requests
        self.chain_id = chain_id
        self.find_transaction = find_transaction
        self.complete = complete
        self._offers: dict[bytes, list[Assembly]] = {}  # by block hash; the first is at work
        self._settled = Recent(SETTLED)

    def __len__(self) -> int:
        return sum(map(len, self._offers.values()))

    @property
    def size(self) -> int:
        """Bytes that all assemblies together may take."""
        return sum(each.size for offers in self._offers.values() for each in offers)

    def offer(self, key: bytes, compact: CompactProposal, payload_bytes: int) -> None:
        """Begin, unless this peer has offered the block already or there is no room. Its oldest offer makes room."""
        block_hash = compact.proposal.block_hash
        of_peer = [each for offers in self._offers.values() for each in offers if each.key == key]
        if any(each.block_hash == block_hash for each in of_peer):
            return
        for oldest in of_peer[: len(of_peer) + 1 - OFFERS_PER_PEER]:
            self._drop(oldest)
        if self.size + payload_bytes > BYTES_MAXIMUM:
            return
        assembly = Assembly(key, compact, payload_bytes)
        offers = self._offers.setdefault(block_hash, [])
        offers.append(assembly)
        if len(offers) == 1:
            self._work(assembly)

    def came(self, block: Block) -> None:
        """A block is here whole: whoever offered it has kept his word."""
        offers = self._offers.pop(block.header.hash(), [])
        for each in offers:
            self._stop(each)
        if offers:
            self.complete([(each.key, each.compact.proposal) for each in offers], block)

    def left(self, key: bytes) -> None:
        for each in [each for offers in self._offers.values() for each in offers if each.key == key]:
            self._drop(each)

    def missing(self, key: bytes, message: Missing) -> None:
        """Transactions have come that we lacked."""
        assembly = self._awaited(key, message.block_hash)
        if assembly is None:
            if key + message.block_hash not in self._settled:
                self.runtime.blame(key, UNASKED, "sent transactions of a block that nobody asked for")
            return
        self._stop(assembly)
        names = [assembly.compact.names[index] for index in assembly.indices]
        if list(map(name_of, message.transactions)) != names:
            self.runtime.blame(key, INVALID, "sent other transactions of a block than those asked for")
            self._drop(assembly)
            return
        for index, encoded in zip(assembly.indices, message.transactions, strict=True):
            assembly.found[index] = encoded
        assembly.size += sum(map(len, message.transactions))
        self._join(assembly)

    def absent(self, key: bytes, block_hash: bytes) -> None:
        """The peer says that it does not have the block that it has offered."""
        assembly = self._awaited(key, block_hash)
        if assembly is not None:
            self._drop(assembly)

    def _awaited(self, key: bytes, block_hash: bytes) -> Assembly | None:
        """The assembly at work on this block, if this peer is to send its transactions."""
        first = self._offers.get(block_hash, [None])[0]
        return first if first is not None and first.key == key and first.timer is not None else None

    def _work(self, assembly: Assembly) -> None:
        carried = {name_of(encoded): encoded for encoded in assembly.compact.carried}
        waiting = [self.find_transaction(name) for name in assembly.compact.names]
        assembly.checked = {place for place, encoded in enumerate(waiting) if encoded is not None}
        names = zip(waiting, assembly.compact.names, strict=True)
        assembly.found = [encoded or carried.get(name) for encoded, name in names]
        assembly.indices = tuple(place for place, encoded in enumerate(assembly.found) if encoded is None)
        if not assembly.indices:
            self._join(assembly)
            return
        # A line that carries 200 KB/s is fast enough.
        patience_ms = PATIENCE_MS + len(assembly.indices)
        assembly.timer = self.runtime.later(patience_ms, lambda: self._timed_out(assembly))
        request = MissingRequest(assembly.block_hash, assembly.indices)
        self.runtime.send(assembly.key, MISSING_REQUEST, request.encode())

    def _timed_out(self, assembly: Assembly) -> None:
        assembly.timer = None
        self._settled.add(assembly.key + assembly.block_hash)
        self.runtime.blame(assembly.key, SLOW, "did not send the transactions of its proposal")
        self._drop(assembly)

    def _join(self, assembly: Assembly) -> None:
        encoded = [each for each in assembly.found if each is not None]
        parts = assembly.compact, encoded, assembly.checked, self.chain_id
        self.runtime.offload(LEDGER, lambda: _block_of(*parts), lambda block: self._joined(assembly, block))

    def _joined(self, assembly: Assembly, block: Block | None) -> None:
        if block is not None:
            self.came(block)
        elif self._is_open(assembly):
            # Two transactions may share a name; then, and only then, a peer that tells the truth comes here.
            self.requests.ask(
                assembly.key, assembly.block_hash, WHOLE_PATIENCE_MS, lambda whole: self._got_whole(assembly, whole)
            )

    def _got_whole(self, assembly: Assembly, block: Block | None) -> None:
        if block is not None:
            self.came(block)
        else:
            self._drop(assembly)

    def _stop(self, assembly: Assembly) -> None:
        """Its transactions are not awaited any more; if they come, for they may be on their way, that is no offence."""
        if assembly.timer is not None:
            assembly.timer.cancel()
            assembly.timer = None
            self._settled.add(assembly.key + assembly.block_hash)

    def _is_open(self, assembly: Assembly) -> bool:
        return assembly in self._offers.get(assembly.block_hash, [])

    def _drop(self, assembly: Assembly) -> None:
        """Give an offer up; the next one of the same block takes its place."""
        self._stop(assembly)
        offers = self._offers.get(assembly.block_hash, [])
        if assembly not in offers:
            return
        was_first = offers[0] is assembly
        offers.remove(assembly)
        if not offers:
            del self._offers[assembly.block_hash]
        elif was_first:
            self._work(offers[0])
