"""Whom the training phase waits for, and how the deadline comes nearer when a quorum of the work is there."""

import random

import pytest

from chain.awaited import is_awaited, is_back, note_suspended
from chain.state import (
    ANYBODY,
    EVERYBODY,
    HOLDING,
    RECENT,
    RESULT,
    REVEALING,
    TRAINING,
    VETERANS,
    VOID,
    NodeRecord,
    node_key,
)
from tests.builders import Key, a_commit, a_key, a_result_vote, a_reveal, an_availability_vote
from tests.chain.rounds_alone import Rounds, in_training

FOUR = [a_key(f"awaited {i}") for i in range(4)]
SYBILS = [a_key(f"sybil {i}") for i in range(1_000)]
LONG = {"train_blocks": 1_000, "grace_blocks_minimum": 10, "result_blocks": 5}


def trained_for(rounds: Rounds) -> int:
    """Lets the training phase end by itself; blocks that it took in all."""
    began = rounds.round.opened_height + 1
    while rounds.round.phase == TRAINING:
        rounds.block()
    return rounds.height - began


# ---- Who


def test_the_first_round_awaits_everybody_and_ends_when_all_have_committed():
    rounds = in_training(*FOUR, **LONG)
    assert (rounds.round.awaited.whom, rounds.round.awaited.nodes) == (EVERYBODY, 4)
    rounds.commit(*FOUR[:3])
    assert rounds.round.phase == TRAINING
    rounds.commit(FOUR[3])
    assert rounds.round.phase == REVEALING


def test_a_node_that_did_not_commit_is_not_awaited_in_the_next_round():
    rounds = in_training(*FOUR, train_blocks=20)
    rounds.close(*FOUR[:3])
    assert (rounds.round.awaited.whom, rounds.round.awaited.nodes, rounds.round.awaited.work) == (RECENT, 3, 12)
    rounds.commit(*FOUR[:2])
    assert rounds.round.phase == TRAINING
    rounds.commit(FOUR[2])
    assert rounds.round.phase == REVEALING


def test_a_node_that_comes_back_is_awaited_from_then_on():
    rounds = in_training(*FOUR, train_blocks=20)
    rounds.close(*FOUR[:3])
    rounds.commit(FOUR[3])
    awaited = rounds.round.awaited
    assert (len(rounds.round.committed), awaited.nodes, awaited.arrived, awaited.arrived_work) == (1, 4, 1, 0)
    rounds.commit(*FOUR[:3])
    rounds.reveal(*FOUR)
    rounds.agree()
    assert rounds.round.awaited.nodes == 4


def test_a_newcomer_is_awaited_in_its_first_round_and_not_again_if_it_did_nothing():
    newcomer = a_key("newcomer")
    rounds = in_training(*FOUR, **LONG)
    rounds.block(register=(newcomer,))
    rounds.commit(*FOUR)  # it does not take part in the round in which it registers
    assert rounds.round.phase == REVEALING
    rounds.reveal(*FOUR)
    rounds.agree()
    rounds.until_training()
    assert (rounds.round.awaited.nodes, rounds.round.awaited.work) == (5, 16)
    rounds.commit(*FOUR)
    assert rounds.round.phase == TRAINING
    trained_for(rounds)
    rounds.reveal(*FOUR)
    rounds.agree()
    assert rounds.round.awaited.nodes == 4


def test_a_newcomer_that_commits_ends_the_round_with_the_others():
    newcomer = a_key("newcomer")
    rounds = in_training(*FOUR, **LONG)
    rounds.block(register=(newcomer,))
    rounds.close(*FOUR)
    rounds.commit(*FOUR)
    rounds.commit(newcomer)
    assert rounds.round.phase == REVEALING


def test_who_registers_in_the_block_of_an_opening_is_awaited_in_that_round_only():
    newcomer = a_key("newcomer")
    rounds = in_training(FOUR[0], train_blocks=3, result_blocks=5)
    rounds.commit(FOUR[0])
    rounds.reveal(FOUR[0])
    while rounds.round.deadline_height > rounds.height + 1:
        rounds.block()
    rounds.block(register=(newcomer,))  # nobody held the payload: void, and the next round opens
    assert (rounds.round.number, rounds.round.opened_height) == (2, rounds.height)
    assert (rounds.round.participants, rounds.round.awaited.nodes) == (2, 2)
    rounds.block()
    rounds.close(FOUR[0])
    assert (rounds.round.participants, rounds.round.awaited.nodes) == (2, 1)


