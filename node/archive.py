"""Replay: everything the ledger claims, computed again from the genesis. Start reading at `Replay.run`.

What is stored is only compared, never believed: certificates, state roots, supply, the flat state, tree and indexes,
and the model of every round from the payloads. The first difference ends it, with its height and what differs.
"""

from collections.abc import Callable
from dataclasses import dataclass

from chain.block import Block, Header
from chain.crypto.hashing import ZERO
from chain.errors import NeuroError
from chain.genesis import Network
from chain.receipts import RoundClosed, RoundVoid
from chain.state import State
from chain.transition import Applied, apply_block, genesis_parent
from chain.tree import Update
from node.archive_stored import (
    ArchiveDiffers,
    Progress,
    by_prefix,
    check_beginning,
    check_kept,
    compare,
    recount,
    silent,
    tip_of,
)
from node.certificates import check_finalization, check_parent_certificate, check_proposer, committee_of
from node.counted import Counted, counted_in
from node.errors import NodeError, StoreError
from node.key_value import KeyValue
from node.model_store import check_outcome, step_from_payloads
from node.payload_store import PayloadStore
from node.receipt_index import ReceiptIndex, Sums
from node.store import PAYLOADS, PRUNED, RECEIPTS, index_entries, number
from node.template import Learning
from training.errors import TrainingError

__all__ = ["ArchiveDiffers", "Counts", "Progress", "Replay"]

# Views that may pass without a block: twelve days of views given up at one a second.
VIEWS_MAXIMUM = 1 << 20
PAYLOADS_ADVICE = "`neuroshard archive fetch` fetches them from others; a node that runs with --archive keeps all"


@dataclass(slots=True)
class Counts:
    blocks: int = 0
    certificates: int = 0
    transactions: int = 0
    proofs: int = 0
    rounds_closed: int = 0
    rounds_void: int = 0
    payloads: int = 0  # replayed
    payloads_missing: int = 0  # counted by the ledger and not kept here
    first_missing_round: int = 0
    minted_nanos: int = 0
    burned_nanos: int = 0
    state_root: str = ""
    outer_root: str = ""


class PayloadsNotKept(NodeError):
    """The weights cannot be made again, since payloads are not here. Nothing shows that the ledger is wrong."""


def check_whole(database: KeyValue) -> None:
    """Raise NodeError if the ledger is pruned."""
    if (pruned := database.get(PRUNED)) is not None:
        raise NodeError(
            f"this ledger is pruned: it lacks the bodies of blocks up to {int.from_bytes(pruned, 'big')}, so it "
            "cannot be executed from the genesis; use the ledger of a node that keeps everything"
        )


