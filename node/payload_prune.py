"""Pruning by rounds: a node that is no archive forgets payloads that only a replay from the genesis would want.

Kept are those of the last rounds, as many as the user wants; those of every round whose rewards are not released, or of
which an audit is open; and those that lead to a model that is not on this disk yet. Blocks stay (but for
`node.archive_prune`). The ledger notes what is to go before it goes: a run that is cut short is ended by the next.
"""

from collections.abc import Iterator

from chain.block import PayloadReveal, ResultVote, RoundInput
from chain.state import State
from node.archive_prune import Pruned, remove_payload
from node.model_store import ModelStore
from node.payload_store import PayloadStore
from node.store import Store

# Of one run: a node that is to be stopped waits for no longer than that.
ROUNDS_A_RUN = 256


def last_spent(state: State, models: ModelStore, keep_rounds: int) -> int:
    """The newest round whose payloads a node can do without; 0 if there is none."""
    ledger = state.ledger
    audited = (name.round - 1 for name in state.open_audits)
    return max(0, min(ledger.released_round, ledger.ended_round - keep_rounds, models.newest_round(), *audited))


def prune_payloads(store: Store, payloads: PayloadStore, last: int, aggregates: PayloadStore | None = None) -> Pruned:
    """Forget the payloads of rounds up to `last`, which are spent, or of the next few of them. Raises StoreError.

    With them go their accepted aggregates and records of trust, which follow from the payloads. `height` of what is
    returned is the newest round whose payloads are gone.
    """
    noted, done = store.pruned_payloads()
    # What was noted and not ended goes first: nothing else may be noted meanwhile.
    to = max(noted, min(last, done + ROUNDS_A_RUN)) if noted == done else noted
    found = Pruned(to)
    if to == done:
        return found
    store.note_pruned_payloads(to, done)
    needed = needed_roots(store.state())
    for number in range(done + 1, to + 1):
        for item in inputs_of(store, number):
            if isinstance(item, PayloadReveal) and item.payload_root not in needed:
                remove_payload(payloads, item.payload_root, found)
            elif isinstance(item, ResultVote) and aggregates is not None:
                for root in (item.outcome.aggregate_root, item.outcome.trust_root):
                    remove_payload(aggregates, root, found)
    store.note_pruned_payloads(to, to)
    return found


def reveals_of(store: Store, number: int) -> Iterator[PayloadReveal]:
    """What was revealed in a round that has ended, as far as its blocks are kept."""
    return (item for item in inputs_of(store, number) if isinstance(item, PayloadReveal))


def inputs_of(store: Store, number: int) -> Iterator[RoundInput]:
    """What was said in a round that has ended, as far as its blocks are kept."""
    last = store.height_of_round(number)
    if last is None:
        return
    # Rounds follow one another without a gap: all of this one lies above the end of the one before.
    for height in range((store.height_of_round(number - 1) or 0) + 1, last + 1):
        stored = store.block(height)
        if stored is not None:
            yield from (item for item in stored.block.body.rounds if item.round == number)


def needed_roots(state: State) -> set[bytes]:
    """Payloads of rounds that are not released or audited: one of them may be the copy of an older one."""
    ledger = state.ledger
    numbers = {*range(ledger.released_round + 1, ledger.round + 1), *(name.round for name in state.open_audits)}
    rounds = (state.round(number) for number in numbers)
    return {revealed.payload_root for current in rounds if current is not None for revealed in current.revealed}
