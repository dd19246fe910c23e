"""What a node tells people of the round under way and of the last outer step."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chain.receipts import RoundClosed
from chain.state import HOLDING, RESULT, REVEALING
from node.round_history import Measured, RoundHistory
from node.round_view import RoundView, round_view
from tests.node.lone_node import LoneNode
from tests.node.many_nodes import Cluster, Member


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Two validators and a plain trainer, all in their first round."""
    cluster = Cluster(tmp_path, 3, 2)
    cluster.register()
    yield cluster
    cluster.close()


def seen_by(member: Member, history: RoundHistory | None = None) -> RoundView:
    return round_view(member.state, member.outcomes, history or RoundHistory(member.folder / "rounds.jsonl"))


def test_who_has_proven_committed_and_revealed_stands_in_the_view(cluster: Cluster) -> None:
    judge, _, plain = cluster.members
    before = seen_by(judge)
    assert (before.round, before.phase, before.participants, before.awaited, before.parts) == (1, "training", 3, 3, ())
    cluster.train()
    cluster.block()
    parts = seen_by(judge).parts
    assert [part.node for part in parts] == sorted(member.identity.node for member in cluster.members)
    assert {part.segments for part in parts} == {4} and sum(part.is_committed for part in parts) == 1
    assert {(part.payload_bytes, part.steps, part.is_held, part.is_counted) for part in parts} == {(None,) * 4}
    while cluster.round.phase <= REVEALING:
        cluster.block()
    for member, held in ((judge, True), (plain, None)):
        view = seen_by(member)
        assert view.phase == "holding" and view.arrived == 3
        assert {(part.payload_bytes, part.steps) for part in view.parts} == {(judge.outcomes.payload_bytes, 4)}
        assert {part.is_held for part in view.parts} == {held}
    while cluster.round.phase == HOLDING:
        cluster.block()
    assert cluster.round.phase == RESULT and all(part.is_counted for part in seen_by(plain).parts)


def test_the_last_step_has_its_weights_and_the_loss_before_and_after_it(cluster: Cluster) -> None:
    member = cluster.members[2]
    history = RoundHistory(member.folder / "rounds.jsonl")
    history.add(Measured(0, 8.0, None, 0, 0))
    cluster.train()
    closed = cluster.blocks_until(RoundClosed)
    step = seen_by(member, history).last_step
    assert (step.round, step.loss_before, step.loss_after) == (1, 8.0, None)
    history.add(Measured(1, 7.5, 7.9, 100, 1))
    cluster.block()
    view = seen_by(member, history)
    step = view.last_step
    assert (step.round, step.loss_before, step.loss_after) == (closed.round, 8.0, 7.5)
    model = member.outcomes.model
    assert model is not None and step.aggregate_bytes == len(model.aggregate) > 0
    assert dict(step.weights_ppm) == {each.node: each.weight_ppm for each in model.trust if each.weight_ppm}
    assert view.round == 2 and view.parts == ()


def test_before_anybody_is_registered_there_is_no_round(tmp_path: Path) -> None:
    node = LoneNode(tmp_path)
    view = round_view(node.state, node.outcomes, RoundHistory(tmp_path / "rounds.jsonl"))
    assert (view.round, view.phase, view.parts) == (0, "none", ()) and view.last_step.round == 0
    assert view.last_step.loss_before is None and view.last_step.aggregate_bytes == 0