def test_a_retired_node_is_not_waited_for():
    rounds = in_training(*FOUR, **LONG)
    rounds.commit(*FOUR[:3])
    assert rounds.round.phase == TRAINING
    rounds.block(retire=(FOUR[3],))
    assert rounds.round.phase == REVEALING


def test_a_node_that_retires_after_its_commit_is_not_waited_for_in_the_next_round():
    rounds = in_training(*FOUR, **LONG)
    rounds.commit(*FOUR[:2])
    rounds.block(retire=(FOUR[0],))
    assert (rounds.round.awaited.nodes, rounds.round.awaited.arrived) == (4, 2)
    rounds.commit(*FOUR[2:])
    rounds.reveal(*FOUR)
    rounds.agree()
    assert (rounds.round.awaited.nodes, rounds.round.awaited.work) == (3, 12)
    assert rounds.state.ledger.work == 12


def test_a_newcomer_that_retires_before_its_first_round_is_not_waited_for():
    newcomer = a_key("newcomer")
    rounds = in_training(*FOUR, **LONG)
    rounds.block(register=(newcomer,))
    assert rounds.state.ledger.arrivals == 1
    rounds.block(retire=(newcomer,))
    assert (rounds.state.ledger.arrivals, rounds.state.ledger.nodes) == (0, 4)
    rounds.close(*FOUR)
    assert rounds.round.awaited.nodes == 4


def test_a_retired_node_takes_its_work_out_of_the_sum():
    rounds = in_training(*FOUR, **LONG)
    rounds.close(*FOUR)
    rounds.commit(*FOUR[:2])
    assert rounds.round.awaited.quorum_height == 0
    rounds.block(retire=(FOUR[2],))  # two of three is no more than two thirds
    assert rounds.round.awaited.quorum_height == 0
    rounds.commit(FOUR[3])
    assert rounds.round.phase == REVEALING


def test_a_retired_node_that_did_no_work_lately_changes_nothing():
    rounds = in_training(*FOUR, train_blocks=20)
    rounds.close(*FOUR[:3])
    before = rounds.round.awaited
    rounds.block(retire=(FOUR[3],))
    assert rounds.round.awaited == before
    rounds.commit(*FOUR[:3])
    assert rounds.round.phase == REVEALING


def test_when_all_who_were_awaited_have_retired_everybody_is():
    rounds = in_training(*FOUR, train_blocks=20)
    rounds.close(FOUR[0])
    rounds.commit(FOUR[0])
    rounds.reveal(FOUR[0])
    rounds.block(retire=(FOUR[0],))
    rounds.agree()
    assert (rounds.round.awaited.whom, rounds.round.awaited.nodes) == (EVERYBODY, 3)


def test_a_round_that_awaits_nobody_any_more_ends_with_the_first_commit():
    rounds = in_training(*FOUR, train_blocks=20)
    rounds.close(FOUR[0])
    rounds.block(retire=(FOUR[0],))
    assert (rounds.round.phase, rounds.round.awaited.nodes) == (TRAINING, 0)
    rounds.commit(FOUR[1])
    assert rounds.round.phase == REVEALING


def test_after_a_round_without_a_commit_everybody_is_awaited_with_the_work_of_old():
    rounds = in_training(*FOUR, train_blocks=20)
    rounds.close(*FOUR[:3])
    assert rounds.end().phase == VOID
    assert (rounds.round.awaited.whom, rounds.round.awaited.nodes, rounds.round.awaited.work) == (EVERYBODY, 4, 12)
    rounds.until_training()
    rounds.commit(*FOUR[:3])
    assert rounds.round.awaited.quorum_height == rounds.height


def test_after_a_void_round_with_commits_those_who_committed_are_awaited():
    rounds = in_training(*FOUR, train_blocks=20)
    rounds.commit(*FOUR[:2], segments=2)
    assert rounds.end().phase == VOID  # nobody reveals
    assert (rounds.round.awaited.whom, rounds.round.awaited.nodes, rounds.round.awaited.work) == (RECENT, 2, 4)
    rounds.until_training()
    rounds.commit(*FOUR[:2])
    assert rounds.round.phase == REVEALING


def test_a_round_after_all_nodes_had_gone_awaits_everybody():
    rounds = in_training(FOUR[0], train_blocks=3)
    rounds.block(retire=(FOUR[0],))
    assert rounds.end().phase == VOID
    rounds.pass_time(3)
    assert rounds.round.number == 1
    rounds.block(register=tuple(FOUR[1:]))
    assert (rounds.round.number, rounds.round.awaited.whom, rounds.round.awaited.nodes) == (2, EVERYBODY, 3)


