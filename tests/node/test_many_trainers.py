"""Rounds of several trainers over one ledger: all reach the same model, and nobody can hold up the others for ever."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chain.block import AvailabilityVote, Outcome, PayloadCommit, PayloadReveal, ResultVote
from chain.crypto.hashing import ZERO
from chain.receipts import RoundClosed, RoundVoid
from chain.rounds import counted
from chain.state import CLOSED, HOLDING, RESULT, REVEALING, NodeRecord, node_key, round_key
from node import attendance
from node.attendance import ROUNDS_BY_AGGREGATE
from node.blob_exchange import Done
from node.model_fetch import ModelFetch
from node.model_source import ModelSource
from node.past_rounds import payloads_of
from node.round_driver import HOLD_BLOCKS, RoundDriver
from node.trainer_messages import Command, Train, WrapUp
from tests.node.many_nodes import Cluster
from training.aggregate import aggregate_size
from training.outer import OuterState

SHORT = {"train_blocks": 12, "reveal_blocks": 4, "hold_blocks": HOLD_BLOCKS + 2, "result_blocks": 4}


Make = Callable[..., Cluster]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Make]:
    clusters = []

    def make(size: int, validators: int, **params: int) -> Cluster:
        clusters.append(Cluster(tmp_path, size, validators, **params))
        return clusters[-1]

    yield make
    for each in clusters:
        each.close()


def roots(cluster: Cluster) -> set[bytes]:
    """The models of all nodes."""
    return {member.outcomes.model_root for member in cluster.members}


@pytest.mark.parametrize(("size", "validators"), [(3, 2), (4, 3)])
def test_all_nodes_reach_the_same_model_over_three_rounds(made: Make, size: int, validators: int) -> None:
    cluster = made(size, validators)
    cluster.register()
    seen = set()
    for number in (1, 2, 3):
        assert all(member.is_training for member in cluster.members)
        cluster.train()
        closed = cluster.blocks_until(RoundClosed)
        assert closed.round == number and roots(cluster) == {closed.outcome.outer_root}
        assert len(counted(cluster.state, cluster.state.round(number))) == size  # type: ignore[arg-type]
        seen.add(closed.outcome.outer_root)
        cluster.block()
    assert len(seen) == 3 and all(member.runtime.blamed == [] for member in cluster.members)


def test_a_round_takes_a_block_for_each_of_its_phases(made: Make) -> None:
    """Proofs, commitments, reveals, holdings, results: each can be said once what is before it is final."""
    cluster = made(3, 2)
    cluster.register()
    cluster.train()
    kinds = []
    for _ in range(5):
        body = cluster.block().block.body
        kinds.append((len(body.proofs), sorted({type(item).__name__ for item in body.rounds})))
    # The proposer's own next word goes into the same block.
    assert kinds[0][0] == 3 * 4
    said = [name for _, names in kinds for name in names]
    assert {PayloadCommit.__name__, PayloadReveal.__name__, AvailabilityVote.__name__, ResultVote.__name__} == set(said)
    assert cluster.state.round(1).phase == CLOSED  # type: ignore[union-attr]


def test_a_node_that_proposes_nothing_is_registered_and_its_work_counts(made: Make) -> None:
    cluster = made(2, 1)
    cluster.register(cluster.members[1])
    assert cluster.state.find(NodeRecord, node_key(cluster.members[1].identity.node)) is not None
    cluster.train(cluster.members[1])
    closed = cluster.blocks_until(RoundClosed)
    assert roots(cluster) == {closed.outcome.outer_root}


def test_a_node_restarted_between_commitment_and_reveal_shows_what_it_has_on_disk(made: Make) -> None:
    """Its trainer says its segments again and trains nothing more; else the work of the round would be lost."""
    cluster = made(2, 2, **SHORT)
    cluster.register()
    cluster.train()
    while cluster.round.phase != REVEALING:
        cluster.block()
    # Who proposed the last commitment revealed in the same block.
    revealed = [each.node for each in cluster.round.revealed]
    [member] = [each for each in cluster.members if each.identity.node not in revealed]
    before = member.driver.work
    again = RoundDriver(cluster.network, member.identity, member.outcomes)
    asked: list[Command] = []
    again.ask = asked.append
    again.follow(member.state, cluster.height)
    assert asked == [Train(1, cluster.round.mix, str(member.outcomes.model_path), ZERO, 0, ZERO), WrapUp(1)]
    for segment in before.segments:
        again.add_segment(segment)
    assert not again.inputs(member.state)
    again.add_payload(before.done)  # type: ignore[arg-type]
    [reveal] = again.inputs(member.state)
    assert isinstance(reveal, PayloadReveal) and reveal.payload_root == before.done.payload_root  # type: ignore[union-attr]


def test_a_node_that_has_revealed_is_asked_for_no_more_of_that_round(made: Make) -> None:
    cluster = made(2, 2, **SHORT)
    cluster.register()
    cluster.train()
    while cluster.round.phase <= REVEALING:
        cluster.block()
    again = RoundDriver(cluster.network, cluster.members[1].identity, cluster.members[1].outcomes)
    asked: list[Command] = []
    again.ask = asked.append
    again.follow(cluster.members[1].state, cluster.height)
    assert asked == []


def test_a_silent_participant_costs_the_time_to_the_deadline_and_no_more(made: Make) -> None:
    cluster = made(3, 2, **SHORT)
    cluster.register()
    opened = cluster.height
    deadline = cluster.round.deadline_height
    cluster.train(*cluster.members[:2])
    closed = cluster.blocks_until(RoundClosed)
    assert deadline == opened + SHORT["train_blocks"]
    assert deadline < cluster.height <= deadline + 4
    assert len(counted(cluster.state, cluster.state.round(1))) == 2  # type: ignore[arg-type]
    assert roots(cluster) == {closed.outcome.outer_root}


def test_a_round_in_which_nobody_says_anything_is_void_and_the_next_one_opens(made: Make) -> None:
    cluster = made(2, 2, **SHORT)
    cluster.register()
    before = roots(cluster)
    assert cluster.blocks_until(RoundVoid).round == 1
    cluster.block()
    assert cluster.round.number == 2 and roots(cluster) == before and all(m.is_training for m in cluster.members)


def test_a_payload_that_too_few_hold_does_not_count_and_the_round_goes_on_without_it(made: Make) -> None:
    cluster = made(3, 2, **SHORT)
    cluster.register()
    first, second, third = cluster.members
    cluster.train(first, second)
    cluster.train(third, without=(second,))
    closed = cluster.blocks_until(RoundClosed)
    names = [revealed.node for revealed in counted(cluster.state, cluster.state.round(1))]  # type: ignore[arg-type]
    assert sorted(names) == sorted((first.identity.node, second.identity.node))
    assert {member.outcomes.model_root for member in cluster.members} == {closed.outcome.outer_root}


def test_a_plain_trainer_takes_the_step_with_the_accepted_aggregate_and_fetches_no_payload(made: Make) -> None:
    cluster = made(4, 3)
    cluster.register()
    plain = cluster.members[3]
    cluster.train(without=(plain,))
    closed = cluster.blocks_until(RoundClosed)
    outcome = closed.outcome
    wanted = {root for root in (outcome.aggregate_root, outcome.trust_root) if root != ZERO}
    assert {root for root, _ in cluster.fetched} == wanted and roots(cluster) == {outcome.outer_root}
    assert sum(size for _, size in cluster.fetched) <= aggregate_size(plain.learning.fragment_sizes) + 16_384
    assert [path.name for path in plain.payloads.folder.iterdir()] == [plain.driver.work.done.payload_root.hex()]  # type: ignore[union-attr]
    assert plain.outcomes._held == {} and plain.outcomes._prepared == {}
    cluster.block()
    assert plain.is_training


@pytest.mark.parametrize("rounds", [2, ROUNDS_BY_AGGREGATE + 1])
def test_who_has_missed_several_rounds_takes_all_their_steps(made: Make, rounds: int) -> None:
    cluster = made(3, 2, **SHORT)
    cluster.register()
    late, others = cluster.members[2], cluster.members[:2]
    cluster.served.clear()
    for _ in range(rounds):
        cluster.train(*others, without=(late,))
        closed = cluster.blocks_until(RoundClosed)
        cluster.block()
    assert late.outcomes.model_round == 0 and not late.is_training
    cluster.served.add("aggregates")
    assert late.attend() and late.is_training and roots(cluster) == {closed.outcome.outer_root}
    assert [path.name for path in late.payloads.folder.iterdir()] == []


@pytest.mark.parametrize("missed", [ROUNDS_BY_AGGREGATE, ROUNDS_BY_AGGREGATE + 1])
def test_who_has_missed_many_rounds_asks_for_a_checkpoint_first(made: Make, missed: int) -> None:
    cluster = made(3, 2, **SHORT)
    cluster.register()
    late, others = cluster.members[2], cluster.members[:2]
    cluster.served.clear()
    for _ in range(missed):
        cluster.train(*others, without=(late,))
        closed = cluster.blocks_until(RoundClosed)
        cluster.block()
    asked = []

    async def give(outcome: Outcome) -> OuterState | None:
        asked.append(outcome)
        model = others[0].outcomes.model
        assert model is not None
        late.outcomes.models.save(model, closed.round, outcome.outer_root)
        return model

    late.outcomes.fetch_checkpoint = give
    cluster.served.add("aggregates")
    cluster.fetched.clear()
    assert late.attend() and roots(cluster) == {closed.outcome.outer_root}
    assert (len(asked), bool(cluster.fetched)) == ((0, True) if missed == ROUNDS_BY_AGGREGATE else (1, False))


def test_an_aggregate_that_leads_to_another_model_than_the_ledgers_is_told_and_not_trained_on(made: Make) -> None:
    """Its base is another one than the signers', or they have lied: no payloads could settle that."""
    cluster = made(3, 2)
    cluster.register()
    victim = cluster.members[2]
    cluster.train(without=(victim,))
    cluster.served.clear()
    closed = cluster.blocks_until(RoundClosed)
    model = victim.outcomes.model
    assert model is not None
    other = replace(model, weights=model.weights + np.float32(0.5))
    root = victim.learning.outcome(ZERO, other).outer_root
    for path in victim.outcomes.models.folder.iterdir():
        path.unlink()
    victim.outcomes.models.save(other, 0, root)
    cluster.served |= {"aggregates", "payloads"}
    cluster.block()
    assert not victim.attend() and not victim.is_training
    assert "round 1 gives the outer root" in victim.attendance.trouble
    assert victim.outcomes.model_root != closed.outcome.outer_root
    assert list(victim.payloads.folder.iterdir()) == [victim.payloads.path(victim.driver.work.done.payload_root)]  # type: ignore[union-attr]


