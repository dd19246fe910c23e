"""Weak subjectivity: for how long the validators that we know may vouch for what we have not seen.

Whoever has taken its stake back loses nothing by signing a second chain from the past. So the validators after a block
that we know are believed for two thirds of the unbonding time only; after that somebody has to name a block that is
known to be right (Buterin, "Proof of stake: how I learned to love weak subjectivity", 2014).

The unbonding time is counted in epochs. An honest leader leaves `block_interval_ms` between blocks unless a round waits
for it, and more than two thirds of the views have honest leaders: two thirds of the usual time of these epochs is
therefore less than the time in which they really pass.

Founders have no stake that could leave. Who starts from a network file trusts the founders that it names, however long
ago; that trust ends with the first block of the hand-over.
"""

from chain.block import BOOTSTRAP, Header
from chain.genesis import Params
from chain.transition import Parent
from node.errors import NodeError
from node.store import Store

WHERE_FROM = (
    "ask somebody whom you trust, or several who do not know each other, for a recent block of theirs (`checkpoint` in "
    "`neuroshard status`) and give it with --checkpoint HEIGHT:HASH"
)


class CheckpointError(NodeError):
    """The chain is not the one of the checkpoint, or nobody may vouch for it any more."""


def trusting_period_ms(params: Params) -> int:
    """Two thirds of the unbonding time."""
    return 2 * params.unbonding_epochs * params.epoch_blocks * params.block_interval_ms // 3


def age_words(age_ms: int) -> str:
    """A span of time for people."""
    for unit, length in (("days", 86_400_000), ("hours", 3_600_000), ("minutes", 60_000)):
        if age_ms >= 2 * length:
            return f"{age_ms // length} {unit}"
    return f"{max(0, age_ms) // 1000} seconds"


def checkpoint_text(height: int, block_hash: bytes) -> str:
    """A block as the user names it."""
    return f"{height}:{block_hash.hex()}"


def newest_checkpoint(store: Store) -> str | None:
    """The last final block that ends an epoch, which every node and light client takes as a checkpoint; None: none."""
    blocks = store.network.params.epoch_blocks
    height = store.height // blocks * blocks
    return checkpoint_text(height, store.hash_at(height)) if height else None


class Trust:
    """What a node or light client goes by. `checkpoint`: height and hash of a block that the user trusts."""

    def __init__(self, params: Params, checkpoint: tuple[int, bytes] | None = None) -> None:
        self.params = params
        self.checkpoint = checkpoint
        self.period_ms = trusting_period_ms(params)

    def is_stale(self, time_ms: int, phase: int, now_ms: int) -> bool:
        """Whether the validators after a block of this time and phase may no longer be believed."""
        return phase != BOOTSTRAP and now_ms - time_ms > self.period_ms

    def refusal(self, tip: Parent | Header, trusted_ms: int, now_ms: int) -> str | None:
        """Why nothing may be built on `tip` that peers tell us; None if it may.

        `trusted_ms`: when that was last allowed, so that a sync that takes long may be interrupted.
        """
        if not self.is_stale(max(tip.time_ms, trusted_ms), tip.phase, now_ms):
            return None
        if self.checkpoint is not None and self.checkpoint[0] > tip.height:
            return None
        age, period = age_words(now_ms - tip.time_ms), age_words(self.period_ms)
        what = "the newest final block here"
        if self.checkpoint is not None and self.checkpoint[0] == tip.height:
            what = "the block of the checkpoint"
        return (
            f"{what}, {tip.height}, is {age} old. Validators of that time may have taken their stake back, so after "
            f"{period} they are not believed any more: {WHERE_FROM}"
        )

    def check(self, height: int, block_hash: bytes) -> None:
        """Raise CheckpointError if this final block is not the one that the user trusts at its height."""
        if self.checkpoint is not None and self.checkpoint[0] == height and self.checkpoint[1] != block_hash:
            raise CheckpointError(
                f"block {height} of this chain is {block_hash.hex()}, the checkpoint says {self.checkpoint[1].hex()}: "
                "one of the two chains is forged. Check the checkpoint; if it is right, start anew with another "
                "--data-dir and other peers"
            )
