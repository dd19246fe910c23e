"""What the outer step made of each node in the rounds that this node computed: for people, and not on disk."""

from collections.abc import Mapping

from chain.transition import Applied
from node.outcomes import Outcomes
from training.trust import Trust

ROUNDS_KEPT = 128
Weights = Mapping[bytes, Trust]  # by node


class RoundWeights:
    """The records of trust of the newest rounds, as far as this node had their models."""

    def __init__(self, outcomes: Outcomes) -> None:
        self.outcomes = outcomes
        self._known: dict[int, Weights] = {}

    def hear_block(self, _: Applied) -> None:
        """The model of a round has been adopted before its block is told; or it has come since."""
        model, number = self.outcomes.model, self.outcomes.model_round
        if model is None or number in self._known:
            return
        self._known[number] = {record.node: record for record in model.trust}
        while len(self._known) > ROUNDS_KEPT:
            del self._known[min(self._known)]

    @property
    def known(self) -> Mapping[int, Weights]:
        """By round; a copy, for threads that read."""
        return dict(self._known)
