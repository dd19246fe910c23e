"""The ledger at one height, read once when the block became final: readers never meet a half-written block."""

from dataclasses import dataclass

from chain.payouts import claims_of
from chain.state import ROUND_PHASES, Ledger, State, Supply, Vesting, vesting_key
from chain.transfers import spendable
from chain.transition import Parent


@dataclass(frozen=True, slots=True)
class Facts:
    """The finalized ledger as one wallet sees it."""

    tip: Parent
    ledger: Ledger
    supply: Supply
    round_phase: str
    balance_nanos: int
    vesting_nanos: int

    @classmethod
    def read(cls, state: State, tip: Parent, address: bytes) -> "Facts":
        ledger = state.ledger
        current = state.round(ledger.round)
        phase = ROUND_PHASES[current.phase if current else 0]
        return cls(tip, ledger, state.supply, phase, spendable(state, address), vesting_of(state, address))


def vesting_of(state: State, address: bytes) -> int:
    """Nanos of a wallet that are minted and not released yet."""
    ledger = state.ledger
    total = 0
    for number in range(ledger.released_round + 1, ledger.settled_round + 1):
        for node, claim in claims_of(state, number):
            if claim.wallet == address:
                record = state.find(Vesting, vesting_key(number, node))
                total += record.amount if record else 0
    return total
