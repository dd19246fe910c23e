"""Which of the snapshots that peers offer is taken, and whether it may be built on."""

from dataclasses import dataclass, field

from node.checkpoint import CheckpointError, Trust
from node.set_chain import EpochEnd
from node.snapshot import Manifest, SnapshotError
from node.store import TRUSTED, number
from node.sync_messages import SnapshotOffer


@dataclass(slots=True)
class Offers:
    """What peers offer, and what turned out to be of no use."""

    by_peer: dict[bytes, SnapshotOffer] = field(default_factory=dict)
    asked: dict[bytes, int] = field(default_factory=dict)  # the number of the question, until it is answered
    bad: set[bytes] = field(default_factory=set)  # manifests

    def best(self) -> bytes | None:
        """The manifest that most peers offer; of these the newest."""
        roots: dict[bytes, tuple[int, int]] = {}
        for offer in self.by_peer.values():
            if offer.manifest_root not in self.bad:
                times, height = roots.get(offer.manifest_root, (0, 0))
                roots[offer.manifest_root] = times + 1, max(height, offer.height)
        return max(roots, key=lambda root: (roots[root], root), default=None)

    def holders(self, root: bytes) -> list[bytes]:
        return [key for key, offer in self.by_peer.items() if offer.manifest_root == root]


def vouch(manifest: Manifest, ends: tuple[EpochEnd, ...], trust: Trust, now_ms: int) -> dict[bytes, bytes]:
    """Whether this snapshot may be built on, and what is to be noted with it.

    Raises SnapshotError if another one may be, CheckpointError if none can.
    """
    header = manifest.header
    known = {end.header.height: end.header for end in (*ends, EpochEnd(header, b"", ()))}
    if trust.checkpoint is None:
        if manifest.first_epoch:
            raise SnapshotError("the genesis cannot vouch for it, since the first validator sets are forgotten")
        # The founders vouch for what follows from the genesis, however old: block sync must go on from there.
        return {TRUSTED: number(now_ms)} if trust.is_stale(header.time_ms, header.phase, now_ms) else {}
    height, wanted = trust.checkpoint
    if height > header.height and not manifest.first_epoch:
        return {}  # Block sync will see whether it is the right chain.
    if height not in known:
        raise SnapshotError(f"it does not tell which block {height} is")
    if manifest.first_epoch and known[height].hash() != wanted:
        raise SnapshotError("nobody vouches for it")  # Its first set may be made up.
    trust.check(height, known[height].hash())
    refusal = trust.refusal(known[height], 0, now_ms)
    if refusal is not None:
        raise CheckpointError(refusal)
    return {}