def test_where_nobody_gives_the_accepted_aggregate_payloads_lead_to_the_model(made: Make) -> None:
    cluster = made(3, 2)
    cluster.register()
    late = cluster.members[2]
    cluster.train(without=(late,))
    cluster.served = {"payloads"}
    closed = cluster.blocks_until(RoundClosed)
    assert roots(cluster) == {closed.outcome.outer_root} and late.outcomes.model_round == 1
    assert len(list(late.payloads.folder.iterdir())) == 3


def test_a_validator_that_could_not_take_the_step_itself_takes_it_from_the_others(made: Make) -> None:
    """With three of four others a quorum closes the round without it."""
    cluster = made(4, 4)
    cluster.register()
    blind = cluster.members[3]
    cluster.train(without=(blind,))
    closed = cluster.blocks_until(RoundClosed)
    assert roots(cluster) == {closed.outcome.outer_root} and blind.outcomes._prepared == {}


def test_who_lacks_a_payload_waits_for_it_does_not_train_and_then_goes_on(made: Make) -> None:
    cluster = made(3, 2)
    cluster.served.clear()
    cluster.register()
    late = cluster.members[2]
    payloads = cluster.train(without=(late,))
    closed = cluster.blocks_until(RoundClosed)
    cluster.block()
    assert roots(cluster) == {closed.outcome.outer_root, late.outcomes.model_root} and len(roots(cluster)) == 2
    assert not late.is_training and not late.attend() and late.attendance.trouble
    for payload in payloads.values():
        late.payloads.put(payload)
    assert late.attend() and not late.attendance.trouble
    assert roots(cluster) == {closed.outcome.outer_root} and late.is_training


