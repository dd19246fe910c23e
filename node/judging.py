"""Blocks executed aside, in order: built, judged, made final. Start reading at `Judging.judge`.

What is checked here and not by the ledger: that the view's leader proposed the block, that its parent is certified, and
that its time is not ahead of this machine's clock. A block judged valid is on disk before the verdict is heard.
"""

from collections.abc import Callable, Sequence

from chain.block import Block, Header
from chain.errors import NeuroError
from chain.transition import Applied, Parent, Proposal
from consensus.committee import Committee
from consensus.messages import Certificate
from consensus.state import Epoch
from node.candidates import Candidates
from node.certificates import check_parent_certificate, committee_of
from node.errors import NodeError
from node.late_votes import LateVotes
from node.logs import log_of
from node.own import Own
from node.producer import Filled
from node.runtime import LEDGER, Runtime

DRIFT_MS = 1_000  # a block whose time is further ahead of our clock waits until it no longer is
WRONG_MS = 10_000  # a certified block that is so far ahead shows that our clock was set back, or others' ahead


class Judging:
    """All work on the ledger that consensus asks for."""

    def __init__(self, runtime: Runtime, own: Own, candidates: Candidates, late: LateVotes) -> None:
        self.runtime = runtime
        self.view, self.producer, self.identity = own.view, own.producer, own.identity
        self.network = own.view.network
        self.candidates = candidates
        self.late = late

    # ---- Judge

    def judge(
        self, block_hash: bytes, epoch: Epoch, known: Sequence[Certificate], verdict: Callable[[bool], None]
    ) -> None:
        """Whether we may vote for a block that its leader proposed in its own view or, if it ends an epoch, again.

        `known`: certificates of its parent that have been checked.
        """
        block = self.candidates.find(block_hash)
        if block is None:
            return  # It was pushed out; the view will be given up.
        wait_ms = self._too_early_ms(block.header)
        if wait_ms > 3 * epoch.timing.base_ms + epoch.timing.patience_ms:
            # The view would be over long before.
            log_of("consensus").warning(
                f"block {block.header.height} of view {block.header.view} is dated {wait_ms // 1_000} s after this "
                "machine's clock, so it gets no vote: if most blocks do, set this clock"
            )
            self.runtime.later(0, lambda: verdict(False))
            return
        if wait_ms > 0:
            self.runtime.later(wait_ms, lambda: self.judge(block_hash, epoch, known, verdict))
            return
        path = self.candidates.path(block.header.parent_hash)

        def work() -> bool | None:
            if path is None:
                return None
            if self.view.is_final(block_hash):
                return True
            if not self._executes(path):
                return False
            return self._is_valid(block, epoch.committee, known)

        self.runtime.offload(LEDGER, work, lambda valid: verdict(valid) if valid is not None else None)

    def _too_early_ms(self, header: Header) -> int:
        """How long to wait until a block may be voted for.

        If all clocks were set back together, waiting for them would stop the chain for as long: then the earliest time
        that the parent allows is good enough, and no leader can put the chain's time further ahead.
        """
        now_ms, parent_ms = self.runtime.wall_ms(), self._time_of(header.parent_hash)
        least_ms = parent_ms + self.network.params.block_interval_min_ms
        if parent_ms > now_ms + WRONG_MS and header.time_ms <= least_ms:
            return 0
        return header.time_ms - DRIFT_MS - now_ms

    def _time_of(self, block_hash: bytes) -> int:
        """The time of a block; 0 if it is not here."""
        if block_hash == self.view.tip.hash:
            return self.view.tip.time_ms
        block = self.candidates.find(block_hash)
        return 0 if block is None else block.header.time_ms

    def _is_valid(self, block: Block, committee: Committee, known: Sequence[Certificate]) -> bool:
        block_hash = block.header.hash()
        try:
            if not self.view.knows(block_hash):
                self._check_parent(block, committee, known)
                self.view.judge(block)
        except NeuroError as error:
            if isinstance(error, NodeError):
                raise
            self.view.refused(block, str(error))
            return False
        self.view.hold(block_hash)
        return True

    def _check_parent(self, block: Block, committee: Committee, known: Sequence[Certificate]) -> None:
        """The certificate in the body. One that is the same as a checked one costs nothing."""
        if any(each.encode() == block.body.parent_certificate for each in known):
            return
        parent = self.view.header_of(block.header.parent_hash)
        if parent is not None and parent.epoch != block.header.epoch:
            committee = committee_of(self.view.state(), parent.epoch)
        check_parent_certificate(block, parent, committee, self.network.chain_id)

    def _executes(self, path: list[Block]) -> bool:
        """Execute certified ancestors that we have not judged ourselves."""
        try:
            for block in path:
                if not self.view.has(block.header.hash()):  # Work that waited before this may have done it.
                    self.view.judge(block)
        except NeuroError as error:
            if isinstance(error, NodeError):
                raise
            self.view.refused(path[-1], str(error))
            return False
        return True

    # ---- Build

    def execute(self, block_hash: bytes, then: Callable[[], None]) -> None:
        """Call `then` once the state after a block, whose ancestors are here, is known."""
        path = self.candidates.path(block_hash)

        def ready(fits: bool) -> None:
            if fits:
                then()

        if not path:
            self.runtime.later(0, then)
        else:
            blocks = path
            self.runtime.offload(LEDGER, lambda: self._executes(blocks), ready)

    def builder(
        self,
        epoch: Epoch,
        view: int,
        parent: tuple[bytes, Callable[[], list[Certificate]]],
        built: Callable[[bytes], None],
    ) -> Callable[[], None]:
        """What builds and stores our block of a view on `parent` (hash and certificates), and then tells its hash."""
        parent_hash, known = parent
        us = epoch.us
        assert us is not None

        def begin() -> None:
            found = self.view.built_on(parent_hash)
            if found is None:
                return  # Something else has become final meanwhile.
            state, at = found
            time_ms = max(self.runtime.wall_ms(), at.time_ms + self.network.params.block_interval_min_ms)
            gathered = self.producer.gather(state, time_ms)
            certificate = self._certificate(known(), at, epoch)

            def work() -> tuple[bytes, Filled] | None:
                if self.view.built_on(parent_hash) is None:
                    return None
                reveal = self.identity.beacon_reveal(self.network.chain_id, epoch.number, view)
                chosen = Proposal(epoch.number, view, time_ms, us, reveal)
                filled = self.producer.fill(gathered, state, at, chosen, certificate())
                block_hash = self.view.build(parent_hash, chosen, filled.body).block.header.hash()
                self.view.hold(block_hash)
                return block_hash, filled

            def done(result: tuple[bytes, Filled] | None) -> None:
                if result is not None:
                    self.producer.settle(result[1])
                    built(result[0])

            self.runtime.offload(LEDGER, work, done)

        return begin

    def awaits(self, known: list[Certificate], epoch: Epoch) -> bool:
        """Whether somebody's vote for the parent may still come. Those of the epoch before are not counted any more."""
        return all(each.epoch == epoch.number for each in known) and self.late.awaits(known, epoch.committee)

    def _certificate(self, known: list[Certificate], at: Parent, epoch: Epoch) -> Callable[[], bytes]:
        """What finds, in a thread, what the body says of its parent: who is for it; nothing of the genesis."""
        if at.height == 0:
            return lambda: b""
        if not known:
            raise NodeError(f"the certificate of block {at.height} is not here")
        if known[0].epoch != epoch.number:
            return known[0].encode
        gathered = self.late.gather(known, epoch.committee)
        return lambda: self.late.complete(gathered, epoch.committee).encode()

    # ---- Make final

    def finalize(self, path: list[Block], certificate: Certificate, done: Callable[[list[Applied]], None]) -> None:
        """Execute what is missing, and write the certified block and its ancestors to disk."""

        def work() -> list[Applied]:
            if self.view.is_final(certificate.block_hash):
                return []
            if not self._executes(path):
                raise NodeError(
                    f"block {certificate.block_hash.hex()[:16]} is final for the others and breaks a rule of this "
                    "program: update it; if it is the newest, stop and ask the other operators"
                )
            return self.view.finalize(certificate.block_hash, certificate)

        self.runtime.offload(LEDGER, work, done)