# ---- A quorum of work


def test_more_than_two_thirds_of_the_work_bring_the_deadline_nearer_and_exactly_two_thirds_do_not():
    rounds = in_training(*FOUR[:3], **LONG)
    rounds.close(*FOUR[:3])
    far = rounds.round.deadline_height
    rounds.commit(*FOUR[:2])
    assert (rounds.round.deadline_height, rounds.round.awaited.quorum_height) == (far, 0)
    rounds = in_training(*FOUR[:3], **LONG)
    rounds.commit(*FOUR[:2])
    rounds.commit(FOUR[2], segments=3)
    rounds.reveal(*FOUR[:3])
    rounds.agree()
    rounds.until_training()
    rounds.commit(*FOUR[:2])  # 8 of 11
    assert rounds.round.deadline_height == rounds.height + 10
    assert rounds.round.awaited.quorum_height == rounds.height


@pytest.mark.parametrize(("elapsed", "grace"), [(5, 10), (20, 10), (21, 10), (22, 11), (100, 50), (101, 50)])
def test_the_rest_get_half_of_the_time_so_far_and_a_minimum(elapsed, grace):
    rounds = in_training(*FOUR, **LONG)
    rounds.close(*FOUR)
    began = rounds.round.opened_height + 1
    rounds.pass_time(began + elapsed - 1 - rounds.height)
    rounds.commit(*FOUR[:3])
    assert rounds.height == began + elapsed
    assert rounds.round.deadline_height == rounds.height + grace
    rounds.pass_time(grace - 1)
    assert rounds.round.phase == TRAINING
    rounds.block()
    assert rounds.round.phase == REVEALING


def test_the_deadline_is_never_pushed_out():
    rounds = in_training(*FOUR, train_blocks=30, grace_blocks_minimum=10)
    rounds.close(*FOUR)
    far = rounds.round.deadline_height
    rounds.pass_time(far - rounds.height - 5)
    rounds.commit(*FOUR[:3])
    assert rounds.round.deadline_height == far


def test_once_set_the_grace_stays():
    five = [*FOUR, a_key("awaited 4")]
    rounds = in_training(*five, **LONG)
    rounds.close(*five)
    rounds.pass_time(100)
    rounds.commit(*five[:4])
    nearer, quorum = rounds.round.deadline_height, rounds.round.awaited.quorum_height
    rounds.pass_time(20)
    newcomer = a_key("late newcomer")
    rounds.block(register=(newcomer,))
    assert (rounds.round.deadline_height, rounds.round.awaited.quorum_height) == (nearer, quorum)


def test_a_slower_node_commits_what_it_has_before_the_nearer_deadline_and_not_in_its_block():
    for late in (0, 1):
        rounds = in_training(*FOUR, **LONG)
        rounds.close(*FOUR)
        rounds.commit(*FOUR[:3])
        rounds.pass_time(9 - 1 + late)
        rounds.train(FOUR[3], segments=2)
        if late:
            rounds.block()
            assert rounds.round.phase == REVEALING and FOUR[3].node not in rounds.round.committed
        else:
            rounds.commit(FOUR[3], segments=2)
            assert rounds.round.phase == REVEALING and FOUR[3].node in rounds.round.committed


def test_one_dead_of_four_costs_one_grace_and_nothing_afterwards():
    rounds = in_training(*FOUR, **LONG)
    rounds.close(*FOUR)
    rounds.pass_time(99)
    rounds.commit(*FOUR[:3])
    took = trained_for(rounds)
    assert 150 <= took <= 153
    rounds.reveal(*FOUR[:3])
    rounds.agree()
    rounds.until_training()
    rounds.pass_time(99)
    rounds.commit(*FOUR[:3])
    assert rounds.round.phase == REVEALING


def test_a_dead_whale_cannot_be_done_without_and_costs_one_full_round():
    rounds = in_training(*FOUR[:2], train_blocks=60, grace_blocks_minimum=10)
    rounds.close(*FOUR[:2])
    rounds.commit(FOUR[0])  # half of the work is no quorum
    assert trained_for(rounds) == 60
    rounds.reveal(FOUR[0])
    rounds.agree()
    rounds.until_training()
    rounds.commit(FOUR[0])
    assert rounds.round.phase == REVEALING


def test_names_without_work_do_not_hurry_a_round():
    rounds = in_training(*FOUR, seats=1_024, **LONG)
    rounds.close(*FOUR)
    rounds.block(register=tuple(SYBILS))
    rounds.close(*FOUR)
    assert (rounds.round.awaited.nodes, rounds.round.awaited.work) == (1_004, 16)
    far = rounds.round.deadline_height
    rounds.commit(*SYBILS[:700], segments=2)
    assert (rounds.round.awaited.arrived, rounds.round.deadline_height) == (700, far)


