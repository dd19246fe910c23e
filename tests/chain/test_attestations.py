"""One mechanism for what more than two thirds of a set attest; and that no round outlives its deadlines for anybody."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chain.attestations import agreed, cast, has_voted, open_poll
from chain.block import Validator
from chain.crypto import bls
from chain.errors import BadSignature, InvalidRoundInput, LedgerError
from chain.receipts import RoundClosed, RoundVoid
from chain.round_inputs import apply_round_input
from chain.state import (
    CLOSED,
    HOLDING,
    OPENED,
    RESULT,
    REVEALING,
    TRAINING,
    VOID,
    Poll,
    State,
    Tally,
    ValidatorSet,
    set_key,
)
from tests.builders import (
    NODE,
    OTHER_NODE,
    a_commit,
    a_key,
    a_network,
    a_result_vote,
    a_reveal,
    an_availability_vote,
    an_outcome,
    named,
    secret_of,
    validator_key_of,
)
from tests.chain.rounds_alone import Rounds

CHAIN_ID = named("chain")
ONE, OTHER, THIRD = named("one"), named("other"), named("third")


@dataclass(frozen=True)
class Word:
    validator: int
    signature: bytes

    def digest(self, chain_id: bytes) -> bytes:
        return said(self.validator, chain_id)


def said(validator: int, chain_id: bytes) -> bytes:
    return named(f"{validator} {chain_id.hex()}")


def a_set(*powers: int, epoch: int = 3) -> State:
    state = State(lambda _: None)
    members = tuple(Validator(validator_key_of(secret), power) for secret, power in enumerate(powers, 1))
    state.put(set_key(epoch), ValidatorSet(members))
    return state


def a_word(validator: int, signer: int | None = None) -> Word:
    secret = secret_of(validator_key_of((validator if signer is None else signer) + 1))
    return Word(validator, bls.sign(secret, said(validator, CHAIN_ID)))


def polled(state: State, *votes: tuple[int, list[bytes]], poll: Poll | None = None) -> Poll:
    poll = poll or open_poll(3)
    for validator, subjects in votes:
        poll = cast(state, poll, a_word(validator), subjects, CHAIN_ID)
    return poll


@pytest.mark.parametrize(
    ("powers", "voters", "is_agreed"),
    [
        ((1,), 1, True),
        ((1, 1, 1), 2, False),
        ((1, 1, 1), 3, True),
        ((100, 100, 101), 2, False),
        ((101, 100, 100), 2, True),
        ((200, 1, 99), 1, False),
        ((200, 1, 99), 2, True),
        ((201, 99), 1, True),
        ((2 * 10**30, 10**30), 1, False),
        ((2 * 10**30 + 1, 10**30), 1, True),
    ],
)
def test_a_subject_is_agreed_on_by_more_than_two_thirds_of_the_power(powers, voters, is_agreed):
    state = a_set(*powers)
    poll = polled(state, *((validator, [ONE]) for validator in range(voters)))
    assert agreed(state, poll) == ([0] if is_agreed else [])


def test_nothing_is_agreed_on_in_a_poll_that_nobody_voted_in_even_of_a_set_that_is_not_known_yet():
    assert agreed(State(lambda _: None), open_poll(99)) == []
    assert agreed(a_set(1), open_poll(3, [ONE])) == []


def test_a_vote_for_several_subjects_counts_for_each_and_for_no_other():
    state = a_set(1, 1, 1)
    poll = open_poll(3, [ONE, OTHER, THIRD])
    poll = polled(state, (0, [ONE, THIRD]), (1, [ONE]), (2, [THIRD, ONE]), poll=poll)
    assert poll.tallies == (Tally(ONE, 3), Tally(OTHER, 0), Tally(THIRD, 2))
    assert agreed(state, poll) == [0]


def test_a_vote_for_nothing_is_a_vote():
    state = a_set(1, 1)
    poll = polled(state, (0, []))
    assert has_voted(poll, 0) and not has_voted(poll, 1) and poll.tallies == ()
    with pytest.raises(InvalidRoundInput, match="already voted"):
        cast(state, poll, a_word(0), [ONE], CHAIN_ID)


def test_a_subject_named_twice_in_a_vote_counts_once():
    assert polled(a_set(5), (0, [ONE, ONE]), poll=open_poll(3, [ONE])).tallies == (Tally(ONE, 5),)


def test_votes_for_different_subjects_do_not_add_up():
    state = a_set(1, 1, 1, 1)
    poll = polled(state, (0, [ONE]), (1, [ONE]), (2, [OTHER]), (3, [OTHER]))
    assert poll.tallies == (Tally(ONE, 2), Tally(OTHER, 2)) and agreed(state, poll) == []


@pytest.mark.parametrize("place", [0, 7, 8, 9])
def test_each_member_votes_once(place):
    state = a_set(*[1] * 10)
    poll = polled(state, (place, [ONE]))
    assert [has_voted(poll, other) for other in range(10)] == [other == place for other in range(10)]
    for subject in (ONE, OTHER):
        with pytest.raises(InvalidRoundInput, match=f"validator {place} has already voted"):
            cast(state, poll, a_word(place), [subject], CHAIN_ID)


def test_nobody_votes_from_outside_of_the_set_for_another_or_for_another_chain():
    state, poll = a_set(1, 1), open_poll(3)
    with pytest.raises(InvalidRoundInput, match="validator 2 of a set of 2"):
        cast(state, poll, a_word(2), [ONE], CHAIN_ID)
    with pytest.raises(BadSignature):
        cast(state, poll, a_word(0, signer=1), [ONE], CHAIN_ID)
    with pytest.raises(BadSignature):
        cast(state, poll, a_word(0), [ONE], named("another chain"))


# ---- Deadlines


def limit(rounds: Rounds) -> int:
    """The most blocks that a round may last from its opening on."""
    params = rounds.params
    return 1 + params.train_blocks + params.reveal_blocks + params.hold_blocks + params.result_blocks


NODES = [NODE, OTHER_NODE, a_key("a third node")]
NETWORK = a_network(train_blocks=5, grace_blocks_minimum=1, reveal_blocks=3, hold_blocks=2, result_blocks=4)

# What a node or validator does in one block: nothing, the right thing, or a lie; validators in each of two phases.
SILENT, RIGHT, LIE = range(3)
deeds = st.lists(
    st.tuples(
        st.lists(st.sampled_from([SILENT, RIGHT, LIE]), min_size=3, max_size=3),
        st.lists(st.tuples(*[st.sampled_from([SILENT, RIGHT, LIE])] * 2), min_size=6, max_size=6),
    ),
    min_size=1,
    max_size=40,
)


def node_speaks(rounds: Rounds, place: int, deed: int) -> None:
    key, current = NODES[place], rounds.round
    if current.phase == TRAINING and key.node not in current.committed:
        rounds.train(key, segments=2 + place)
        rounds.try_to(a_commit(rounds, key, **({"commitment": named("a lie")} if deed == LIE else {})))
    elif current.phase == REVEALING:
        rounds.try_to(a_reveal(rounds, key, **({"payload_bytes": 0} if deed == LIE else {})))


def validator_speaks(rounds: Rounds, place: int, deed: int) -> None:
    current = rounds.round
    if current.phase == HOLDING:
        held = [deed == RIGHT] * len(current.revealed)
        rounds.try_to(an_availability_vote(rounds, place, held=held))
    elif current.phase == RESULT:
        vote = a_result_vote(rounds, place)
        if deed == LIE:
            lie = an_outcome(f"a lie of {place}", counted_root=vote.outcome.counted_root)
            vote = a_result_vote(rounds, place, outcome=lie)
        rounds.try_to(vote)


@given(st.lists(st.integers(1, 10**20), min_size=1, max_size=6), deeds)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_round_ends_within_the_sum_of_its_deadlines_whatever_anybody_does(powers, story):
    rounds = Rounds(NETWORK, powers)
    rounds.block(register=tuple(NODES))
    opened = {1: rounds.height}
    for step in range(limit(rounds) * 2):
        rounds.block()
        nodes, validators = story[step % len(story)]
        for place, deed in enumerate(nodes):
            if deed != SILENT:
                node_speaks(rounds, place, deed)
        for place, in_phases in enumerate(validators[: len(powers)]):
            deed = in_phases[rounds.round.phase == RESULT]
            if deed != SILENT:
                validator_speaks(rounds, place, deed)
        current = rounds.round
        opened.setdefault(current.number, current.opened_height)
        assert rounds.height - current.opened_height < limit(rounds)
        assert current.phase not in (CLOSED, VOID)
    numbers = sorted(opened)
    assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) >= 2
    ended = [receipt for receipt in rounds.receipts if isinstance(receipt, RoundClosed | RoundVoid)]
    assert [receipt.round for receipt in ended] == numbers[:-1]


@given(
    st.lists(st.integers(1, 10**20), min_size=2, max_size=6),
    st.data(),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_minority_below_a_third_never_stops_a_round_and_more_than_a_third_makes_it_void(powers, data):
    """Whoever is not honest says nothing, holds nothing or finds something else. Honest ones come first or last."""
    rounds = Rounds(NETWORK, powers)
    rounds.block(register=tuple(NODES))
    rounds.block()
    rounds.commit(*NODES)
    rounds.reveal(*NODES)
    members = rounds.state.validators(0).members
    choice = st.sampled_from([SILENT, LIE, RIGHT])
    behaviour = [data.draw(choice, label=f"validator {place}") for place in range(len(members))]
    order = data.draw(st.permutations(range(len(members))), label="order")
    honest = sum(member.power for member, deed in zip(members, behaviour, strict=True) if deed == RIGHT)
    for _ in range(NETWORK.params.hold_blocks + NETWORK.params.result_blocks):
        for place in order:
            if behaviour[place] != SILENT and rounds.round.number == 1:
                validator_speaks(rounds, place, behaviour[place])
        rounds.block()
    ended = rounds.state.round(1)
    total = sum(member.power for member in members)
    assert ended.phase == (CLOSED if 3 * honest > 2 * total else VOID)
    assert rounds.round.number == 2 and rounds.round.phase in (OPENED, TRAINING)


def test_a_lone_owner_of_two_thirds_decides_alone():
    rounds = Rounds(NETWORK, [700, 100, 100])
    rounds.block(register=tuple(NODES))
    rounds.block()
    rounds.commit(*NODES)
    rounds.reveal(*NODES)
    place = max(range(3), key=lambda place: rounds.state.validators(0).members[place].power)
    rounds.try_to(an_availability_vote(rounds, place))
    rounds.try_to(a_result_vote(rounds, place))
    assert rounds.round.number == 2


def test_an_invalid_vote_changes_nothing():
    rounds = Rounds(NETWORK, [1, 1, 1])
    rounds.block(register=tuple(NODES))
    rounds.block()
    rounds.commit(*NODES)
    rounds.reveal(*NODES)
    before = rounds.round
    good = an_availability_vote(rounds, 0)
    for bad in (replace(good, validator=1), replace(good, validator=3), replace(good, bitmap=b"\x00")):
        with pytest.raises((LedgerError, BadSignature)):
            apply_round_input(rounds.state, bad, rounds.network.chain_id, rounds.params)
        assert rounds.round == before
