"""Who has a seat: everybody while they suffice, else by lot, and newcomers a quarter at most."""

from dataclasses import replace

import pytest

from chain.crypto.hashing import ZERO
from chain.errors import InvalidRoundInput
from chain.seats import has_seat, is_seat_free
from chain.state import REVEALING, TRAINING, NodeRecord, State, node_key
from tests.builders import ALICE, a_commit, a_key, a_network, a_training_chain, named
from tests.chain.rounds_alone import Rounds, in_training

PLENTY = [a_key(f"seat {i}") for i in range(60)]
NAMES = [named(f"candidate {i}") for i in range(1_000)]


def with_nodes(veterans: int, newcomers: int) -> State:
    """The first of the names are veterans."""
    state = State(lambda _: None)
    for place, node in enumerate(NAMES[: veterans + newcomers]):
        record = NodeRecord(bytes(33), ALICE.address, 1, 0, False, 0, 0, place < veterans, 0, 0, ZERO, 0, ZERO, 0, 0)
        state.put(node_key(node), record)
    return state


def seated(veterans: int, newcomers: int, seats: int, mix: int = 0) -> tuple[int, int]:
    """How many of each kind have a seat."""
    state, params = with_nodes(veterans, newcomers), a_network(seats=seats).params
    current = replace(BLANK, participants=veterans + newcomers, veterans=veterans, mix=named(f"draw {mix}"))
    drawn = [has_seat(state, current, node, params) for node in NAMES[: veterans + newcomers]]
    return sum(drawn[:veterans]), sum(drawn[veterans:])


BLANK = a_training_chain().round


@pytest.mark.parametrize(("veterans", "newcomers"), [(64, 0), (0, 64), (10, 54), (1, 0)])
def test_everybody_has_a_seat_while_they_suffice(veterans, newcomers):
    assert seated(veterans, newcomers, 64) == (veterans, newcomers)


def test_with_one_participant_too_many_newcomers_draw_for_a_quarter():
    veterans, newcomers = seated(1, 64, 64)
    assert veterans == 1 and 4 <= newcomers <= 32


@pytest.mark.parametrize(
    ("veterans", "newcomers", "expected"),
    [
        (500, 500, (48, 16)),
        (900, 100, (48, 16)),
        (100, 900, (48, 16)),
        (48, 900, (48, 16)),
        (20, 900, (20, 16)),
        (0, 900, (0, 16)),
        (900, 0, (64, 0)),
        (900, 10, (54, 10)),
        (60, 16, (48, 16)),
    ],
)
def test_each_kind_draws_for_its_own_seats(veterans, newcomers, expected):
    """Means over 40 draws lie within five standard errors of the seats; where seats suffice, everybody has one."""
    draws = [seated(veterans, newcomers, 64, mix) for mix in range(40)]
    for kind, count in enumerate((veterans, newcomers)):
        found = [draw[kind] for draw in draws]
        if expected[kind] == count:
            assert set(found) == {count}
        else:
            deviation = (expected[kind] * (1 - expected[kind] / count)) ** 0.5
            assert abs(sum(found) / 40 - expected[kind]) < 5 * deviation / 40**0.5


def test_another_mix_draws_other_seats():
    state, params = with_nodes(0, 100), a_network(seats=8).params
    drawn = [
        [has_seat(state, replace(BLANK, participants=100, mix=named(mix)), node, params) for node in NAMES[:100]]
        for mix in ("one", "another")
    ]
    assert drawn[0] != drawn[1]


def test_a_node_without_a_seat_cannot_commit():
    rounds = in_training(*PLENTY[:12], seats=8, train_blocks=20)
    refused = 0
    for key in PLENTY[:12]:
        rounds.train(key)
        if not has_seat(rounds.state, rounds.round, key.node, rounds.params):
            refused += 1
            with pytest.raises(InvalidRoundInput, match="has no seat in round 1"):
                rounds.block(a_commit(rounds, key))
    assert refused