@pytest.mark.parametrize("vest_rounds", [10, 1], ids=["rounds in the state", "rounds that the ledger has released"])
def test_who_lacks_payloads_of_several_rounds_catches_up_over_all_of_them(made: Make, vest_rounds: int) -> None:
    """Such a one also joins late: it has the blocks from its peers, and asks for the payloads that they count."""
    cluster = made(3, 2, vest_rounds=vest_rounds, **SHORT)
    cluster.served.clear()
    cluster.register()
    late, others = cluster.members[2], cluster.members[:2]
    payloads = {}
    for number in (1, 2, 3):
        payloads |= cluster.train(*others, without=(late,))
        closed = cluster.blocks_until(RoundClosed)
        assert closed.round == number and late.outcomes.model_round == 0
        cluster.block()
    assert (cluster.state.round(1) is None) is (vest_rounds == 1)
    assert not late.attend() and "is missing" in late.attendance.trouble
    for payload in payloads.values():
        late.payloads.put(payload)
    assert late.attend() and roots(cluster) == {closed.outcome.outer_root} and late.outcomes.model_round == 3


class FromOthers:
    """Brings a blob from the states that another node keeps, page hashes and all."""

    def __init__(self, folder: Path, source: ModelSource) -> None:
        self.folder = folder
        self.source = source
        self.roots: list[bytes] = []

    def want(
        self, root: bytes, bytes_maximum: int, holders: tuple[bytes, ...], done: Done, size: int | None = None
    ) -> None:
        self.roots.append(root)
        data = self.source.read(root, 0, bytes_maximum)
        if data:
            (self.folder / root.hex()).write_bytes(data)
        asyncio.get_running_loop().call_soon(done, self.folder / root.hex() if data else None)

    def forget(self, root: bytes) -> None: ...


