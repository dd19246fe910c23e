"""The ledger's model cannot be had: what is tried again and when, and that people are told."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from chain.receipts import RoundClosed, RoundVoid
from chain.state import RESULT
from node.attendance import Attendance
from node.counted import Closed, Counted
from node.errors import ModelDiffers, StoreError
from node.outcomes import Outcomes
from tests.node.many_nodes import Cluster

SHORT = {"train_blocks": 8, "reveal_blocks": 4, "hold_blocks": 10, "result_blocks": 4}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    found = Cluster(tmp_path, 2, 1, **SHORT)
    found.register()
    yield found
    found.close()


def test_a_model_that_differs_is_computed_again_in_the_next_round_and_not_with_every_block(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    late, tried = cluster.members[1], []

    def differs(self: Outcomes, state: object) -> None:
        tried.append(state)
        raise ModelDiffers("round 1 gives another root")

    cluster.train(without=(late,))
    cluster.served.clear()
    with monkeypatch.context() as patch:
        patch.setattr(late.outcomes, "restore", differs.__get__(late.outcomes))
        cluster.blocks_until(RoundClosed)
        cluster.block()
        tried.clear()
        first = cluster.round.number
        late.attendance._differed = None
        for _ in range(4):
            assert not late.attend()
        assert len(tried) == 1 and "another root" in late.attendance.trouble
        cluster.blocks_until(RoundVoid)
        cluster.block()
        while cluster.round.number == first:
            cluster.block()
        late.attend()
        assert len(tried) == 2
    cluster.served |= {"aggregates", "payloads"}
    cluster.blocks_until(RoundVoid)
    cluster.block()
    assert late.attend() and not late.attendance.trouble


def test_blocks_do_not_hurry_who_tries_again(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each try reads and hashes all model files: with a try a block a node would do little else."""
    late, tried = cluster.members[1], []
    cluster.train(without=(late,))
    cluster.served.clear()
    cluster.blocks_until(RoundClosed)
    cluster.block()

    async def in_vain(self: Attendance, state: object) -> bool:
        tried.append(state)
        return False

    monkeypatch.setattr(Attendance, "_catch_up", in_vain)
    monkeypatch.setattr("node.attendance.RETRY_S", 60.0)

    async def attend() -> None:
        task = asyncio.create_task(late.attendance.run())
        for _ in range(20):
            late.attendance.follow(late.state)
            await asyncio.sleep(0)
            await asyncio.sleep(0.002)
        task.cancel()

    cluster.runner.run(attend())
    assert len(tried) == 1


def test_a_step_whose_file_is_gone_is_taken_anew_from_what_the_round_accepted(cluster: Cluster) -> None:
    cluster.train()
    while cluster.round.phase != RESULT:
        cluster.block()
    signer = cluster.members[0]
    for path in signer.outcomes.models.folder.glob("candidate-*"):
        path.unlink()
    closed = cluster.blocks_until(RoundClosed)
    signer.attend()
    signer.attend()
    assert signer.outcomes.model_root == closed.outcome.outer_root and not signer.attendance.trouble


def test_counted_bytes_that_are_no_payload_are_the_signers_lie_and_no_fault_of_this_machine(cluster: Cluster) -> None:
    member = cluster.members[0]
    root = member.payloads.put(b"no payload")
    lie = Closed(1, member.state.ledger.model, (Counted(bytes(32), root, 1),))
    model = member.outcomes.model
    assert model is not None
    with pytest.raises(ModelDiffers, match="round 1"):
        member.outcomes._step(model, lie)
    assert issubclass(ModelDiffers, StoreError)
