"""Second moments on a trainer's disk: found by the root that the ledger names, or the round begins fresh."""

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from chain.block import Proof
from chain.crypto.hashing import ZERO
from chain.genesis import Network
from chain.state import NodeRecord, node_key
from node import averages as kept
from node.averages import AveragesStore, averages_root
from node.counted import Counted
from node.errors import TrainerError
from node.failpoints import MOMENTS, arm
from node.outcomes import Claimed
from node.threads import Threads
from node.trainer_main import TrainerProcess, TrainerSettings
from node.trainer_messages import BegunFresh, RoundDone, SegmentDone, Train, TrainerEvent
from tests.node.lone_node import IDENTITY, LoneNode, named, tiny_network
from training.checkpoint import Averages
from training.errors import CheckpointError
from training.inner import InnerLoop
from training.model import NeuroLLM

SIZE, SEGMENTS = 8, 4


def averages_of(number: int) -> Averages:
    v = np.full(SIZE, number, dtype=np.float32)
    return Averages(v, 10 * number, number, averages_root(v))


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("averages-*"))


# ---- The files


def test_kept_averages_are_found_by_root_and_age(tmp_path: Path) -> None:
    store, one = AveragesStore(tmp_path, SIZE), averages_of(1)
    store.keep(one, ZERO)
    found = store.find(one.root, one.steps)
    assert found is not None and np.array_equal(found.v, one.v) and (found.steps, found.root) == (10, one.root)
    assert store.find(ZERO, 0) is None


def test_what_is_not_here_or_has_another_age_is_an_error_in_words(tmp_path: Path) -> None:
    store, one = AveragesStore(tmp_path, SIZE), averages_of(1)
    with pytest.raises(CheckpointError, match="are not in"):
        store.find(one.root, one.steps)
    store.keep(one, ZERO)
    with pytest.raises(CheckpointError, match="averages of 10 steps, the ledger knows 11"):
        store.find(one.root, 11)
    [path] = files(tmp_path)
    path.rename(path.with_name(path.name.replace(one.root.hex(), averages_of(2).root.hex())))
    with pytest.raises(CheckpointError, match="holds averages of"):
        store.find(averages_of(2).root, one.steps)


def test_three_rounds_are_kept_and_those_that_the_ledger_names(tmp_path: Path) -> None:
    store, named = AveragesStore(tmp_path, SIZE), averages_of(2).root
    for number in range(1, 13):  # From 10 on a name is longer.
        store.keep(averages_of(number), named)
    assert {int(path.name.split("-")[1]) for path in files(tmp_path)} == {2, 10, 11, 12}
    store.keep(averages_of(13), averages_of(12).root)
    assert {int(path.name.split("-")[1]) for path in files(tmp_path)} == {11, 12, 13} and kept.KEPT == 3


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_disk_that_fails_is_told_and_costs_no_older_averages(tmp_path: Path, moment: str) -> None:
    store, one = AveragesStore(tmp_path, SIZE), averages_of(1)
    store.keep(one, ZERO)
    arm(f"averages.{moment}=enospc")
    try:
        with pytest.raises(CheckpointError, match="cannot write"):
            store.keep(averages_of(2), one.root)
    finally:
        arm(None)
    assert store.find(one.root, one.steps) is not None
    store.keep(averages_of(3), one.root)
    assert not [path for path in files(tmp_path) if path.suffix == ".partial"]


def test_a_folder_in_the_place_of_an_old_file_is_told_in_words(tmp_path: Path) -> None:
    store = AveragesStore(tmp_path, SIZE)
    (tmp_path / f"averages-0-{'00' * 32}.safetensors").mkdir()
    for number in (1, 2):
        store.keep(averages_of(number), averages_of(1).root)
    with pytest.raises(TrainerError, match="cannot use"):
        store.keep(averages_of(3), averages_of(1).root)


# ---- Rounds of a real trainer


@dataclass
class Training:
    """A lone node's ledger and driver with a real trainer, in this process; `said` is all that it said."""

    folder: Path
    said: list[TrainerEvent] = field(default_factory=list)
    network: Network = field(default_factory=tiny_network)

    def __post_init__(self) -> None:
        self.node = LoneNode(self.folder, self.network)
        (self.folder / "network").write_bytes(self.node.network.file_bytes())
        (self.folder / "work").mkdir()
        self.restart()
        self.node.register()

    def restart(self) -> None:
        """Another life of the trainer."""
        settings = TrainerSettings(self.folder, IDENTITY.node, "cpu", 1)
        process = self.process = TrainerProcess(settings, self._hear)
        process.threads = Threads(1)
        tokens = np.random.default_rng(1).integers(0, 64, 2_000).astype(np.uint16)
        process.corpus = cast(Any, SimpleNamespace(train=tokens))
        process.model = NeuroLLM(process.learning.model)
        process.loop = InnerLoop(process.model, process.learning.inner)

    def _hear(self, event: TrainerEvent) -> None:
        self.said.append(event)
        match event:
            case SegmentDone():
                self.node.driver.add_segment(event)
            case RoundDone():
                self.node.driver.add_payload(event)

    @property
    def command(self) -> Train:
        """What the node asked for last."""
        return [each for each in self.node.asked if isinstance(each, Train)][-1]

    @property
    def record(self) -> tuple[bytes, int]:
        record = self.node.state.need(NodeRecord, node_key(self.node.driver.node))
        return record.averages_root, record.averages_steps

    def first_proof(self) -> Proof:
        return self.node.driver.proofs(self.node.state, self.node.view.tip.time_ms + 10)[0]

    def train(self) -> RoundDone:
        """What the node asked for last."""
        self.process.train(self.command)
        done = self.node.driver.work.done
        assert done is not None and (done.round, done.segments) == (self.command.round, SEGMENTS)
        return done

    def close(self, done: RoundDone) -> None:
        """Prove, commit, reveal and close the round; the next one trains."""
        node, path = self.node, sum(segment.distance for segment in self.node.driver.work.segments)
        asyncio.run(node.outcomes.check(Claimed(done.payload_root, done.payload_bytes, path)))
        counted = Counted(node.driver.node, done.payload_root, done.segments * node.network.params.segment_steps)
        asyncio.run(node.outcomes.prepare(done.round, [counted]))
        node.block()
        assert node.state.ledger.closed_rounds == done.round
        node.block()
        assert self.command.round == done.round + 1

    @property
    def fresh(self) -> list[str]:
        """Why rounds began without the averages that the ledger named."""
        return [event.reason for event in self.said if isinstance(event, BegunFresh)]

    def kept(self) -> list[Path]:
        return files(self.folder / "work")