@pytest.mark.parametrize("lost", ["joined late", "lost its models"])
def test_who_is_far_behind_fetches_the_model_and_trains_in_the_next_round(made: Make, lost: str) -> None:
    cluster = made(3, 2, **SHORT)
    cluster.served.clear()
    cluster.register()
    late, others = cluster.members[2], cluster.members[:2]
    for _ in range(3):
        cluster.train(*others, without=(late,))
        closed = cluster.blocks_until(RoundClosed)
        cluster.block()
    if lost == "lost its models":
        for path in late.outcomes.models.files():
            path.unlink()
    fetcher = FromOthers(late.folder / "incoming", ModelSource(others[0].outcomes.models))
    late.outcomes.fetch_checkpoint = ModelFetch(late.outcomes.models, fetcher, lambda outcome: 3).fetch
    assert not late.is_training and late.attend() and not late.attendance.trouble
    outcome = closed.outcome
    assert set(fetcher.roots) == {
        outcome.weights_root,
        outcome.momentum_root,
        outcome.aggregate_root,
        outcome.trust_root,
    } - {ZERO}
    assert roots(cluster) == {outcome.outer_root} and late.outcomes.model_round == 3 and late.is_training
    # It is not waited for: it has to be as quick as the others.
    cluster.train(late)
    while late.identity.node not in cluster.round.committed:
        cluster.block()
    cluster.train(*others)
    closed = cluster.blocks_until(RoundClosed)
    assert roots(cluster) == {closed.outcome.outer_root}
    assert len(counted(cluster.state, cluster.state.round(4))) == 3  # type: ignore[arg-type]


def test_who_is_little_behind_fetches_what_the_round_accepted_and_the_model_only_without_it(made: Make) -> None:
    cluster = made(3, 2, **SHORT)
    cluster.served.clear()
    cluster.register()
    late = cluster.members[2]
    cluster.train(without=(late,))
    closed = cluster.blocks_until(RoundClosed)
    fetcher = FromOthers(late.folder / "incoming", ModelSource(cluster.members[0].outcomes.models))
    late.outcomes.fetch_checkpoint = ModelFetch(late.outcomes.models, fetcher, lambda outcome: 1).fetch
    assert late.attend() and fetcher.roots and roots(cluster) == {closed.outcome.outer_root}
    fetcher.roots.clear()
    cluster.served.add("aggregates")
    cluster.block()
    cluster.train()
    closed = cluster.blocks_until(RoundClosed)
    assert roots(cluster) == {closed.outcome.outer_root} and fetcher.roots == []


