"""Rounds whose nodes are slow, die, come late or come back: each is counted for what it did, and holds up nobody."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chain.receipts import RoundClosed
from node.counted import closed_in
from node.past_rounds import closed_round
from node.round_driver import HOLD_BLOCKS
from node.trainer_messages import Abandon, Train
from tests.node.many_nodes import Cluster, Member

# Four segments of one step each; two are enough.
SHORT = {"train_blocks": 12, "reveal_blocks": 4, "hold_blocks": HOLD_BLOCKS + 2, "result_blocks": 4}

Make = Callable[..., Cluster]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Make]:
    clusters = []

    def make(size: int, validators: int) -> Cluster:
        clusters.append(Cluster(tmp_path, size, validators, **SHORT))
        clusters[-1].register()
        return clusters[-1]

    yield make
    for each in clusters:
        each.close()


def trained(cluster: Cluster, segments: dict[Member, int], without: tuple[Member, ...] = ()) -> RoundClosed:
    """These go so far in this round, until it has closed; to those `without` no payload comes."""
    payloads = [member.train(count) for member, count in segments.items()]
    for receiver in (member for member in cluster.members if member not in without):
        for payload in payloads:
            receiver.payloads.put(payload)
    cluster.links.run(50)
    found = cluster.blocks_until(RoundClosed)
    assert isinstance(found, RoundClosed)
    return found


def steps_of(cluster: Cluster, number: int) -> dict[bytes, int]:
    """The inner steps behind each counted payload, by node."""
    closed = closed_round(cluster.members[0].store, cluster.state, number)
    return {} if closed is None else {each.node: each.steps for each in closed.counted}


def all_have(cluster: Cluster, closed: RoundClosed) -> bool:
    return {member.outcomes.model_root for member in cluster.members} == {closed.outcome.outer_root}


@pytest.mark.parametrize(("finished", "is_counted"), [(4, True), (3, True), (2, True), (1, False)])
def test_a_slow_node_is_counted_for_the_segments_that_it_finished_from_half_on(
    made: Make, finished: int, is_counted: bool
) -> None:
    cluster = made(3, 2)
    first, second, slow = cluster.members
    closed = trained(cluster, {first: 4, second: 4, slow: finished})
    expected = {first.identity.node: 4, second.identity.node: 4} | (
        {slow.identity.node: finished} if is_counted else {}
    )
    assert steps_of(cluster, closed.round) == expected and all_have(cluster, closed)


def test_the_steps_behind_a_payload_reach_the_outer_step_of_every_node(made: Make) -> None:
    """Validators take them from the reveal, others from the ledger or its blocks: the same."""
    cluster = made(3, 2)
    closed = trained(cluster, dict(zip(cluster.members, (4, 3, 2), strict=True)))
    current = cluster.state.round(closed.round)
    assert current is not None
    for member in cluster.members:
        assert closed_in(member.state, current) == closed_round(member.store, member.state, closed.round)


def test_a_node_that_joins_while_a_round_trains_trains_in_the_next(made: Make, tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "late", 3, 2, **SHORT)
    try:
        first, second, late = cluster.members
        cluster.register(first, second)
        late.register()
        cluster.links.run(100)
        cluster.block()
        assert cluster.round.number == 1 and not late.is_training and first.is_training
        closed = trained(cluster, {first: 4, second: 4})
        assert late.identity.node not in steps_of(cluster, 1) and all_have(cluster, closed)
        cluster.block()
        assert late.is_training
        closed = trained(cluster, dict.fromkeys(cluster.members, 4))
        assert len(steps_of(cluster, 2)) == 3 and all_have(cluster, closed)
    finally:
        cluster.close()


def test_a_node_that_comes_back_while_the_round_trains_takes_part_in_it(made: Make) -> None:
    cluster = made(3, 2)
    back = cluster.members[2]
    back.start()
    assert not back.is_training
    closed_by = cluster.block()
    assert back.is_training and not any(isinstance(each, RoundClosed) for each in closed_by.receipts)
    closed = trained(cluster, dict.fromkeys(cluster.members, 4))
    assert len(steps_of(cluster, closed.round)) == 3 and all_have(cluster, closed)


def test_a_node_that_comes_back_after_its_round_has_ended_goes_on_with_the_next(made: Make) -> None:
    cluster = made(3, 2)
    first, second, dead = cluster.members
    cluster.served.clear()  # Nothing reaches it while it is dead.
    trained(cluster, {first: 4, second: 4}, without=(dead,))
    cluster.served.add("aggregates")
    dead.start()
    assert dead.outcomes.model_round == 0
    cluster.block()
    assert dead.outcomes.model_round == 1
    assert [each.round for each in dead.asked if isinstance(each, Train)] == [2]
    # Who was not there in the round before is not waited for: it has to be as quick as the slowest.
    cluster.train(dead)
    while dead.identity.node not in cluster.round.committed:
        cluster.block()
    closed = trained(cluster, {first: 4, second: 4})
    assert len(steps_of(cluster, 2)) == 3 and all_have(cluster, closed)


def test_who_dies_between_commitment_and_reveal_costs_the_time_to_reveal_and_no_more(
    made: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = made(3, 2)
    first, second, dead = cluster.members
    monkeypatch.setattr(dead.driver, "_reveal", lambda *_: [])
    closed = trained(cluster, dict.fromkeys(cluster.members, 4))
    current = cluster.state.round(closed.round)
    assert current is not None and dead.identity.node in current.committed
    assert steps_of(cluster, closed.round).keys() == {first.identity.node, second.identity.node}
    assert all_have(cluster, closed)


def test_a_trainer_is_told_to_leave_a_round_that_has_left_it_behind(made: Make) -> None:
    cluster = made(3, 2)
    first, second, slow = cluster.members
    trained(cluster, {first: 4, second: 4})
    assert any(isinstance(each, Abandon) and each.round == 1 for each in slow.asked)


def test_when_all_trainers_restart_at_once_the_round_goes_on(made: Make) -> None:
    cluster = made(3, 2)
    for member in cluster.members:
        member.start()
    cluster.block()
    assert all(member.is_training for member in cluster.members)
    closed = trained(cluster, dict.fromkeys(cluster.members, 4))
    assert closed.round == 1 and len(steps_of(cluster, 1)) == 3 and all_have(cluster, closed)