class Replay:
    """One pass over a stored ledger, with all state in memory.

    `payloads` None: the model is not followed. `every_certificate` False: only the certificates of each epoch's last
    block and of the tip are checked, on which all blocks before them hang by their hashes. `may_lack`: the model is
    followed until the first payload that is not here, and no further.
    """

    def __init__(
        self, database: KeyValue, network: Network, payloads: PayloadStore | None, every_certificate: bool = True
    ) -> None:
        self.database = database
        self.network = network
        self.payloads = payloads
        self.every_certificate = every_certificate
        self.may_lack = False
        self.learning = Learning.of(network)
        self.model = None if payloads is None else self.learning.born()
        self.model_round = 0  # the round that led to it
        self.flat: dict[bytes, bytes] = {}
        self.nodes: dict[bytes, bytes] = {}
        self.indexes: dict[bytes, bytes] = {}
        self.receipts = ReceiptIndex(lambda wallet, day: Sums())
        self.receipts_after = int.from_bytes(database.get(RECEIPTS) or b"", "big")
        self.counts = Counts()
        self.covered = 0  # the highest block that a checked finalization certificate makes final
        # Told of every block after it was executed.
        self.hear: list[Callable[[Applied], None]] = []

    @property
    def state(self) -> State:
        """After the last block that was executed."""
        return State(self.flat.get)

    def run(self, progress: Progress = silent) -> Counts:
        """Verify everything up to the tip. Raises ArchiveDiffers or PayloadsNotKept."""
        tip = tip_of(self.database)
        self.hear.append(self._index)
        self.follow(tip, progress)
        compare(
            self.database,
            tip,
            {b"s": self.flat, b"t": self.nodes, b"e": {}, **by_prefix(self.indexes | self.receipts.fresh)},
        )
        check_kept(self.database, self.state, self.network.chain_id, tip)
        recount(self.flat)
        return self.counts

    def follow(self, to: int, progress: Progress = silent) -> None:
        """Execute from the genesis up to a height.

        Raises ArchiveDiffers, PayloadsNotKept, and NodeError if there is no such block.
        """
        self._begin()
        tip = tip_of(self.database)
        if not 0 <= to <= tip:
            raise NodeError(f"there is no block {to} to replay to: this ledger has heights 0 to {tip}")
        for height in range(1, to + 1):
            try:
                self._execute(height)
            except PayloadsNotKept:
                raise
            except (NeuroError, TrainingError) as error:
                raise ArchiveDiffers(f"height {height} differs: {error}") from error
            progress(height, to)
        if to == tip and self.covered != tip:
            raise ArchiveDiffers(f"height {tip} differs: no finalization certificate covers it")

    def _begin(self) -> None:
        state, tree, root = check_beginning(self.database, self.network)
        check_whole(self.database)
        self._keep(state, tree)
        self.parent = genesis_parent(self.network, root)
        self.parent_header: Header | None = None
        if self.model is not None and self.learning.outcome(ZERO, self.model) != self.network.start:
            raise ArchiveDiffers("height 0 differs: the model born from the seed has other roots than the genesis")

    def _execute(self, height: int) -> None:
        data, certificate = self.database.get(b"b" + number(height)), self.database.get(b"f" + number(height))
        if data is None or certificate is None:
            raise StoreError("the block or its certificate is missing")
        block, state = Block.decode(data), self.state
        is_due = height % self.network.params.epoch_blocks == 0 or height == tip_of(self.database)
        if self.every_certificate or is_due:
            self._check_certificates(block, certificate, state)
            self.covered = height if certificate else self.covered
        applied = apply_block(state, self.parent, block, self.network, self.nodes.get, not self.every_certificate)
        self._keep(applied.state, applied.tree)
        self._follow_rounds(applied)
        self.parent, self.parent_header = applied.parent, block.header
        self._count(block)
        for hear in self.hear:
            hear(applied)

    def _index(self, applied: Applied) -> None:
        self.indexes |= {key: value or b"" for key, value in index_entries(applied, self.network).items()}
        if applied.block.header.height > self.receipts_after:
            self.receipts.add(applied)

    def _check_certificates(self, block: Block, certificate: bytes, state: State) -> None:
        header, chain_id = block.header, self.network.chain_id
        committee = committee_of(state, header.epoch) if self._has_set(header) else None
        if committee is None:
            raise StoreError(f"the block names epoch {header.epoch} and view {header.view}, which cannot be")
        if certificate:
            check_finalization(header, certificate, committee, chain_id)
            self.counts.certificates += 1
        check_proposer(header, committee)
        parent = self.parent_header
        before = committee if parent is None or parent.epoch == header.epoch else committee_of(state, parent.epoch)
        check_parent_certificate(block, parent, before, chain_id)

    def _has_set(self, header: Header) -> bool:
        expected = (header.height - 1) // self.network.params.epoch_blocks
        # Finding a view's leader takes time proportional to the view: a made-up one must not take hours.
        return header.epoch == expected and header.view <= self.parent.view + VIEWS_MAXIMUM

    def _keep(self, state: State, tree: Update) -> None:
        for digest in tree.stale:
            del self.nodes[digest]
        self.nodes.update(tree.fresh)
        for key, value in state.changes.items():
            if value is None:
                self.flat.pop(key, None)
            else:
                self.flat[key] = value

    def _follow_rounds(self, applied: Applied) -> None:
        for receipt in applied.receipts:
            if isinstance(receipt, RoundClosed):
                current = applied.state.round(receipt.round)
                assert current is not None
                chosen = counted_in(applied.state, current)
                self.counts.rounds_closed += 1
                self._step(receipt, chosen)
            elif isinstance(receipt, RoundVoid):
                self.counts.rounds_void += 1

    def _step(self, closed: RoundClosed, chosen: list[Counted]) -> None:
        if self.payloads is None:
            return
        lacking = sum(self.payloads.find(each.payload_root) is None for each in chosen)
        if lacking:
            self._lacks(closed.round, lacking)
        if self.model is None:
            return
        self.model = step_from_payloads(self.model, chosen, self.payloads, self.learning)
        self.model_round = closed.round
        self.counts.payloads += len(chosen)
        check_outcome(self.learning.outcome(closed.outcome.counted_root, self.model), closed.outcome, closed.round)

    def _lacks(self, number: int, payloads: int) -> None:
        """Go on without the weights, if that is allowed. Raises PayloadsNotKept."""
        self.counts.payloads_missing += payloads
        self.counts.first_missing_round = self.counts.first_missing_round or number
        if self.may_lack:
            self.model = None
            return
        kept_from = int.from_bytes((self.database.get(PAYLOADS) or bytes(8))[:8], "big") + 1
        policy = f", since this node keeps those of rounds from {kept_from} on only" if number < kept_from else ""
        raise PayloadsNotKept(
            f"the weights cannot be made again: of round {number} {payloads} payloads are missing{policy}. "
            f"{PAYLOADS_ADVICE}"
        )

    def _count(self, block: Block) -> None:
        counts, header = self.counts, block.header
        counts.blocks += 1
        counts.transactions += len(block.body.transactions)
        counts.proofs += len(block.body.proofs)
        counts.minted_nanos, counts.burned_nanos = header.minted, header.burned
        counts.state_root = header.state_root.hex()
        counts.outer_root = self.state.ledger.model.outer_root.hex()