def test_a_thousand_idle_names_stall_one_round_by_its_grace_and_no_other():
    rounds = in_training(*FOUR, seats=1_024, **LONG)
    rounds.close(*FOUR)
    rounds.block(register=tuple(SYBILS))
    rounds.close(*FOUR)
    rounds.pass_time(99)
    rounds.commit(*FOUR)
    assert 150 <= trained_for(rounds) <= 153
    rounds.reveal(*FOUR)
    rounds.agree()
    rounds.until_training()
    rounds.commit(*FOUR)
    assert rounds.round.phase == REVEALING


def test_when_nobody_has_a_history_the_deadline_stays():
    rounds = in_training(*FOUR, **LONG)
    far = rounds.round.deadline_height
    rounds.commit(*FOUR[:3])
    assert (rounds.round.deadline_height, rounds.round.awaited.quorum_height) == (far, 0)


def test_when_everybody_is_slow_the_round_ends_at_its_deadline_with_what_they_have():
    rounds = in_training(*FOUR, train_blocks=40)
    rounds.close(*FOUR)
    rounds.pass_time(rounds.round.deadline_height - 1 - rounds.height - 1)
    rounds.commit(*FOUR, segments=2)
    assert rounds.round.phase == REVEALING
    rounds.reveal(*FOUR)
    rounds.agree()
    assert (rounds.round.awaited.nodes, rounds.round.awaited.work) == (4, 8)


def test_work_is_what_a_node_committed_in_its_last_round():
    rounds = in_training(*FOUR[:2], **LONG)
    rounds.commit(FOUR[0])
    rounds.commit(FOUR[1], segments=2)
    assert rounds.record(FOUR[0]).committed_segments == 4
    assert (rounds.record(FOUR[1]).committed_round, rounds.record(FOUR[1]).committed_segments) == (1, 2)
    assert rounds.state.ledger.work == 6
    rounds.reveal(*FOUR[:2])
    rounds.agree()
    rounds.until_training()
    rounds.commit(FOUR[1])
    assert (rounds.round.awaited.arrived_work, rounds.round.awaited.work) == (2, 6)
    assert rounds.state.ledger.work == 8


# ---- With fewer seats than participants


def test_with_fewer_seats_than_participants_idle_names_do_not_stall_at_all():
    rounds = in_training(*FOUR, seats=8, **LONG)
    rounds.block(register=tuple(SYBILS))
    rounds.close(*FOUR)
    assert rounds.round.participants == 1_004
    assert (rounds.round.awaited.whom, rounds.round.awaited.nodes, rounds.round.awaited.work) == (VETERANS, 4, 16)
    rounds.commit(*FOUR)
    assert rounds.round.phase == REVEALING


def test_with_fewer_seats_than_participants_a_dead_veteran_costs_one_grace():
    rounds = in_training(*FOUR, seats=8, **LONG)
    rounds.block(register=tuple(SYBILS))
    rounds.close(*FOUR)
    rounds.pass_time(99)
    rounds.commit(*FOUR[:3])
    assert rounds.round.phase == TRAINING
    assert 150 <= trained_for(rounds) <= 153


def test_with_fewer_seats_than_veterans_a_round_waits_for_as_much_work_as_the_last_one_had():
    many = [a_key(f"many {i}") for i in range(12)]
    rounds = in_training(*many[:8], seats=8, **LONG)
    rounds.block(register=tuple(many[8:]))
    rounds.close(*many[:8])
    # Six seats for eight veterans, two for four newcomers.
    assert rounds.round.participants == 12
    assert (rounds.round.awaited.whom, rounds.round.awaited.nodes, rounds.round.awaited.work) == (ANYBODY, 8, 32)
    taken = 0
    for key in many:
        rounds.train(key)
        taken += rounds.try_to(a_commit(rounds, key))
        rounds.block()
        is_quorum = 3 * 4 * taken > 2 * 32
        assert bool(rounds.round.awaited.quorum_height) is is_quorum
        assert rounds.round.awaited.arrived == taken
    assert 6 <= taken <= 8, "the draw is fixed by the names; this one is to show a quorum"


