"""The trainer process and the node's hold on it."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from node.trainer import Trainer, TrainerOptions
from node.trainer_main import RoundWatch, TrainerProcess, TrainerSettings
from node.trainer_messages import Failed, Ready, SegmentDone, Stepped, Train, TrainerEvent, Validate, WrapUp, to_line
from tests.node.lone_node import tiny_network
from training.errors import CheckpointError
from training.round import StepReport

READY = Ready("cpu", "as asked", 1, 5.0)
SEGMENT = SegmentDone(1, 0, bytes(32), 1000, 1, 0, 1, bytes(32))


def heard_by(trainer: Trainer, *events: TrainerEvent) -> str:
    """What the trainer makes of a child that says this and ends."""

    async def listen() -> str:
        reader = asyncio.StreamReader()
        reader.feed_data(b"".join(map(to_line, events)))
        reader.feed_eof()
        return await trainer._listen(cast(Any, SimpleNamespace(stdout=reader, kill=lambda: None)))

    return asyncio.run(listen())


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    return Trainer(TrainerOptions(tmp_path, bytes(32), "cpu", 1), lambda event: None)


def test_a_trainer_that_only_starts_well_is_restarted_ever_more_slowly(trainer: Trainer) -> None:
    trainer.failures = 3
    heard_by(trainer, READY)
    assert trainer.failures == 3


def test_a_finished_segment_ends_the_slowing_down(trainer: Trainer) -> None:
    trainer.failures = 3
    heard_by(trainer, READY, SEGMENT)
    assert trainer.failures == 0


def test_the_last_words_of_a_trainer_are_its_reason(trainer: Trainer) -> None:
    assert heard_by(trainer, READY, Failed("no memory")) == "no memory"


@pytest.fixture
def process(tmp_path: Path) -> TrainerProcess:
    (tmp_path / "network").write_bytes(tiny_network().file_bytes())
    return TrainerProcess(TrainerSettings(tmp_path, bytes(32), "cpu", 1), lambda event: None)


def test_a_new_round_ends_the_training_of_every_earlier_one(process: TrainerProcess) -> None:
    command = Train(3, bytes(32), "base", bytes(32), 0, bytes(32))
    process.listen([to_line(command)])
    assert process.ended_round == 2
    assert process.commands.get_nowait() == command


def test_the_end_of_the_nodes_commands_ends_the_trainer(process: TrainerProcess) -> None:
    process.listen([to_line(WrapUp(1))])
    assert process.closing and process.wrapped_round == 1 and process.commands.get_nowait() is None


def test_a_late_trainer_passes_over_rounds_that_are_gone(process: TrainerProcess, tmp_path: Path) -> None:
    gone = str(tmp_path / "model" / "outer-0.safetensors")
    process.listen(
        [
            to_line(Train(1, bytes(32), gone, bytes(32), 0, bytes(32))),
            to_line(Train(3, bytes(32), gone, bytes(32), 0, bytes(32))),
        ]
    )
    process.train(Train(2, bytes(32), gone, bytes(32), 0, bytes(32)))
    with pytest.raises(CheckpointError, match="missing"):
        process.train(
            Train(3, bytes(32), gone, bytes(32), 0, bytes(32))
        )  # This one is wanted: it must be said that it cannot be.


def test_a_round_goes_before_one_model_to_measure_and_after_two(process: TrainerProcess) -> None:
    measured: list[Validate] = []

    class Waiting:
        """Takes one look at each model."""

        def __init__(self, models: int) -> None:
            self.models = [Validate(number, "base") for number in range(models)]

        def __bool__(self) -> bool:
            return bool(self.models)

        @property
        def is_pressing(self) -> bool:
            return len(self.models) >= 2

        def go_on(self) -> None:
            measured.append(self.models.pop(0))

    command = Train(3, bytes(32), "base", bytes(32), 0, bytes(32))
    for models, first in ((1, 0), (2, 1)):
        process.commands.put(command)
        assert process._next(cast(Any, Waiting(models))) == command and len(measured) == first


def test_the_last_step_of_a_round_is_told_however_soon_it_comes(process: TrainerProcess) -> None:
    told: list[TrainerEvent] = []
    process.say = told.append
    watch = RoundWatch(process, 1, cast(Any, None), bytes(32))
    for step in range(20):
        watch.on_step(StepReport(1, step, 5.0, 0.001))
    watch.tell()
    watch.tell()
    assert [event.step for event in told if isinstance(event, Stepped)][-1] == 20
    assert sum(event == told[-1] for event in told) == 1
