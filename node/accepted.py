"""What a round gave, as its signers publish it: the accepted aggregate and the record of trust, two blobs.

With the model before the round they give the model after it: all that a node needs that did not compute it itself.
"""

from chain.block import Outcome
from chain.crypto.hashing import ZERO
from network.pages import Wanted
from node.counted import Closed
from node.errors import ModelDiffers
from node.payload_store import PayloadStore
from node.template import Learning
from training.aggregate import aggregate_size
from training.errors import TrainingError
from training.outer import OuterState, apply_aggregate, rate_for
from training.trust import TRUST_BYTES_MAXIMUM, read_trust, trust_bytes


class Accepted:
    """Of the last rounds, in a store of their own, which is also served from."""

    def __init__(self, store: PayloadStore, learning: Learning) -> None:
        self.store = store
        self.learning = learning

    def keep(self, state: OuterState) -> None:
        """Keep what led to this state, for others. Raises StoreError."""
        for blob in (state.aggregate, trust_bytes(state.trust)):
            if blob:
                self.store.put(blob)

    def wanted(self, outcome: Outcome) -> list[Wanted]:
        """The blobs behind an outcome."""
        size = aggregate_size(self.learning.fragment_sizes)
        both = Wanted(outcome.aggregate_root, size, size), Wanted(outcome.trust_root, TRUST_BYTES_MAXIMUM)
        return [each for each in both if each.root != ZERO]

    def has(self, outcome: Outcome) -> bool:
        """Whether all of it is here and sound."""
        return outcome.aggregate_root != ZERO and all(self.store.has(each.root) for each in self.wanted(outcome))

    def step(self, base: OuterState, closed: Closed) -> OuterState:
        """The state after this round. Raises StoreError, ModelDiffers if the blobs are none that a round can give."""
        learning, outcome = self.learning, closed.outcome
        aggregate = self.store.get(outcome.aggregate_root)
        try:
            trust = () if outcome.trust_root == ZERO else read_trust(self.store.get(outcome.trust_root))
            rate = rate_for(learning.outer.rates, len(closed.counted))
            return apply_aggregate(base, (aggregate, trust), learning.fragment_sizes, rate)
        except TrainingError as error:
            raise ModelDiffers(f"round {closed.round}: what its signers accepted is no aggregate: {error}") from error
