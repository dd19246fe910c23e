"""The finalized ledger on disk: one synced batch per block holds everything that the block changed, and the tip.

b ‖ height   block            f ‖ height   finalization certificate     h ‖ block hash   height
s ‖ key      flat state       t ‖ hash     tree node                    x ‖ tx id        height
i ‖ address ‖ height ‖ tx id  (empty)      o ‖ round    height of the block that closed or voided it
k ‖ epoch ‖ view ‖ kind   certificate of a view that is not final yet, and the tip's notarization
p ‖ height ‖ block hash   block that may have been voted for and is not final yet
e ‖ height   header of a block whose body this node does not keep (`node.archive_prune`, `node.snapshot`)
w, r, d, n   receipts, sums and nodes of wallets (`node.receipt_index`)
m ‖ name     tip, chain id, schema, genesis root; where something is not kept: up to which height
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from chain.address import address_of
from chain.block import Block, Header
from chain.crypto.hashing import ZERO
from chain.genesis import Network, genesis_state
from chain.receipts import RoundClosed, RoundVoid
from chain.state import State
from chain.transactions import MultiTransfer, ServicePayment, Transaction, Transfer
from chain.transition import Applied, Parent, genesis_parent, parent_of
from chain.tree import Update
from consensus.messages import Certificate
from node.errors import StoreError, disk_advice
from node.failpoints import reach
from node.key_value import RESTORE, KeyValue
from node.receipt_index import (
    Reached,
    ReceiptIndex,
    Sums,
    Told,
    day_key,
    day_of,
    node_entry,
    nodes_in,
    nodes_of_state,
    reached_key,
    told_key,
)

# 2: records of rounds, nodes and the ledger that await work and hold polls. 3: the index of receipts by wallet.
SCHEMA, BEFORE_RECEIPTS = b"3", b"2"
TIP, CHAIN, SCHEMA_KEY, GENESIS_ROOT = b"mtip", b"mchain", b"mschema", b"mgenesis"
# Bodies up to PRUNED may be gone. HEADERS: a height below which there are only the last headers of epochs, and the
# first epoch of those. Absent where all is kept.
PRUNED, HEADERS = b"mpruned", b"mheaders"
# Payloads of rounds up to a first number may be gone, those up to a second one are: 8 bytes each.
PAYLOADS = b"mpayloads"
# Receipts of blocks up to here are not in the index by wallet, which began later. Absent where it has them all.
RECEIPTS = b"mreceipts"
COMPLETE = b"mcomplete"  # an archive has the payloads of all rounds up to this one
RESTORED = b"mrestored"  # while a snapshot is being restored: chunks that are there, and the root of their tree
# When blocks were last fetched that the checkpoint rule allowed although they are old (`node.checkpoint`).
TRUSTED = b"mtrusted"


@dataclass(frozen=True, slots=True)
class Stored:
    block: Block
    certificate: bytes


def number(value: int) -> bytes:
    return value.to_bytes(8, "big")


class Store:
    """Reads and writes of finalized data. Raises StoreError."""

    def __init__(self, database: KeyValue, network: Network) -> None:
        self.database = database
        self.network = network
        chain_id = database.get(CHAIN)
        if chain_id is None and database.get(RESTORED) is not None:
            raise StoreError("a snapshot is being restored into this ledger: start again with --sync snapshot")
        if chain_id is None:
            self._create()
        elif chain_id != network.chain_id:
            raise StoreError(
                f"this ledger belongs to chain {chain_id.hex()[:16]}, the network file beside it to "
                f"{network.chain_id.hex()[:16]}: restore the network file from a backup"
            )
        elif not upgraded(database):
            raise StoreError(
                f"the ledger has schema {database.get(SCHEMA_KEY)!r}, this program writes {SCHEMA!r}; "
                "use the program that wrote it"
            )

    def _create(self) -> None:
        state = genesis_state(self.network)
        tree = Update(lambda _: None)
        root = tree.apply(ZERO, state.changes)
        changes = _state_changes(state, tree)
        changes |= {CHAIN: self.network.chain_id, SCHEMA_KEY: SCHEMA, TIP: number(0), GENESIS_ROOT: root}
        self._write("ledger.genesis", changes)

    def _write(self, place: str, changes: Mapping[bytes, bytes | None]) -> None:
        """One synced batch. Raises StoreError."""
        try:
            reach(f"{place}.before")
            self.database.write(changes)
            reach(f"{place}.durable")
        except OSError as error:
            raise StoreError(f"cannot write to the ledger: {disk_advice(error)}") from error

    def state(self) -> State:
        """The state after the last finalized block."""
        return State(lambda key: self.database.get(b"s" + key))

    def node(self, digest: bytes) -> bytes | None:
        return self.database.get(b"t" + digest)

    @property
    def height(self) -> int:
        return int.from_bytes(self._need(TIP), "big")

    def tip(self) -> Parent:
        """What the next block builds on."""
        height = self.height
        if height == 0:
            return genesis_parent(self.network, self._need(GENESIS_ROOT))
        return parent_of(self._need_header(height))

    @property
    def pruned_height(self) -> int:
        """The bodies of blocks up to here are not kept."""
        return _optional_number(self.database.get(PRUNED)) or 0

    def pruned_payloads(self) -> tuple[int, int]:
        """Payloads of rounds up to the first number may have been removed, those up to the second are."""
        data = self.database.get(PAYLOADS) or bytes(16)
        return int.from_bytes(data[:8], "big"), int.from_bytes(data[8:], "big")

    def note_pruned_payloads(self, maybe: int, surely: int) -> None:
        self.database.write({PAYLOADS: number(maybe) + number(surely)})

    @property
    def receipts_from(self) -> int:
        """The first height whose receipts are summed by wallet."""
        return (_optional_number(self.database.get(RECEIPTS)) or 0) + 1

    @property
    def complete_round(self) -> int:
        """All payloads of rounds up to here were here once."""
        return _optional_number(self.database.get(COMPLETE)) or 0

    def note_complete(self, round_number: int) -> None:
        self.database.write({COMPLETE: number(round_number)})

    @property
    def trusted_ms(self) -> int:
        """Milliseconds since 1970 when old blocks were last fetched with good reason; 0: never."""
        return _optional_number(self.database.get(TRUSTED)) or 0

    def header(self, height: int) -> Header | None:
        """The header of a finalized block, whether or not its body is kept."""
        if (data := self.database.get(b"e" + number(height))) is not None:
            return Header.decode(data)
        stored = self.block(height)
        return None if stored is None else stored.block.header

    def certificate(self, height: int) -> bytes:
        """A finalized block's own finalization certificate; empty if a descendant's covers it."""
        return self._need(b"f" + number(height))

    def find_certificate(self, height: int) -> bytes | None:
        """The same; None if this node has nothing of that height, as below a snapshot."""
        return self.database.get(b"f" + number(height))

    def block(self, height: int) -> Stored | None:
        """A finalized block; None if there is none at this height, or its body is not kept."""
        data = self.database.get(b"b" + number(height))
        return None if data is None else Stored(Block.decode(data), self._need(b"f" + number(height)))

    def encoded_block(self, height: int) -> bytes | None:
        """A finalized block as it is stored; None as for `block`."""
        return self.database.get(b"b" + number(height))

    def height_of(self, block_hash: bytes) -> int | None:
        return _optional_number(self.database.get(b"h" + block_hash))

    def height_of_transaction(self, identity: bytes) -> int | None:
        return _optional_number(self.database.get(b"x" + identity))

    def height_of_round(self, round_number: int) -> int | None:
        """Where a round ended."""
        return _optional_number(self.database.get(b"o" + number(round_number)))

    def transactions_of(self, address: bytes) -> Iterator[tuple[int, bytes]]:
        """(height, transaction id) of everything an address sent or received, oldest first."""
        for key, _ in self.database.items(b"i" + address):
            yield int.from_bytes(key[22:30], "big"), key[30:]

    def sums_by_day(self, address: bytes) -> Generator[tuple[int, Sums], None, None]:
        """(UTC day, a wallet's sums up to its end) for each day on which they changed, the newest first."""
        for key, data in self.database.items(b"d" + address):
            yield day_of(key), Sums.decode(data)

    def sums_of(self, address: bytes, today: int | None = None) -> Sums:
        """What a wallet was paid and lost until now. With the day of the newest block this is found sooner."""
        if today is not None and (data := self.database.get(day_key(address, today))) is not None:
            return Sums.decode(data)
        with closing(self.sums_by_day(address)) as days:
            return next(days, (0, Sums()))[1]

    def told(self, address: bytes, first: int, end: int) -> Iterator[tuple[int, Told]]:
        """(height, what it brought about for a wallet) for first ≤ height < end, the newest first."""
        for key, data in self.database.descending(told_key(address, first), told_key(address, end)):
            yield int.from_bytes(key[-8:], "big"), Told.decode(data)

    def base_fee(self, height: int) -> int | None:
        """What a unit of gas cost in a block; None where nobody paid it, or it is not known any more."""
        data = self.database.get(reached_key(height))
        return None if data is None else Reached.decode(data).base_fee or None

    def nodes_of(self, address: bytes) -> Iterator[bytes]:
        """The ids of all nodes that a wallet registered, ascending."""
        for key, _ in self.database.items(node_entry(address, b"")):
            yield key[-32:]

    def hash_at(self, height: int) -> bytes:
        """The hash of a finalized block; the chain id for height 0."""
        if height == 0:
            return self.network.chain_id
        return self._need_header(height).hash()

    def _need_header(self, height: int) -> Header:
        header = self.header(height)
        if header is None:
            raise StoreError(f"the ledger lacks block {height}: it is damaged; {RESTORE}")
        return header

    def keep(self, certificate: Certificate) -> None:
        """Store a certificate of a view that is not final yet."""
        self._write("ledger.keep", {kept_key(certificate): certificate.encode()})

    def kept(self) -> list[Certificate]:
        """The certificates of the newest views, oldest first."""
        return [Certificate.decode(data) for _, data in self.database.items(b"k")]

    def hold(self, block: Block) -> None:
        """Store a block durably before it is voted for: after a crash the vote binds us, so the block must be there."""
        self._write("ledger.hold", {b"p" + number(block.header.height) + block.header.hash(): block.encode()})

    def held(self) -> list[Block]:
        """The blocks above the tip that were stored by `hold`, lowest first."""
        return [Block.decode(data) for _, data in self.database.items(b"p")]

    def append(self, applied: Applied, certificate: Certificate | None) -> None:
        """Write a finalized block and all that follows from it, in one synced batch.

        `certificate` is the block's own finalization, None if a descendant's covers it.
        """
        self.append_all([applied], certificate)

    def append_all(
        self, chain: Sequence[Applied], certificate: Certificate | None, notes: Mapping[bytes, bytes] | None = None
    ) -> None:
        """The same for blocks that follow one another: all in one batch, under the last one's certificate.

        `notes` are further records to be written with them.
        """
        changes: dict[bytes, bytes | None] = {}
        receipts = ReceiptIndex(self.sums_of)
        height = self.height
        for applied in chain:
            header = applied.block.header
            if header.height != height + 1:
                raise StoreError(f"block {header.height} does not follow block {height}")
            height = header.height
            is_last = applied is chain[-1]
            changes |= _state_changes(applied.state, applied.tree)
            changes[b"b" + number(height)] = applied.block.encode()
            changes[b"f" + number(height)] = b"" if certificate is None or not is_last else certificate.encode()
            changes |= index_entries(applied, self.network)
            receipts.add(applied)
        changes |= receipts.fresh
        # The child of the last block will carry its notarization; certificates of earlier views are done with.
        for old in self.kept():
            if (old.epoch, old.view) < (header.epoch, header.view):
                changes[kept_key(old)] = None
        for key, _ in self.database.items(b"p"):
            if key[1:9] <= number(height):
                changes[key] = None
        changes[TIP] = number(height)
        self._write("ledger.append", {**changes, **(notes or {})})

    def _need(self, key: bytes) -> bytes:
        value = self.database.get(key)
        if value is None:
            raise StoreError(f"the ledger lacks the record {key[:1]!r} {key[1:].hex()}: it is damaged; {RESTORE}")
        return value

    def close(self) -> None:
        self.database.close()


def index_entries(applied: Applied, network: Network) -> dict[bytes, bytes | None]:
    """What finds a block by hash, transaction, address and round."""
    block = applied.block
    height = number(block.header.height)
    entries: dict[bytes, bytes | None] = {b"h" + block.header.hash(): height, **body_entries(block, network)}
    entries |= dict.fromkeys(nodes_in(block), b"")
    for receipt in applied.receipts:
        if isinstance(receipt, RoundClosed | RoundVoid):
            entries[b"o" + number(receipt.round)] = height
    return entries


def receipt_entries(database: KeyValue, height: int) -> list[bytes]:
    """The keys of what the index by wallet says of one block; the sums go on without it."""
    data = database.get(reached_key(height))
    if data is None:
        return []
    return [reached_key(height), *(told_key(wallet, height) for wallet in Reached.decode(data).wallets)]


def upgraded(database: KeyValue) -> bool:
    """Bring a ledger of the schema before this one up to date; False if it has yet another one."""
    if database.get(SCHEMA_KEY) == BEFORE_RECEIPTS:
        # Past receipts would have to be computed from the genesis on: `archive fsck` does that, a start does not.
        nodes = nodes_of_state(database.items(b"sn"))
        database.write({**nodes, RECEIPTS: database.get(TIP), SCHEMA_KEY: SCHEMA})
    return database.get(SCHEMA_KEY) == SCHEMA


def body_entries(block: Block, network: Network) -> dict[bytes, bytes]:
    """What finds a block by what stands in its body: transaction and address."""
    height = number(block.header.height)
    entries: dict[bytes, bytes] = {}
    for transaction in block.body.transactions:
        identity = transaction.id(network.chain_id)
        entries[b"x" + identity] = height
        for address in _touched(transaction):
            entries[b"i" + address + height + identity] = b""
    return entries


def first_headers(database: KeyValue) -> tuple[int, int]:
    """The height from which every header is there, and the first epoch whose last header is there before it."""
    data = database.get(HEADERS)
    return (1, 0) if data is None else (int.from_bytes(data[:8], "big"), int.from_bytes(data[8:], "big"))


def header_heights(database: KeyValue, tip: int, epoch_blocks: int) -> list[int]:
    """The heights whose headers this ledger should have; ascending."""
    first, epoch = first_headers(database)
    return [*range((epoch + 1) * epoch_blocks, first, epoch_blocks), *range(first, tip + 1)]


def kept_key(certificate: Certificate) -> bytes:
    return b"k" + number(certificate.epoch) + number(certificate.view) + bytes((certificate.kind,))


def _state_changes(state: State, tree: Update) -> dict[bytes, bytes | None]:
    changes: dict[bytes, bytes | None] = {b"t" + digest: None for digest in tree.stale}
    changes |= {b"t" + digest: record for digest, record in tree.fresh.items()}
    changes |= {b"s" + key: value for key, value in state.changes.items()}
    return changes


def _touched(transaction: Transaction) -> set[bytes]:
    """Who sent a transaction and whom it pays."""
    sender = address_of(transaction.sender)
    match transaction.action:
        case Transfer(payee=payee) | ServicePayment(payee=payee):
            return {sender, payee}
        case MultiTransfer(payments=payments):
            return {sender, *(payment.payee for payment in payments)}
        case _:
            return {sender}


def _optional_number(data: bytes | None) -> int | None:
    return None if data is None else int.from_bytes(data, "big")
