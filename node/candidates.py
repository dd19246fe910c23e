"""Blocks that are not final and may become so: of proposals, and fetched because a certificate names them."""

from chain.block import Block
from chain.crypto import bls
from consensus.certificate import verify_vote
from consensus.committee import later_turn
from consensus.messages import NOTARIZE, Certificate, Proposal
from consensus.state import VIEWS_AHEAD, Epoch, State
from node.ledger_view import LedgerView

PER_VIEW = 2  # blocks of one view that are kept: the second may be the one that a quorum saw
BLOCKS_MAXIMUM = 256


def is_worth_it(proposal: Proposal, state: State, epoch: Epoch) -> bool:
    """Whether a proposal of this epoch is of a view to come and by who leads it. Raises BadVote.

    The leader's signature is checked before anything is read, fetched or kept for the proposal, so that nobody else can
    cause that. Where signatures are slow it waits for the step.
    """
    vote, ahead = proposal.leader_vote, proposal.view - state.view
    if not 0 <= ahead <= VIEWS_AHEAD or vote.signer != later_turn(epoch.committee, state.turn, ahead).leader:
        return False
    if vote != state.ballots(NOTARIZE, proposal.view).proven.get(vote.signer) and bls.back_end() != "py_ecc":
        verify_vote(vote, epoch.committee, epoch.chain_id)
    return True


def is_new(proposal: Proposal, before: State, now: State) -> bool:
    """Whether consensus has taken a proposal on in this step: what comes again must make nobody wait or pass it on."""
    view = proposal.view
    was_known = view < before.view or view in before.proposals
    # Whose proposal completes a quorum leaves the view at once.
    return not was_known and (now.proposals.get(view) == proposal or now.view > view)


class Candidates:
    """By hash. Bounded: what falls out can be fetched again once a certificate names it."""

    def __init__(self, view: LedgerView) -> None:
        self.view = view
        self._blocks: dict[bytes, Block] = {}
        self._proposed: dict[tuple[int, int], list[bytes]] = {}  # (epoch, view) → hashes

    def offer(self, proposal: Proposal, block: Block) -> bool:
        """Take the block of a proposal; False: there is no room for another one of its view."""
        place, block_hash = (proposal.epoch, proposal.view), proposal.block_hash
        known = self._proposed.setdefault(place, [])
        if block_hash not in known:
            if len(known) >= PER_VIEW:
                return False
            known.append(block_hash)
        self.add(block)
        return True

    def add(self, block: Block) -> None:
        self._blocks[block.header.hash()] = block
        if len(self._blocks) > BLOCKS_MAXIMUM:
            # The farthest ahead is the last to be needed.
            del self._blocks[max(self._blocks, key=lambda each: self._blocks[each].header.height)]

    def refused(self, block_hash: bytes, state: State) -> None:
        """A proposal was bad: free its place, unless a good one has offered the same block."""
        if block_hash in state.links:
            return
        for hashes in self._proposed.values():
            if block_hash in hashes:
                hashes.remove(block_hash)
        self._blocks.pop(block_hash, None)

    def find(self, block_hash: bytes) -> Block | None:
        """A block that is here: not final yet, or the newest final ones."""
        return self._blocks.get(block_hash) or self.view.find(block_hash)

    def parent_of(self, block_hash: bytes) -> bytes | None:
        block = self.find(block_hash)
        return None if block is None else block.header.parent_hash

    def certificates_of(self, block_hash: bytes | None, state: State | None) -> list[Certificate]:
        """What shows that a block may be built upon: notarization and finalization, as far as they are here."""
        if state is None or block_hash is None:
            return []
        known = [*state.notarized.values(), *([state.final] if state.final else [])]
        found = [each for each in known if each.block_hash == block_hash]
        kept = None if found else self.view.certificate_of(block_hash)
        return found if kept is None else [kept]

    def path(self, block_hash: bytes) -> list[Block] | None:
        """The blocks to execute, oldest first, until this one has been; None: one of them is not here."""
        found: list[Block] = []
        at = block_hash
        while self.view.built_on(at) is None:
            block = self._blocks.get(at)
            if block is None:
                return None
            found.append(block)
            at = block.header.parent_hash
        return found[::-1]

    def missing(self, block_hash: bytes) -> bytes:
        """Which block `path` lacks."""
        at = block_hash
        while (block := self._blocks.get(at)) is not None:
            at = block.header.parent_hash
        return at

    def tidy(self, state: State, epoch: Epoch) -> None:
        """Forget the proposals of views that are over, and their blocks unless something still stands on them."""
        for place in [each for each in self._proposed if each < (epoch.number, state.view)]:
            for block_hash in self._proposed.pop(place):
                if block_hash not in state.links:
                    self._blocks.pop(block_hash, None)

    def drop_up_to(self, height: int) -> None:
        """Blocks up to here are final, or never will be."""
        for block_hash in [key for key, block in self._blocks.items() if block.header.height <= height]:
            del self._blocks[block_hash]
