"""What a node says in a round follows from ledger and finished work: everything once, the same after a restart."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from chain.block import AvailabilityVote, PayloadCommit, PayloadReveal, ResultVote
from chain.crypto.hashing import ZERO
from chain.seats import has_seat
from chain.state import CLOSED, HOLDING, RESULT, REVEALING, TRAINING, VOID, Round, State, round_key
from chain.transition import Applied
from node.counted import Counted
from node.outcomes import Claimed
from node.round_driver import WRAP_UP_BLOCKS, Work, wrap_up_blocks
from node.trainer_messages import Abandon, RoundDone, Train, WrapUp
from tests.builders import a_key
from tests.node.lone_node import LoneNode, named, state_parts, tiny_network, with_rounds
from tests.node.waiting import registration

SEGMENTS = 4


@pytest.fixture
def node(tmp_path: Path) -> LoneNode:
    """In the training phase of round 1."""
    return with_rounds(tmp_path / "node", 0)


def proofs(node: LoneNode) -> int:
    """How many proofs the node would put into the next block."""
    return len(node.driver.proofs(node.state, node.view.tip.time_ms + 10))


def kinds(applied: Applied) -> list[type]:
    return [type(item) for item in applied.block.body.rounds]


def test_an_unregistered_node_says_nothing(tmp_path: Path) -> None:
    node = LoneNode(tmp_path)
    node.train(2)
    assert proofs(node) == 0 and node.driver.inputs(node.state) == [] and not node.driver.is_urgent(node.state)


def test_a_round_in_training_is_asked_for_once_with_the_ledgers_mix_and_model(node: LoneNode) -> None:
    node.block()
    trains = [command for command in node.asked if isinstance(command, Train)]
    assert trains == [Train(1, node.round.mix, str(node.outcomes.model_path), ZERO, 0, ZERO)]


def test_a_node_that_does_not_train_asks_for_nothing(node: LoneNode) -> None:
    again = node.reopened()
    again.driver.ask = None
    again.block()
    assert again.driver.work == Work(0)


def test_each_segment_is_proven_once(node: LoneNode) -> None:
    node.train(3)
    assert len(node.block().block.body.proofs) == 3
    assert proofs(node) == 0
    node.train(4)
    (last,) = node.block().block.body.proofs
    assert (last.segment, last.nonce) == (3, 3)


def test_a_segment_reported_twice_or_out_of_order_or_of_another_round_is_not_taken(node: LoneNode) -> None:
    first, second = node.segment(0), node.segment(1)
    for segment in (second, first, first, replace(second, round=2)):
        node.driver.add_segment(segment)
    assert node.driver.work.segments == [first]


def test_a_payload_of_another_round_is_not_taken(node: LoneNode) -> None:
    node.driver.add_payload(RoundDone(2, SEGMENTS, named("payload"), 100, *state_parts("any")))
    assert node.driver.work.done is None


def test_proofs_go_on_after_a_restart(node: LoneNode) -> None:
    node.train(2)
    node.block()
    again = node.reopened()
    again.driver.follow(again.state, again.view.tip.height)
    assert isinstance(again.asked[-1], Train)
    again.train(1)
    assert proofs(again) == 0  # What the ledger knows has not been trained again yet.
    again.train(4)
    assert [proof.segment for proof in again.block().block.body.proofs] == [2, 3]


def test_a_round_proven_by_another_run_is_not_continued(node: LoneNode) -> None:
    node.train(2)
    node.block()
    again = node.reopened()
    again.driver.follow(again.state, again.view.tip.height)
    again.train(4, run="other")
    assert proofs(again) == 0
    again.finish()
    assert again.driver.inputs(again.state) == []


@pytest.mark.parametrize("days", [-365, 365])
def test_a_segment_is_claimed_whatever_the_clock_said_when_it_was_finished(node: LoneNode, days: int) -> None:
    for index in range(SEGMENTS):
        node.driver.add_segment(node.segment(index, time_ms=node.view.tip.time_ms + days * 86_400_000))
    assert len(node.block().block.body.proofs) == SEGMENTS


@pytest.mark.parametrize(("segments", "committed"), [(1, False), (2, True), (4, True)])
def test_nothing_is_committed_before_half_of_the_segments(node: LoneNode, segments: int, committed: bool) -> None:
    node.train(segments)
    node.finish()
    assert (PayloadCommit in kinds(node.block())) is committed


def test_nothing_is_committed_before_the_payload_is_there(node: LoneNode) -> None:
    node.train()
    assert kinds(node.block()) == [] and node.round.phase == TRAINING


def test_nothing_is_committed_before_its_segments_are_on_the_ledger(node: LoneNode) -> None:
    node.train()
    node.finish()
    assert node.driver.inputs(node.state) == []


def test_a_node_without_a_seat_commits_nothing_and_goes_on_making_blocks(tmp_path: Path) -> None:
    node = with_rounds(tmp_path, 0, seats=4, train_blocks=40, registrations_per_block=9)
    for index in range(6):
        node.mempool.add(registration(node, a_key(f"newcomer {index}")), node.state)
    while node.round.phase != TRAINING or has_seat(node.state, node.round, node.driver.node, node.network.params):
        node.block()
    assert node.round.participants == 7
    number = node.round.number
    node.train()
    node.finish()
    assert PayloadCommit not in kinds(node.block())
    assert node.round.number == number and not node.driver.is_urgent(node.state)


@pytest.mark.parametrize(("segments", "urgent"), [(1, False), (2, True), (4, True)])
def test_a_finished_round_does_not_wait_for_the_usual_block(node: LoneNode, segments: int, urgent: bool) -> None:
    node.train(segments)
    assert not node.driver.is_urgent(node.state)
    node.finish()
    assert node.driver.is_urgent(node.state) is urgent


def test_nothing_is_urgent_once_it_is_committed(node: LoneNode) -> None:
    node.train()
    node.finish()
    node.outcomes._held.clear()
    node.block()
    assert node.round.phase == HOLDING and not node.driver.is_urgent(node.state)


def test_a_lone_node_says_everything_of_a_round_in_one_block_and_each_thing_once(node: LoneNode) -> None:
    node.train()
    node.finish()
    assert kinds(node.block()) == [PayloadCommit, PayloadReveal, AvailabilityVote, ResultVote]
    assert node.state.round(1).phase == CLOSED
    assert node.driver.inputs(node.state) == [] and proofs(node) == 0


def claimed_by(node: LoneNode, done: RoundDone) -> Claimed:
    return Claimed(done.payload_root, done.payload_bytes, sum(each.distance for each in node.driver.work.segments))


def test_a_validator_waits_for_its_own_look_and_its_own_result(node: LoneNode) -> None:
    node.train()
    done = node.finish()
    node.outcomes._held.clear()
    node.outcomes._prepared.clear()
    assert kinds(node.block()) == [PayloadCommit, PayloadReveal] and node.round.phase == HOLDING
    asyncio.run(node.outcomes.check(claimed_by(node, done)))
    assert kinds(node.block()) == [AvailabilityVote] and node.round.phase == RESULT
    assert kinds(node.block()) == []
    asyncio.run(node.outcomes.prepare(1, [Counted(node.driver.node, done.payload_root, 4)]))
    assert kinds(node.block()) == [ResultVote] and node.state.round(1).phase == CLOSED


def test_a_payload_that_is_not_held_is_not_counted_and_the_round_is_void(tmp_path: Path) -> None:
    node = LoneNode(tmp_path / "node", tiny_network(hold_blocks=2))
    node.register()
    node.train()
    done = node.finish()
    node.outcomes._held[claimed_by(node, done)] = False
    applied = node.block()
    assert kinds(applied) == [PayloadCommit, PayloadReveal, AvailabilityVote]
    node.block()
    node.block()
    assert node.state.round(1).phase == VOID and node.state.ledger.closed_rounds == 0


def test_after_a_restart_the_salt_and_so_the_commitment_are_the_same(node: LoneNode) -> None:
    chain_id, identity = node.network.chain_id, node.driver.identity
    salts = {identity.salt(1, chain_id), node.reopened().driver.identity.salt(1, chain_id)}
    assert len(salts) == 1
    assert identity.salt(2, chain_id) not in salts and identity.salt(1, named("other chain")) not in salts


def hurried(node: LoneNode, current: Round, segments: int, height: int) -> bool:
    """Whether a node that has trained so many segments is asked to end the round at this height."""
    node.driver.work = Work(current.number, [node.segment(index) for index in range(segments)])
    node.asked.clear()
    node.driver.follow(with_round(node.state, current), height)
    return WrapUp(current.number) in node.asked


def with_round(state: State, current: Round) -> State:
    draft = state.fork()
    draft.put(round_key(current.number), current)
    return draft


@pytest.mark.parametrize("segments", [2, 3])
def test_a_slow_node_is_hurried_when_one_more_segment_would_come_too_late(node: LoneNode, segments: int) -> None:
    began = node.round.opened_height + 1
    current = replace(node.round, deadline_height=began + 300)
    # It takes 100 or 67 blocks a segment.
    first = began + 200
    assert wrap_up_blocks(current, segments, first) == min(100, WRAP_UP_BLOCKS + -(-200 // segments))
    heights = [h for h in range(began + 1, began + 300) if hurried(node, current, segments, h)]
    assert heights == list(range(heights[0], began + 300))
    left = current.deadline_height - heights[0]
    assert left == min(100, WRAP_UP_BLOCKS + -(-(heights[0] - began) // segments))


def test_a_node_below_half_of_the_segments_goes_on_and_is_hurried_as_soon_as_it_has_them(node: LoneNode) -> None:
    for blocks in (20, 1):
        height = node.round.deadline_height - blocks
        assert not hurried(node, node.round, 1, height)
        assert hurried(node, node.round, 2, height)


@pytest.mark.parametrize(("elapsed", "grace"), [(10, 30), (2, 2), (200, 100), (1_000, 500)])
def test_a_deadline_that_comes_nearer_leaves_time_to_train_on_and_time_to_commit(
    node: LoneNode, elapsed: int, grace: int
) -> None:
    began = node.round.opened_height + 1
    height = began + elapsed
    nearer = replace(node.round, deadline_height=height + grace)
    assert not hurried(node, replace(node.round, deadline_height=began + 10_000), 3, height)
    asked = [h for h in range(height, height + grace) if hurried(node, nearer, 3, h)]
    assert asked and asked[-1] == height + grace - 1
    a_segment = -(-elapsed // 3)
    assert len(asked) >= min(grace, (elapsed + grace) // 3, WRAP_UP_BLOCKS + a_segment)
    assert len(asked) < grace or elapsed == grace == 2


def test_a_round_of_few_blocks_leaves_two_thirds_of_them_for_training(node: LoneNode) -> None:
    began = node.round.opened_height + 1
    current = replace(node.round, deadline_height=began + 6)
    assert [hurried(node, current, 3, began + passed) for passed in range(6)] == [False] * 4 + [True] * 2


def test_a_round_that_ended_without_us_is_abandoned(node: LoneNode) -> None:
    node.train()
    node.finish()
    node.outcomes._held.clear()
    node.block()
    node.driver.work.done = None
    node.driver.follow(node.state, node.view.tip.height)
    assert node.asked[-1] == Abandon(1)


def test_finished_work_is_not_claimed_for_the_next_round_by_a_node_that_has_not_heard_of_it(node: LoneNode) -> None:
    node.train()
    node.finish()
    node.driver.follow = lambda state, height: None  # type: ignore[method-assign]
    node.block()
    node.block()
    assert node.round.phase == TRAINING and node.driver.work.round == node.round.number - 1
    assert proofs(node) == 0 and node.driver.inputs(node.state) == []
    assert kinds(node.block()) == []


@pytest.mark.parametrize(
    ("phase", "quorum_height", "has_news"),
    [(TRAINING, 0, False), (TRAINING, 7, True), (REVEALING, 0, True), (HOLDING, 7, False), (RESULT, 7, False)],
)
def test_while_a_round_waits_for_some_who_may_be_gone_blocks_come_at_the_usual_interval(
    node: LoneNode, phase: int, quorum_height: int, has_news: bool
) -> None:
    state, current = node.state.fork(), node.round
    awaited = replace(current.awaited, quorum_height=quorum_height)
    state.put(round_key(current.number), replace(current, phase=phase, awaited=awaited))
    assert node.producer.has_news(state, node.view.tip.time_ms) == has_news
    assert not node.producer.is_urgent(node.state)
