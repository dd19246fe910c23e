"""What rounds accepted is kept as long as their payloads: of the last rounds. Start reading at `AcceptedPruning.run`.

A file goes that no outcome of these rounds names: of an older round, or of an outer step that was computed and not
agreed on. One that has just been computed is named by nothing yet, so only what was here at the look before goes.
"""

from chain.block import Outcome
from node.errors import StoreError, disk_advice
from node.outcomes import Outcomes
from node.store import Store


class AcceptedPruning:
    """Looks from time to time, in one thread."""

    def __init__(self, store: Store, outcomes: Outcomes, keep_rounds: int) -> None:
        self.store = store
        self.outcomes = outcomes
        self.keep_rounds = keep_rounds
        self._known: dict[int, Outcome | None] = {}  # of the rounds that are kept
        self._seen: set[str] = set()

    def run(self) -> list[str]:
        """Remove what is spent, and return its names. Raises StoreError."""
        ledger, outcomes = self.store.state().ledger, self.outcomes
        if (
            outcomes.model_root != ledger.model.outer_root
            and outcomes.model_round < ledger.ended_round - self.keep_rounds
        ):
            return []  # What leads over the rounds that were missed is older, and on its way or just being used.
        folder = outcomes.aggregates.folder
        here = {path.name for path in folder.iterdir() if not path.name.endswith(".partial")}
        removed = sorted((here & self._seen) - self._needed())
        for name in removed:
            try:
                (folder / name).unlink(missing_ok=True)
            except OSError as error:
                raise StoreError(f"cannot remove {folder / name}: {disk_advice(error)}") from error
        self._seen = here.difference(removed)
        return removed

    def _needed(self) -> set[str]:
        """Names of blobs behind the ledger's model, the rounds that are kept, and what has been computed last."""
        state = self.store.state()
        ended = state.ledger.ended_round
        numbers = range(max(1, ended - self.keep_rounds + 1), ended + 1)
        self._known = {each: self._known[each] for each in numbers if each in self._known}
        for number in numbers:
            if number not in self._known:
                try:
                    closed = self.outcomes.past(state, number)
                except StoreError:
                    closed = None  # Its blocks are not kept here: others have more of it.
                self._known[number] = None if closed is None else closed.outcome
        outcomes = [state.ledger.model, *self._known.values(), *self.outcomes.candidates]
        found = [each for each in outcomes if each is not None]
        return {root.hex() for each in found for root in (each.aggregate_root, each.trust_root)}