def test_no_more_than_seats_commit_while_they_suffice():
    rounds = in_training(*PLENTY[:8], seats=8, train_blocks=20)
    rounds.commit(*PLENTY[:8])
    assert (len(rounds.round.committed), rounds.round.phase) == (8, REVEALING)


def offered(rounds: Rounds) -> tuple[int, int]:
    """Everybody asks for a seat; how many veterans and newcomers got one, and that nobody with a lot lacks a reason."""
    taken = [0, 0]
    for key in PLENTY:
        if rounds.round.phase != TRAINING:
            break
        rounds.train(key)
        newcomer = not rounds.record(key).counted_rounds
        before, current = rounds.state, rounds.round
        has_lot = has_seat(before, current, key.node, rounds.params)
        is_free = is_seat_free(before, current, key.node, rounds.params)
        assert rounds.try_to(a_commit(rounds, key)) is (has_lot and is_free)
        taken[newcomer] += has_lot and is_free
    assert rounds.round.committed_newcomers == taken[1] and len(rounds.round.committed) == sum(taken)
    return taken[0], taken[1]


def test_never_more_than_the_seats_nor_than_a_quarter_of_newcomers_commit_and_both_limits_are_reached():
    most = [0, 0]
    rounds = in_training(*PLENTY[:8], seats=8, train_blocks=3, result_blocks=10)
    rounds.close(*PLENTY[:8])
    rounds.block(register=tuple(PLENTY[8:]))
    rounds.end()
    for _ in range(30):
        rounds.until_training()
        assert rounds.round.participants == 60
        taken = offered(rounds)
        assert taken[0] <= 6 and taken[1] <= 2
        most = [max(one, other) for one, other in zip(most, taken, strict=True)]
        rounds.end()  # nobody reveals: all stay what they are
    assert most == [6, 2]


def test_a_seat_that_too_many_have_drawn_goes_to_the_first():
    rounds = in_training(*PLENTY, seats=8, train_blocks=3, result_blocks=10)
    while True:
        rounds.until_training()
        lucky = [key for key in PLENTY if has_seat(rounds.state, rounds.round, key.node, rounds.params)]
        if len(lucky) > 2:
            break
        rounds.end()
    rounds.train(*lucky)
    for key in lucky[:2]:
        assert rounds.try_to(a_commit(rounds, key))
    with pytest.raises(InvalidRoundInput, match=r"the seats that node .* drew for in round \d+ are taken"):
        rounds.block(a_commit(rounds, lucky[2]))


def test_a_node_is_a_newcomer_until_a_payload_of_its_was_counted_in_a_round_that_closed():
    rounds = in_training(*PLENTY[:3], train_blocks=20, result_blocks=10)
    rounds.commit(*PLENTY[:2])
    rounds.end()  # without a reveal: void
    assert [rounds.record(key).counted_rounds for key in PLENTY[:3]] == [0, 0, 0]
    for expected in (1, 2):
        rounds.until_training()
        rounds.commit(*PLENTY[:2])
        rounds.reveal(PLENTY[0])
        rounds.pass_time(3)  # the other one misses the deadline
        rounds.agree()
        assert [rounds.record(key).counted_rounds for key in PLENTY[:3]] == [expected, 0, 0]
        assert (rounds.state.ledger.veterans, rounds.round.veterans) == (1, 1)
    rounds.block(retire=(PLENTY[0],))
    assert rounds.state.ledger.veterans == 0


def test_a_retired_node_whose_payload_is_counted_later_is_no_veteran_of_the_ledger():
    rounds = in_training(*PLENTY[:2], train_blocks=20, result_blocks=10)
    rounds.commit(*PLENTY[:2])
    rounds.reveal(*PLENTY[:2])
    rounds.block(retire=(PLENTY[0],))
    rounds.agree()
    assert rounds.record(PLENTY[0]).counted_rounds == 1
    assert rounds.state.ledger.veterans == 1
