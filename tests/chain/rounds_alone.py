"""Rounds without blocks: a state, a height, and the rules of `chain.rounds` and `chain.round_inputs` upon them.

It has what the builders of round inputs ask of a chain, and is quick enough for a thousand nodes.
"""

from dataclasses import replace
from typing import Any

from chain.awaited import note_proven, note_registered, note_retired
from chain.block import RoundInput, Validator, state_hash
from chain.crypto.hashing import ZERO
from chain.errors import LedgerError
from chain.genesis import Network, genesis_state
from chain.receipts import Receipt
from chain.round_inputs import apply_round_input
from chain.rounds import advance
from chain.state import (
    CLOSED,
    TRAINING,
    VOID,
    Claim,
    NodeRecord,
    Round,
    State,
    ValidatorSet,
    claim_key,
    node_key,
    set_key,
)
from tests.builders import (
    ALICE,
    Key,
    a_commit,
    a_network,
    a_result_vote,
    a_reveal,
    an_availability_vote,
    named,
    state_parts,
    validator_key_of,
)


class Rounds:
    """`powers`: of the validators, whose BLS secrets are 1, 2, …; by default a founder alone."""

    def __init__(self, network: Network | None = None, powers: list[int] | None = None) -> None:
        self.network = network or a_network()
        self.params = self.network.params
        self.state: State = genesis_state(self.network)
        self.height = 0
        self.receipts: list[Receipt] = []
        if powers is not None:
            members = [Validator(validator_key_of(secret), power) for secret, power in enumerate(powers, 1)]
            self.state.put(set_key(0), ValidatorSet(tuple(sorted(members, key=lambda member: member.public_key))))

    @property
    def round(self) -> Round:
        current = self.state.round(self.state.ledger.round)
        assert current is not None
        return current

    def block(self, *items: RoundInput, register: tuple[Key, ...] = (), retire: tuple[Key, ...] = ()) -> list[Receipt]:
        """What a block does to the rounds."""
        self.height += 1
        self.state.update_ledger(mix=named(f"mix {self.height}"))
        for key in register:
            record = NodeRecord(key.public, ALICE.address, self.height, 0, False, 0, 0, 0, 0, 0, ZERO, 0, ZERO, 0, 0)
            self.state.put(node_key(key.node), record)
            note_registered(self.state)
        for key in retire:
            note_retired(self.state, key.node, self.params)
            self.state.put(node_key(key.node), replace(self.record(key), retired_height=self.height))
        receipts = advance(self.state, self.height, 0, self.params)
        for item in items:
            apply_round_input(self.state, item, self.network.chain_id, self.params)
            receipts += advance(self.state, self.height, 0, self.params)
        self.receipts += receipts
        return receipts

    def pass_time(self, blocks: int) -> None:
        for _ in range(blocks):
            self.block()

    def until_training(self) -> None:
        while self.round.phase != TRAINING:
            self.block()

    def record(self, key: Key) -> NodeRecord:
        return self.state.need(NodeRecord, node_key(key.node))

    def train(self, *keys: Key, segments: int | None = None) -> None:
        """Claims as accepted proofs leave them."""
        number, count = self.round.number, self.params.segments if segments is None else segments
        for key in keys:
            before = self.state.find(Claim, claim_key(number, key.node))
            known = 0 if before is None else len(before.states)
            for proven in range(known + 1, count + 1):
                states = tuple(state_hash(*state_parts(key, number, segment)) for segment in range(proven))
                claim = Claim(ALICE.address, 0, 0, 0, ZERO, ZERO, ZERO, 0, states, ZERO, ZERO, 0, ZERO, ZERO, (), False)
                self.state.put(claim_key(number, key.node), claim)
                note_proven(self.state, number, key.node, proven, self.params)

    def commit(self, *keys: Key, segments: int | None = None) -> list[Receipt]:
        """All in one block, after so many segments, all of them by default."""
        self.train(*keys, segments=segments)
        return self.block(*(a_commit(self, key) for key in keys))  # type: ignore[arg-type]

    def try_to(self, item: RoundInput) -> bool:
        """Whether the round takes an input; it is in force if so."""
        try:
            apply_round_input(self.state, item, self.network.chain_id, self.params)
        except LedgerError:
            return False
        self.receipts += advance(self.state, self.height, 0, self.params)
        return True

    def reveal(self, *keys: Key) -> list[Receipt]:
        return self.block(*(a_reveal(self, key) for key in keys))  # type: ignore[arg-type]

    def agree(self) -> list[Receipt]:
        """Everybody holds everything and finds the same result."""
        number, validators = self.round.number, range(len(self.state.validators(0).members))
        for vote in (an_availability_vote, a_result_vote):
            self.block()
            for validator in validators:
                self.try_to(vote(self, validator))  # type: ignore[operator]
        ended = self.state.round(number)
        assert ended is not None and ended.phase == CLOSED
        return self.receipts

    def close(self, *keys: Key) -> None:
        """From the training phase on: these nodes commit and reveal, and the next round is in training."""
        number = self.round.number
        self.commit(*keys)
        while self.round.phase == TRAINING:
            self.block()
        self.reveal(*keys)
        self.agree()
        assert self.round.number == number + 1
        self.until_training()

    def end(self) -> Round:
        """Nobody says any more: the running round when it has ended."""
        number = self.round.number
        while True:
            ended = self.state.round(number)
            assert ended is not None
            if ended.phase in (CLOSED, VOID):
                return ended
            self.block()


def in_training(*keys: Key, **params: Any) -> Rounds:
    """These nodes, all registered in block 1, in the training phase of round 1 from block 2 on."""
    rounds = Rounds(a_network(**params))
    rounds.block(register=keys)
    rounds.block()
    return rounds