def test_with_fewer_seats_than_newcomers_and_no_history_only_the_deadline_ends_a_round():
    rounds = in_training(*SYBILS[:40], seats=8, train_blocks=20)
    assert (rounds.round.awaited.whom, rounds.round.awaited.nodes, rounds.round.awaited.work) == (ANYBODY, 8, 0)
    seated = []
    for key in SYBILS[:40]:
        rounds.train(key)
        if rounds.try_to(a_commit(rounds, key)):
            seated.append(key)
    assert 1 <= len(seated) <= 2
    assert rounds.round.awaited.quorum_height == 0
    assert trained_for(rounds) == 20


# ---- The sums


@pytest.mark.parametrize("seed", range(6))
def test_the_sums_are_those_of_a_plain_count_over_all_nodes(seed):
    """Through rounds in which nodes come, go, idle, commit and disappear."""
    choice = random.Random(seed)
    rounds = in_training(*SYBILS[:5], seats=choice.choice([4, 8, 16]), train_blocks=8, result_blocks=2)
    alive, spare = SYBILS[:5], SYBILS[5:60]
    for _ in range(120):
        new = tuple(spare.pop() for _ in range(choice.choice([0, 0, 0, 1, 2])) if spare)
        gone = tuple(choice.sample(alive, 1)) if len(alive) > 2 and choice.random() < 0.1 else ()
        rounds.block(register=new, retire=gone)
        alive = [key for key in [*alive, *new] if key not in gone]
        play(rounds, alive, choice)
        compare(rounds)


def play(rounds: Rounds, alive: list[Key], choice: random.Random) -> None:
    """Some of those who could say something do."""
    phase = rounds.round.phase
    if phase == TRAINING:
        for key in choice.sample(alive, 2):
            current = rounds.round
            is_in = rounds.record(key).registered_height <= current.opened_height
            if current.phase == TRAINING and is_in and key.node not in current.committed:
                rounds.train(key, segments=choice.choice([1, 2, 3, 4]))
                rounds.try_to(a_commit(rounds, key))
    elif phase == REVEALING:
        for key in SYBILS[:60]:
            if rounds.round.phase == REVEALING and key.node in rounds.round.committed and choice.random() < 0.5:
                rounds.try_to(a_reveal(rounds, key))
    elif phase in (HOLDING, RESULT) and choice.random() < 0.7:
        rounds.try_to((an_availability_vote if phase == HOLDING else a_result_vote)(rounds))


def compare(rounds: Rounds) -> None:
    ledger, current = rounds.state.ledger, rounds.round
    known = [rounds.state.find(NodeRecord, node_key(key.node)) for key in SYBILS[:60]]
    active = [record for record in known if record and not record.retired_height]
    assert ledger.nodes == len(active)
    assert ledger.veterans == sum(record.counted_rounds > 0 for record in active)
    assert ledger.work == sum(record.committed_segments for record in active)
    assert ledger.arrivals == sum(record.registered_height > current.opened_height for record in active)
    if current.awaited.whom != ANYBODY and current.phase <= TRAINING:
        left = [r for r in active if r.committed_round != current.number and is_awaited(current, r)]
        back = [
            key
            for key in SYBILS[:60]
            if rounds.state.find(NodeRecord, node_key(key.node))
            and key.node not in current.committed
            and is_back(rounds.state, current, key.node, rounds.params)
        ]
        assert current.awaited.nodes - current.awaited.arrived == len(left) + len(back)
        assert current.awaited.work - current.awaited.arrived_work == sum(r.committed_segments for r in left)
    assert len(current.committed) <= rounds.params.seats
    if current.participants > rounds.params.seats:
        assert current.committed_newcomers <= rounds.params.seats // 4


@pytest.mark.parametrize("convicts", [0, 1, 2])
def test_the_revealing_phase_waits_for_nobody_who_was_convicted_after_its_commit(convicts):
    first, second, third = FOUR[:3]
    rounds = in_training(first, second, third, **LONG)
    rounds.commit(first, second, third)
    for key in (second, third)[:convicts]:
        note_suspended(rounds.state, key.node, rounds.params)
        assert not rounds.try_to(a_reveal(rounds, key))
    assert rounds.round.phase == REVEALING
    rounds.reveal(first)
    assert rounds.round.phase == (HOLDING if convicts == 2 else REVEALING)
    if convicts == 1:
        rounds.reveal(third)
        assert rounds.round.phase == HOLDING


def test_a_round_whose_nodes_were_all_convicted_is_void_at_once():
    rounds = in_training(FOUR[0], **LONG)
    rounds.commit(FOUR[0])
    note_suspended(rounds.state, FOUR[0].node, rounds.params)
    rounds.block()
    ended = rounds.state.round(1)
    assert ended is not None and ended.phase == VOID
