"""A node that missed a round gets in again although it is slower than the others, and makes no round endless."""

import pytest

from chain.awaited import is_back
from chain.state import EVERYBODY, RECENT, REVEALING, TRAINING, VETERANS
from tests.builders import a_key
from tests.chain.rounds_alone import Rounds, in_training

FOUR = [a_key(f"back {i}") for i in range(4)]
SLOW = FOUR[3]
NAMES = [a_key(f"name {i}") for i in range(12)]
LONG = {"train_blocks": 1_000, "grace_blocks_minimum": 10, "result_blocks": 5}


def one_missed(**params: int) -> Rounds:
    """The second round, in training: of the first one the last of four nodes has no commit."""
    rounds = in_training(*FOUR, **{**LONG, **params})
    rounds.close(*FOUR[:3])
    assert (rounds.round.awaited.whom, rounds.round.awaited.nodes) == (RECENT, 3)
    return rounds


def test_a_slightly_slower_node_that_missed_a_round_commits_in_the_next_and_is_awaited_again():
    rounds = one_missed()
    rounds.pass_time(98)
    rounds.train(SLOW, segments=3)  # of 4
    rounds.commit(*FOUR[:3])
    assert rounds.round.phase == TRAINING
    rounds.commit(SLOW)
    assert rounds.round.phase == REVEALING
    rounds.reveal(*FOUR)
    rounds.agree()
    assert rounds.round.awaited.nodes == 4


@pytest.mark.parametrize(("segments", "proven", "awaited"), [(4, 1, 3), (4, 2, 4), (6, 1, 3), (6, 2, 4), (1, 1, 4)])
def test_a_node_that_comes_back_is_awaited_from_a_third_of_the_segments_on(segments, proven, awaited):
    rounds = one_missed(inner_steps=segments * 50, segment_steps=50)
    assert rounds.params.segments == segments
    rounds.train(SLOW, segments=proven)
    assert rounds.round.awaited.nodes == awaited
    assert is_back(rounds.state, rounds.round, SLOW.node, rounds.params) is (awaited == 4)
    rounds.commit(*FOUR[:3])
    assert (rounds.round.phase == TRAINING) is (awaited == 4)


def test_who_comes_back_and_does_not_commit_costs_the_grace_and_never_more():
    rounds = one_missed()
    for _ in range(2):
        began = rounds.round.opened_height + 1
        rounds.pass_time(99)
        rounds.train(SLOW, segments=2)
        rounds.commit(*FOUR[:3])
        while rounds.round.phase == TRAINING:
            rounds.block()
        assert rounds.height - began <= 153
        rounds.reveal(*FOUR[:3])
        rounds.agree()
        rounds.until_training()
        assert rounds.round.awaited.nodes == 3


def test_who_comes_back_weighs_nothing_whatever_it_did_before():
    """Else a node gone with a third of the work or more could make every round as long as it may be."""
    rounds = in_training(*FOUR[:2], **LONG)
    rounds.close(*FOUR[:2])
    rounds.commit(FOUR[0])
    while rounds.round.phase == TRAINING:
        rounds.block()
    rounds.reveal(FOUR[0])
    rounds.agree()
    rounds.until_training()
    rounds.train(FOUR[1], segments=2)
    assert (rounds.round.awaited.nodes, rounds.round.awaited.work) == (2, 4)
    rounds.commit(FOUR[0])
    assert rounds.round.awaited.quorum_height == rounds.height
    rounds.commit(FOUR[1])
    assert (rounds.round.awaited.arrived, rounds.round.awaited.arrived_work) == (2, 4)
    assert rounds.round.phase == REVEALING


def test_who_comes_back_and_retires_is_not_waited_for():
    rounds = one_missed()
    rounds.train(SLOW, segments=3)
    rounds.commit(*FOUR[:3])
    assert rounds.round.phase == TRAINING
    rounds.block(retire=(SLOW,))
    assert rounds.round.phase == REVEALING


def test_who_comes_back_commits_and_retires_is_counted_once():
    rounds = one_missed()
    rounds.commit(SLOW)
    rounds.block(retire=(SLOW,))
    assert (rounds.round.awaited.nodes, rounds.round.awaited.arrived) == (4, 1)
    rounds.commit(*FOUR[:3])
    assert rounds.round.phase == REVEALING


def test_with_more_names_than_seats_a_veteran_comes_back_and_a_newcomer_does_not():
    rounds = in_training(*FOUR, seats=8, **LONG)
    rounds.close(*FOUR)
    rounds.block(register=tuple(NAMES))
    rounds.close(*FOUR[:3])
    while rounds.round.participants <= 8 or rounds.round.awaited.whom == EVERYBODY:
        rounds.close(*FOUR[:3])
    assert (rounds.round.awaited.whom, rounds.round.awaited.nodes) == (VETERANS, 3)
    rounds.train(*NAMES, segments=3)
    assert rounds.round.awaited.nodes == 3
    rounds.train(SLOW, segments=3)
    assert rounds.round.awaited.nodes == 4
    rounds.commit(*FOUR[:3])
    assert rounds.round.phase == TRAINING
    rounds.commit(SLOW)
    assert rounds.round.phase == REVEALING
