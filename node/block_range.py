"""A range of blocks from a stranger: what is checked before anything is executed, and the execution in small pieces.

A certificate makes its block final and all blocks below it. So the last block's certificate is checked, then the hashes
that lead from it down to our own last block; what the blocks do is executed and compared in full, as always.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeVar

from chain.block import Block, Header
from chain.errors import InvalidBlock, NeuroError
from chain.state import State
from chain.transition import Applied, Parent, apply_block, epoch_of
from consensus.messages import Certificate
from node.checkpoint import Trust
from node.errors import NodeError
from node.ledger_view import LedgerView
from node.set_chain import check_final
from node.sync_messages import BlockRange, RangeRequest

T = TypeVar("T")
# Of one job in the ledger's lane: others wait meanwhile. A block is never divided.
JOB_BLOCKS, JOB_TRANSACTIONS = 16, 1_000


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with what a peer sent."""

    reason: str


@dataclass(frozen=True, slots=True)
class Absent:
    """The peer says that it does not have what was asked for."""


def guarded(work: Callable[[], T]) -> Callable[[], T | Fault]:
    """`work` for a lane: what a stranger's bytes cause is returned, a fault of our own is raised."""

    def attempt() -> T | Fault:
        try:
            return work()
        except NodeError:
            raise
        except NeuroError as error:
            return Fault(str(error))

    return attempt


@dataclass(slots=True)
class RangeRun:
    """A verified range on its way into the ledger. All methods belong into the ledger's lane."""

    view: LedgerView
    blocks: tuple[Block, ...]
    certificate: Certificate
    chain: list[Applied] = field(default_factory=list)  # what has been executed
    _parent: Parent = field(init=False)
    _state: State = field(init=False)
    _nodes: dict[bytes, bytes] = field(init=False)

    def __post_init__(self) -> None:
        self._begin()

    @property
    def last(self) -> Header:
        return self.blocks[-1].header

    def _begin(self) -> None:
        self._parent, self._state, self._nodes = self.view.tip, self.view.state(), {}

    def step(self) -> bool:
        """Execute some blocks; whether all are done. Raises an error of the family at one that is not as it says."""
        if self._parent.height < self.view.tip.height:
            self._begin()  # consensus has been faster: what lies under our draft is newer than the draft
        left = JOB_TRANSACTIONS
        first = self._parent.height + 1 - self.blocks[0].header.height
        for block in self.blocks[first : first + JOB_BLOCKS]:
            if left <= 0:
                return False
            self._execute(block)
            left -= len(block.body.transactions) + len(block.body.proofs)
        return self._parent.height >= self.last.height

    def _execute(self, block: Block) -> None:
        applied = apply_block(self._state, self._parent, block, self.view.network, self._node, reveal_checked=True)
        self._state.merge(applied.state)
        self._nodes.update(applied.tree.fresh)
        self._parent = applied.parent
        self.chain.append(applied)

    def _node(self, digest: bytes) -> bytes | None:
        return self._nodes.get(digest) or self.view.store.node(digest)

    def finish(self, notes: Mapping[bytes, bytes]) -> list[Applied]:
        """Write it all in one batch. Returns the blocks that were not final here yet. Raises StoreError."""
        return self.view.install(self.chain, self.certificate, notes)


def open_range(view: LedgerView, asked: RangeRequest, payload: bytes, trust: Trust) -> RangeRun | Absent:
    """Verify everything that can be known without executing. For the ledger's lane.

    Raises an error of the family if the answer is bad, NodeError if finality itself is contradicted.
    """
    found = BlockRange.decode(payload)
    if not found.blocks:
        return Absent()
    _check_shape(view, asked, found.blocks)
    members = view.state().validators(epoch_of(asked.first, view.network.params)).members
    check_final(found.blocks[-1].header, found.certificate, members, view.network)
    _check_ground(view, found.blocks, trust)
    return RangeRun(view, found.blocks, Certificate.decode(found.certificate))


def _check_shape(view: LedgerView, asked: RangeRequest, blocks: tuple[Block, ...]) -> None:
    """What was asked for, one block on the other, in one epoch."""
    first = blocks[0].header
    if first.height != asked.first or len(blocks) > asked.blocks:
        raise InvalidBlock(
            f"{len(blocks)} blocks from {first.height} on were sent, up to {asked.blocks} from {asked.first} asked for"
        )
    for below, above in pairwise(block.header for block in blocks):
        if above.height != below.height + 1 or above.parent_hash != below.hash():
            raise InvalidBlock(f"block {above.height} of a range does not stand on the block before it")
    epoch = epoch_of(asked.first, view.network.params)
    if epoch_of(blocks[-1].header.height, view.network.params) != epoch:
        raise InvalidBlock(f"a range of epoch {epoch} goes on into the next")


def _check_ground(view: LedgerView, blocks: tuple[Block, ...], trust: Trust) -> None:
    """The certified blocks stand on ours, and are those that the user trusts. Raises NodeError."""
    first = blocks[0].header
    ours = [(first.height - 1, first.parent_hash), *((b.header.height, b.header.hash()) for b in blocks)]
    for height, block_hash in ours:
        if height <= view.tip.height and view.store.hash_at(height) != block_hash:
            raise NodeError(
                f"finality is contradicted: the validators have certified block {block_hash.hex()} at height "
                f"{height}, and {view.store.hash_at(height).hex()} is final here; stop and ask the other operators"
            )
        trust.check(height, block_hash)
