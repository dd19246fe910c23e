"""Blocks between nodes: proposals as compact blocks (after BIP 152), whole blocks by hash. Start at `BlockExchange`.

A proposal names its transactions; who gets it takes them from the mempool and asks for the few that it lacks. Whatever
does not add up to the header's roots is asked for whole, once, from who offered it.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise

from chain.block import Block, Header
from chain.crypto.votes import NOTARIZE
from chain.errors import DecodeError
from chain.genesis import Network
from consensus.messages import Proposal
from network.kinds import (
    BLOCK,
    BLOCK_ABSENT,
    BLOCK_REQUEST,
    KINDS,
    MISSING,
    MISSING_REQUEST,
    PROPOSAL,
)
from network.peer import Peer
from node.block_assembly import Assemblies
from node.block_requests import BlockFetches, BlockRequests
from node.parts import Handler
from node.relay_messages import BlockName, CompactProposal, Missing, MissingRequest, name_of
from node.runtime import Runtime

CARRIED_BYTES = 4_096  # so many bytes of transactions travel in full: asking for one would cost more
KEPT = 4  # blocks at hand for those who ask
ANSWERS_PER_SECOND = 20  # that need the disk, for one peer

BLOCK_BYTES_MAXIMUM = KINDS[BLOCK].bytes_maximum


def compact(proposal: Proposal, block: Block) -> CompactProposal:
    body = block.body
    encoded = [transaction.encode() for transaction in body.transactions]
    carried = tuple(encoded) if sum(map(len, encoded)) <= CARRIED_BYTES else ()
    names = tuple(map(name_of, encoded))
    return CompactProposal(proposal, block.header, body.proofs, body.rounds, body.parent_certificate, names, carried)


class BlockExchange:
    """One node's part in it.

    `lookup` finds a block by hash, final or not; `find_transaction` the bytes of a waiting transaction by its name,
    whose signatures have been checked: they are not checked again. Both are asked on the event loop.
    """

    def __init__(
        self,
        runtime: Runtime,
        network: Network,
        lookup: Callable[[bytes], Block | None],
        find_transaction: Callable[[bytes], bytes | None],
    ) -> None:
        self.runtime = runtime
        self.network = network
        self.lookup = lookup
        self.on_proposal: Callable[[bytes, Proposal, Block], None] = lambda key, proposal, block: None
        # Whether a proposal is worth any work; asked before its block is looked at.
        self.wants: Callable[[bytes, Proposal], bool] = lambda key, proposal: True
        self._requests = BlockRequests(runtime)
        self._fetches = BlockFetches(runtime, self._requests, lookup)
        self._assemblies = Assemblies(runtime, self._requests, network.chain_id, find_transaction, self._assembled)
        self._kept: OrderedDict[bytes, Block] = OrderedDict()  # by hash
        self._answers: dict[bytes, tuple[int, int]] = {}  # by peer: second, and answers from the disk in it

    # ---- What the node asks for

    def propose(self, proposal: Proposal, block: Block) -> None:
        """Send our proposal to all peers."""
        self.forward(proposal, block, self.runtime.peers())

    def forward(self, proposal: Proposal, block: Block, keys: Iterable[bytes]) -> None:
        """Send a proposal, ours or another's, to some peers."""
        payload = compact(proposal, block).encode()
        self._keep(proposal.block_hash, block)
        for key in keys:
            self.runtime.send(key, PROPOSAL, payload)

    def fetch(self, block_hash: bytes, done: Callable[[Block], None]) -> None:
        """Ask one peer after another until the block is here, or `forget`. `done` is called later, at most once."""
        self._fetches.fetch(block_hash, lambda block: self._fetched(block, done))

    def hint(self, block_hash: bytes, key: bytes) -> None:
        """This peer should have a block that is being fetched: it is asked before others."""
        self._fetches.hint(block_hash, key)

    def forget(self, block_hash: bytes) -> None:
        """Stop fetching a block."""
        self._fetches.forget(block_hash)

    # ---- What peers say

    def handlers(self) -> Mapping[int, Handler]:
        return {
            PROPOSAL: self._proposal,
            MISSING_REQUEST: self._missing_request,
            MISSING: self._missing,
            BLOCK_REQUEST: self._block_request,
            BLOCK: self._requests.received,
            BLOCK_ABSENT: self._block_absent,
        }

    def joined(self, peer: Peer) -> None:
        """A newcomer is asked when its turn comes."""

    def left(self, key: bytes) -> None:
        self._answers.pop(key, None)
        self._assemblies.left(key)
        self._requests.left(key)

    def _proposal(self, key: bytes, payload: bytes) -> None:
        """Cheap checks first: the rest of the payload is not read before proposal and header agree and are wanted."""
        proposal, at = Proposal.read(payload, 0)
        header, _ = Header.read(payload, at)
        self._check_agrees(proposal, header)
        if not self.wants(key, proposal):
            return
        known = self.lookup(proposal.block_hash)
        if known is not None:
            self.on_proposal(key, proposal, known)
        else:
            self._assemblies.offer(key, CompactProposal.decode(payload), len(payload))

    def _check_agrees(self, proposal: Proposal, header: Header) -> None:
        """Raise DecodeError unless both, and the leader's vote, speak of one block of this network."""
        vote = proposal.leader_vote
        said = proposal.epoch, proposal.height, proposal.block_hash
        if said != (header.epoch, header.height, header.hash()):
            raise DecodeError("a proposal and the header of its block disagree")
        # The last block of an epoch may be proposed again, as its own parent, in later views.
        again = proposal.block_hash == proposal.parent_hash and header.view < proposal.view
        if not again and (proposal.view, proposal.parent_hash) != (header.view, header.parent_hash):
            raise DecodeError("a proposal and its block name another view or parent")
        voted = vote.kind, vote.epoch, vote.view, vote.block_hash
        if voted != (NOTARIZE, proposal.epoch, proposal.view, proposal.block_hash):
            raise DecodeError("a proposal does not come with its leader's vote for it")
        if not again and header.proposer != vote.signer:
            raise DecodeError("a proposal names another proposer than its leader")
        if header.chain_id != self.network.chain_id:
            raise DecodeError("a proposal for another network")
        if proposal.parent_view >= proposal.view:
            raise DecodeError("a proposal of a block on a later one")

    def _assembled(self, offers: list[tuple[bytes, Proposal]], block: Block) -> None:
        self._fetches.came(block)
        for key, proposal in offers:
            self.on_proposal(key, proposal, block)

    def _fetched(self, block: Block, done: Callable[[Block], None]) -> None:
        self._assemblies.came(block)
        done(block)

    def _missing(self, key: bytes, payload: bytes) -> None:
        self._assemblies.missing(key, Missing.decode(payload))

    def _block_absent(self, key: bytes, payload: bytes) -> None:
        block_hash = BlockName.decode(payload).block_hash
        self._assemblies.absent(key, block_hash)
        self._requests.absent(key, block_hash)

    # ---- What we answer

    def _block_request(self, key: bytes, payload: bytes) -> None:
        block = self._find(key, BlockName.decode(payload).block_hash)
        encoded = b"" if block is None else block.encode()
        if block is None or len(encoded) > BLOCK_BYTES_MAXIMUM:
            self.runtime.send(key, BLOCK_ABSENT, payload)
        else:
            self.runtime.send(key, BLOCK, encoded)

    def _missing_request(self, key: bytes, payload: bytes) -> None:
        wanted = MissingRequest.decode(payload)
        indices = wanted.indices
        if not indices or any(one >= other for one, other in pairwise(indices)):
            raise DecodeError("a request of missing transactions names none, or not in order")
        block = self._find(key, wanted.block_hash)
        if block is None:
            self.runtime.send(key, BLOCK_ABSENT, BlockName(wanted.block_hash).encode())
            return
        transactions = block.body.transactions
        if indices[-1] >= len(transactions):
            raise DecodeError(f"transaction {indices[-1]} of {len(transactions)} is asked for")
        chosen = tuple(transactions[index].encode() for index in indices)
        self.runtime.send(key, MISSING, Missing(wanted.block_hash, chosen).encode())

    def _find(self, key: bytes, block_hash: bytes) -> Block | None:
        """A block; None if it is not here, or this peer has asked for too much."""
        if block_hash in self._kept:
            return self._kept[block_hash]
        second, answers = self.runtime.now_ms() // 1_000, 0
        if (before := self._answers.get(key)) is not None and before[0] == second:
            answers = before[1]
        if answers >= ANSWERS_PER_SECOND:
            return None
        self._answers[key] = second, answers + 1
        block = self.lookup(block_hash)
        if block is not None:
            self._keep(block_hash, block)
        return block

    def _keep(self, block_hash: bytes, block: Block) -> None:
        self._kept[block_hash] = block
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