@pytest.fixture
def training(tmp_path: Path) -> Training:
    return Training(tmp_path / "node")


def test_rounds_go_on_with_the_averages_that_the_round_before_ended_with(training: Training) -> None:
    assert (training.command.averages_root, training.command.averages_steps) == (ZERO, 0)
    for number in (1, 2, 3):
        base = training.node.round.base
        root, age = training.record
        assert (training.command.averages_root, training.command.averages_steps) == (root, age)
        assert age == SEGMENTS * (number - 1)
        done = training.train()
        assert training.first_proof().state_before == base.carried_state(root)
        training.close(done)
        assert training.record == (done.v_root, age + SEGMENTS) and done.v_root not in (root, ZERO)
    assert training.fresh == []
    store = training.process.averages
    newest = store.find(*training.record)
    assert newest is not None and newest.round == 3


def test_the_carried_averages_change_what_is_learned(training: Training) -> None:
    training.close(training.train())
    carried = training.train().theta_root
    for path in training.kept():
        path.unlink()
    (training.folder / "work" / "round-2.jsonl").unlink()
    training.node.driver.work.segments.clear()
    assert training.train().theta_root != carried and len(training.fresh) == 1


@pytest.mark.parametrize("loss", ["missing", "cut", "flipped", "emptied", "folder"])
def test_lost_or_damaged_averages_give_a_fresh_round_and_people_are_told(training: Training, loss: str) -> None:
    training.close(training.train())
    [path] = training.kept()
    content = bytearray(path.read_bytes())
    content[-3] ^= 4
    path.unlink()
    match loss:
        case "folder":
            path.mkdir()
        case "cut":
            path.write_bytes(content[:-1])
        case "flipped":
            path.write_bytes(content)
        case "emptied":
            path.write_bytes(b"")
    base, before = training.node.round.base, training.record
    done = training.train()
    assert len(training.fresh) == 1 and before[1] == SEGMENTS
    assert training.first_proof().state_before == base.start_state != base.carried_state(before[0])
    training.close(done)
    assert training.record == (done.v_root, SEGMENTS)
    done = training.train()
    assert training.first_proof().state_before == training.node.round.base.carried_state(training.record[0])
    training.close(done)
    assert training.record[1] == 2 * SEGMENTS and len(training.fresh) == 1


def test_a_trainer_that_dies_in_a_carried_round_goes_on_with_what_it_began_with(training: Training) -> None:
    """Also when the averages are gone by then: the state on disk has all that is needed, the age as well."""
    training.close(training.train())
    whole = training.train()
    lines = (training.folder / "work" / "round-2.jsonl").read_bytes().splitlines(keepends=True)
    began = training.record
    # As a kill after the third segment leaves it: the state of the fourth lies over that of the second.
    (training.folder / "work" / "round-2.jsonl").write_bytes(b"".join(lines[:3]))
    for path in training.kept():
        path.unlink()
    training.restart()
    training.node.driver.work.segments.clear()
    again = training.train()
    assert again == whole and training.fresh == []
    assert training.first_proof().state_before == training.node.round.base.carried_state(began[0])
    training.close(again)
    assert training.record == (whole.v_root, 2 * SEGMENTS)


def test_a_round_without_our_reveal_is_followed_by_one_with_the_older_averages(training: Training) -> None:
    training.close(training.train())
    before = training.record
    missed = training.train()
    training.node.driver.work.segments.clear()
    while training.node.state.ledger.round == 2 or training.command.round == 2:
        training.node.block()
    assert training.record == before and len(training.kept()) == 2
    done = training.train()
    assert missed.v_root != done.v_root and training.fresh == []
    assert training.first_proof().state_before == training.node.round.base.carried_state(before[0])


def test_a_start_that_the_ledger_would_not_take_is_not_proven(training: Training) -> None:
    training.train()
    segments = training.node.driver.work.segments
    segments[:] = [replace(each, averages_root=named("another chain's")) for each in segments]
    assert training.node.driver.proofs(training.node.state, training.node.view.tip.time_ms + 10) == []