def test_blocks_tell_what_a_released_round_counted(made: Make) -> None:
    """A whole round, one with a payload that too few held, a void one, and one over the end of an epoch."""
    cluster = made(3, 2, vest_rounds=1, **SHORT)
    cluster.register()
    first, second, third = cluster.members
    counted_then = {}

    def note(closed: RoundClosed) -> None:
        current = cluster.state.round(closed.round)
        assert current is not None
        counted_then[closed.round] = [each.payload_root for each in counted(cluster.state, current)]
        cluster.block()

    cluster.train()
    note(cluster.blocks_until(RoundClosed))
    cluster.train(first, second)
    cluster.train(third, without=(second,))
    note(cluster.blocks_until(RoundClosed))
    counted_then[cluster.blocks_until(RoundVoid).round] = []
    cluster.block()
    for _ in range(4):
        cluster.train()
        note(cluster.blocks_until(RoundClosed))
    released = cluster.state.ledger.released_round
    assert released >= 5 and [len(counted_then[number]) for number in (1, 2, 3)] == [3, 2, 0]
    for number, expected in counted_then.items():
        assert [each.payload_root for each in payloads_of(first.store, cluster.state, number)] == expected


def test_a_validator_that_waits_for_a_payload_votes_before_the_deadline(made: Make) -> None:
    cluster = made(2, 2, **SHORT)
    cluster.register()
    cluster.train()
    while cluster.round.phase != HOLDING:
        cluster.block()
    member, current = cluster.members[0], cluster.round
    member.outcomes._held.popitem()
    for height, votes in ((current.deadline_height - HOLD_BLOCKS - 1, 0), (current.deadline_height - HOLD_BLOCKS, 1)):
        member.driver._height = height
        assert len(member.driver.inputs(member.state)) == votes


def test_an_attendance_goes_on_by_itself_until_the_model_is_here(made: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attendance, "RETRY_S", 0.01)
    cluster = made(2, 1)
    cluster.served.clear()
    cluster.register()
    late = cluster.members[1]
    payloads = cluster.train(without=(late,))
    closed = cluster.blocks_until(RoundClosed)
    adopted = asyncio.Event()
    late.attendance.adopted = adopted.set

    async def attend() -> None:
        task = asyncio.create_task(late.attendance.run())
        late.attendance.follow(late.state)
        while not late.attendance.trouble:
            await asyncio.sleep(0.005)
        assert not adopted.is_set()
        for payload in payloads.values():
            late.payloads.put(payload)
        await asyncio.wait_for(adopted.wait(), 10)
        assert not task.done()
        task.cancel()

    late.attendance.trouble = ""
    cluster.runner.run(attend())
    assert roots(cluster) == {closed.outcome.outer_root}


def test_a_model_is_told_once_also_if_nobody_waited_for_it_any_more(
    made: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that adopts it goes on when the round has overtaken who asked for it."""
    cluster = made(2, 1)
    cluster.register()
    cluster.train()
    member, told = cluster.members[0], []
    member.attendance.adopted = lambda: told.append(member.outcomes.model_round)
    while cluster.round.phase != RESULT:
        cluster.block()
    with monkeypatch.context() as patch:
        patch.setattr(member, "attend", lambda: False)
        closed = cluster.blocks_until(RoundClosed)
    assert member.outcomes.model_round == 0 and member.outcomes.adopt(closed.outcome) and told == []
    assert member.attend() and member.attend() and told == [1]


def test_an_attendance_leaves_what_the_round_has_overtaken(made: Make) -> None:
    """A payload that cannot be fetched must not keep the node from the next phase."""
    cluster = made(2, 1)
    cluster.register()
    cluster.train()
    member = cluster.members[0]
    while cluster.round.phase != HOLDING:
        cluster.block()
    asked: list[int] = []

    async def never(claimed: object) -> None:
        asked.append(1)
        await asyncio.Event().wait()

    member.outcomes.check = never  # type: ignore[method-assign, assignment]
    member.outcomes._held.clear()

    async def attend() -> None:
        task = asyncio.create_task(member.attendance.run())
        member.attendance.follow(member.state)
        while not asked:
            await asyncio.sleep(0)
        draft = member.state.fork()
        draft.put(round_key(1), replace(cluster.round, phase=CLOSED))
        member.attendance.follow(draft)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(asked) == 2 and not task.done() and len(asyncio.all_tasks()) <= 3
        task.cancel()

    cluster.runner.run(attend())
