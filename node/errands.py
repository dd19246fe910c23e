"""What consensus asks for and takes a while: a block of ours, a block of others, making blocks final."""

from collections.abc import Callable

from chain.block import Block
from chain.transition import Applied
from consensus import events as ev
from consensus.messages import Certificate
from consensus.state import Epoch
from node.block_exchange import BlockExchange
from node.candidates import Candidates
from node.judging import Judging
from node.pacing import Pacing


class Errands:
    """Each ends with a call; what it tells is for the caller to judge, who may have gone on meanwhile."""

    def __init__(self, judging: Judging, pacing: Pacing, blocks: BlockExchange, candidates: Candidates) -> None:
        self.judging, self.pacing, self.blocks, self.candidates = judging, pacing, blocks, candidates
        self._wish: ev.Propose | None = None  # the latest: what an earlier one waited for may come after it

    def propose(
        self, wish: ev.Propose, epoch: Epoch, known: Callable[[], list[Certificate]], built: Callable[[bytes], None]
    ) -> None:
        """Build on a certified parent, of which these certificates are `known`, once that is due.

        Parents that are not here are fetched first.
        """
        self._wish = wish
        parent_hash, first = wish.parent_hash, known()

        def newest() -> list[Certificate]:
            return known() or first  # Consensus may have gone on, and forgotten what it no longer needs.

        def awaits() -> bool:
            return self.judging.awaits(newest(), epoch)

        build = self.judging.builder(epoch, wish.view, (parent_hash, newest), built)

        def ready() -> None:
            if self._wish is wish:
                self.pacing.propose(parent_hash, build, awaits)

        def begin() -> None:
            self.judging.execute(parent_hash, ready)

        self._with_path(parent_hash, lambda path: begin())

    def fetch(self, block_hash: bytes, linked: Callable[[bytes, bytes, int], None]) -> None:
        """Get a block and tell its hash, parent and height."""

        def found(block: Block) -> None:
            self.candidates.add(block)
            linked(block_hash, block.header.parent_hash, block.header.height)

        block = self.candidates.find(block_hash)
        if block is None:
            self.blocks.fetch(block_hash, found)
        else:
            # Never inside the step that asks: effects come in their order.
            self.judging.runtime.later(0, lambda: found(block))

    def finalize(self, block_hash: bytes, certificate: Certificate, done: Callable[[list[Applied]], None]) -> None:
        """Write a final block to disk. Only the certified one has a certificate; ancestors stand under it."""
        if block_hash == certificate.block_hash:
            self._with_path(block_hash, lambda path: self.judging.finalize(path, certificate, done))

    def _with_path(self, block_hash: bytes, then: Callable[[list[Block]], None]) -> None:
        """Call `then` with what has to be executed up to a block, once all of that is here."""
        path = self.candidates.path(block_hash)
        if path is not None or self.candidates.view.is_final(block_hash):
            then(path or [])
            return
        lacking = self.candidates.missing(block_hash)

        def found(block: Block) -> None:
            self.candidates.add(block)
            self._with_path(block_hash, then)

        self.blocks.fetch(lacking, found)
