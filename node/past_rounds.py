"""What a round counted and gave. The state forgets a round once its rewards are released; the blocks never do.

Start reading at `closed_round`. A node whose model is lost, or that joins later, follows the rounds with it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from chain.block import AvailabilityVote, Outcome, PayloadCommit, PayloadReveal, ResultVote, RoundInput
from chain.errors import InvalidRoundInput
from chain.round_inputs import read_bitmap
from chain.state import State, ValidatorSet, set_key
from node.counted import Closed, Counted, closed_in, root_of
from node.errors import StoreError
from node.store import Store

ADVICE = "begin anew from a snapshot, with another --data-dir"


def closed_round(store: Store, state: State, number: int) -> Closed | None:
    """What a round that is over counted and gave; None if it was void.

    `state`: a final one after the round's end. Raises StoreError if the blocks of that time are not here.
    """
    current = state.round(number)
    if current is not None:
        return closed_in(state, current)
    last = store.height_of_round(number)
    if last is None:
        raise StoreError(f"the ledger has released round {number}, and its blocks are not kept here; {ADVICE}")
    said = _Said(number)
    # Rounds follow one another without a gap: all of this one lies above the end of the one before.
    for height in range((store.height_of_round(number - 1) or 0) + 1, last + 1):
        stored = store.block(height)
        if stored is None:
            raise StoreError(f"the ledger has released round {number}, and block {height} is not kept here; {ADVICE}")
        for item in stored.block.body.rounds:
            said.take(item, stored.block.header.epoch)
    return said.closed(state)


def payloads_of(store: Store, state: State, number: int) -> list[Counted]:
    """The payloads that a round counted, by node id; none if it was void. Raises like `closed_round`."""
    closed = closed_round(store, state, number)
    return [] if closed is None else list(closed.counted)


@dataclass(slots=True)
class _Said:
    """What blocks hold of one round: all of it was valid where it stands."""

    number: int
    reveals: dict[bytes, Counted] = field(default_factory=dict)  # by node
    held: dict[int, bytes] = field(default_factory=dict)  # validator → bitmap
    results: dict[int, Outcome] = field(default_factory=dict)
    committed_epoch: int = 0  # of the last commitment
    revealed_epoch: int = 0  # of the first reveal

    def take(self, item: RoundInput, epoch: int) -> None:
        if item.round != self.number:
            return
        match item:
            case PayloadCommit():
                self.committed_epoch = epoch
            case PayloadReveal():
                self.revealed_epoch = self.revealed_epoch if self.reveals else epoch
                self.reveals[item.node] = Counted(item.node, item.payload_root, item.steps)
            case AvailabilityVote():
                self.held[item.validator] = item.bitmap
            case ResultVote():
                self.results[item.validator] = item.outcome

    def closed(self, state: State) -> Closed | None:
        """The set that attested the round is that of an epoch between the last commitment and the first reveal."""
        for epoch in range(self.committed_epoch, self.revealed_epoch + 1):
            members = state.find(ValidatorSet, set_key(epoch))
            found = None if members is None else self._closed_by([member.power for member in members.members])
            if found is not None:
                return found
        return None

    def _closed_by(self, powers: Sequence[int]) -> Closed | None:
        """What this set has counted, if it has agreed on the outcome of just that."""
        total = sum(powers)
        nodes = sorted(self.reveals)
        holding = [0] * len(nodes)
        for validator, bitmap in self.held.items():
            try:
                flags = read_bitmap(bitmap, len(nodes))
            except InvalidRoundInput:
                return None
            for place, flag in enumerate(flags):
                holding[place] += flag * _power(powers, validator)
        chosen = [self.reveals[node] for node, power in zip(nodes, holding, strict=True) if 3 * power > 2 * total]
        root = root_of(chosen)
        for outcome in self._outcomes():
            agreed = sum(_power(powers, validator) for validator, each in self.results.items() if each == outcome)
            if chosen and outcome.counted_root == root and 3 * agreed > 2 * total:
                return Closed(self.number, outcome, tuple(chosen))
        return None

    def _outcomes(self) -> Iterator[Outcome]:
        yield from dict.fromkeys(self.results.values())


def _power(powers: Sequence[int], validator: int) -> int:
    return powers[validator] if validator < len(powers) else 0
