"""The chain as this node sees it: the finalized part on disk, and blocks above it that are valid but not final yet."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from chain.block import Block, Body, Header
from chain.errors import InvalidBlock, NeuroError
from chain.genesis import Network
from chain.state import State
from chain.transition import Applied, Parent, Proposal, apply_block, build_block
from chain.tree import ReadNode
from consensus.messages import NOTARIZE, Certificate
from node.errors import StoreError
from node.logs import log_of
from node.store import Store


class LedgerView:
    """Builds, judges and finalizes blocks. Only finalized ones reach the disk, so nothing is ever rolled back."""

    def __init__(self, store: Store, network: Network) -> None:
        self.store = store
        self.network = network
        self.tip = store.tip()
        self._pending: dict[bytes, Applied] = {}
        for block in store.held():
            # A block beside the finalized chain, left by a crash, has nothing to stand on any more.
            with suppress(NeuroError):
                self.judge(block)

    def state(self) -> State:
        """The state after the last finalized block."""
        return self.store.state()

    def built_on(self, parent_hash: bytes) -> tuple[State, Parent] | None:
        """The state and place after a known block; None if the block is unknown."""
        if parent_hash == self.tip.hash:
            return self.store.state(), self.tip
        applied = self._pending.get(parent_hash)
        return None if applied is None else (self._state_after(applied), applied.parent)

    def _state_after(self, applied: Applied) -> State:
        """One overlay of all pending changes over the disk: overlays over overlays would grow with every block."""
        state, at = self.store.state(), applied.block.header.parent_hash
        layers = [applied.state.changes]
        while (below := self._pending.get(at)) is not None:
            layers.append(below.state.changes)
            at = below.block.header.parent_hash
        for changes in reversed(layers):
            state.changes.update(changes)
        return state

    def build(self, parent_hash: bytes, chosen: Proposal, body: Body) -> Applied:
        """Make a block and remember it. Raises LedgerError if the body breaks a rule."""
        state, parent = self._need(parent_hash)
        return self._remember(build_block(state, parent, chosen, body, self.network, self._read_node(parent_hash)))

    def judge(self, block: Block) -> Applied:
        """Execute a block of somebody else and remember it. Raises LedgerError or BadSignature."""
        parent_hash = block.header.parent_hash
        state, parent = self._need(parent_hash)
        return self._remember(apply_block(state, parent, block, self.network, self._read_node(parent_hash)))

    def knows(self, block_hash: bytes) -> bool:
        return block_hash in self._pending

    def block(self, block_hash: bytes) -> Block:
        return self._pending[block_hash].block

    def hold(self, block_hash: bytes) -> None:
        """Store a pending block durably; after a restart it is known again."""
        self.store.hold(self.block(block_hash))

    def keep(self, certificate: Certificate) -> None:
        """Store a certificate durably until a later block is final."""
        self.store.keep(certificate)

    def kept(self) -> list[Certificate]:
        return self.store.kept()

    def has(self, block_hash: bytes) -> bool:
        """Whether this block is here, final or not."""
        return self.knows(block_hash) or self.is_final(block_hash)

    def is_final(self, block_hash: bytes) -> bool:
        return self.store.height_of(block_hash) is not None

    def find(self, block_hash: bytes) -> Block | None:
        """A block that has been executed or is final; None if it or its body is not here."""
        applied = self._pending.get(block_hash)
        if applied is not None:
            return applied.block
        height = self.store.height_of(block_hash)
        stored = None if height is None else self.store.block(height)
        return None if stored is None else stored.block

    def header_of(self, block_hash: bytes) -> Header | None:
        """The header of a block that has been executed or is final; None for the genesis."""
        applied = self._pending.get(block_hash)
        if applied is not None:
            return applied.block.header
        height = self.store.height_of(block_hash)
        return None if height is None else self.store.header(height)

    def certificate_of(self, block_hash: bytes) -> Certificate | None:
        """What shows that a block may be built upon: its notarization, else the finalization of the tip."""
        for certificate in self.kept():
            if certificate.kind == NOTARIZE and certificate.block_hash == block_hash:
                return certificate
        encoded = self.final_certificate(self.tip.height) if block_hash == self.tip.hash else b""
        return Certificate.decode(encoded) if encoded else None

    def final_certificate(self, height: int) -> bytes:
        """The finalization certificate of a final block; empty if a descendant's covers it, or it is not here."""
        return self.store.find_certificate(height) or b"" if 0 < height <= self.tip.height else b""

    def refused(self, block: Block, reason: str) -> None:
        """A block of somebody else breaks a rule: say so in the log, for it is the proposer's fault or ours."""
        log_of("consensus").warning(f"block {block.header.height} of view {block.header.view} is invalid: {reason}")

    def finalize(self, block_hash: bytes, certificate: Certificate) -> list[Applied]:
        """Write a block and its unfinalized ancestors to disk, oldest first. Ancestors stand under its certificate.

        Nothing happens if it is final already.
        """
        if self.is_final(block_hash):
            return []
        chain: list[Applied] = []
        at = block_hash
        while at != self.tip.hash:
            applied = self._pending.get(at)
            if applied is None:
                raise InvalidBlock(f"block {at.hex()[:16]} became final and is not here")
            chain.append(applied)
            at = applied.block.header.parent_hash
        for applied in reversed(chain):
            self.store.append(applied, certificate if applied is chain[0] else None)
        if chain:
            self.tip = chain[0].parent
            final = chain[0].block.header.height
            # This runs in a thread beside the event loop, which may remember a new block at any moment: never replace
            # the table, and look through a copy.
            for key, kept in list(self._pending.items()):
                if kept.block.header.height <= final:
                    del self._pending[key]
        return chain[::-1]

    def install(
        self, chain: Sequence[Applied], certificate: Certificate, notes: Mapping[bytes, bytes] | None = None
    ) -> list[Applied]:
        """Write executed blocks that this certificate of the last one makes final, all in one batch with `notes`.

        Those that are final here already are passed over. Returns the others. Raises StoreError if one of them is
        another block than ours.
        """
        fresh = [applied for applied in chain if applied.block.header.height > self.tip.height]
        if fresh:
            if fresh[0].block.header.parent_hash != self.tip.hash:
                raise StoreError(f"block {fresh[0].block.header.height} does not stand on our block {self.tip.height}")
            self.store.append_all(fresh, certificate, notes)
            self.tip = fresh[-1].parent
            for key, kept in list(self._pending.items()):
                if kept.block.header.height <= self.tip.height:
                    del self._pending[key]
        return fresh

    def _need(self, parent_hash: bytes) -> tuple[State, Parent]:
        found = self.built_on(parent_hash)
        if found is None:
            raise InvalidBlock(f"the parent {parent_hash.hex()[:16]} is unknown here")
        return found

    def _remember(self, applied: Applied) -> Applied:
        self._pending[applied.block.header.hash()] = applied
        return applied

    def _read_node(self, parent_hash: bytes) -> ReadNode:
        def read(digest: bytes) -> bytes | None:
            at = parent_hash
            while (applied := self._pending.get(at)) is not None:
                if digest in applied.tree.fresh:
                    return applied.tree.fresh[digest]
                at = applied.block.header.parent_hash
            return self.store.node(digest)

        return read
