"""Measuring a model never holds up a round: it goes on in parts, whatever is done with the model in between."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from node.measuring import Measuring  # noqa: E402
from node.trainer_messages import Validate, Validated  # noqa: E402
from tests.training.lab_model import LAB_MODEL  # noqa: E402
from training.birth import birth  # noqa: E402
from training.errors import CheckpointError  # noqa: E402
from training.evaluate import SEQUENCES_PER_PASS, validation_loss  # noqa: E402
from training.model import NeuroLLM, load_flat  # noqa: E402

WEIGHTS = {name: birth(LAB_MODEL, bytes([number]) * 32) for number, name in enumerate(("a", "b", "c"))}
HELD_OUT = np.random.default_rng(3).integers(0, LAB_MODEL.vocabulary, 4_000).astype(np.uint16)


def base(path: Path) -> np.ndarray:
    if path.name not in WEIGHTS:
        raise CheckpointError(f"checkpoint {path} is missing")
    return WEIGHTS[path.name]


@pytest.fixture
def measuring() -> Measuring:
    return Measuring(NeuroLLM(LAB_MODEL), HELD_OUT, base)


def loss_of(name: str) -> float:
    model = NeuroLLM(LAB_MODEL)
    load_flat(model, WEIGHTS[name])
    return validation_loss(model, HELD_OUT)


def all_of(measuring: Measuring) -> list[Validated]:
    found = []
    while measuring:
        if (validated := measuring.go_on()) is not None:
            found.append(validated)
    return found


def test_parts_add_up_to_the_loss_of_the_whole(measuring: Measuring) -> None:
    assert len(HELD_OUT) // LAB_MODEL.context > SEQUENCES_PER_PASS  # There is more than one part.
    measuring.ask(Validate(7, "a"))
    assert all_of(measuring) == [Validated(7, loss_of("a"))]


def test_a_round_in_the_middle_of_it_changes_nothing(measuring: Measuring) -> None:
    measuring.ask(Validate(7, "a"))
    assert measuring.go_on() is None
    load_flat(measuring.model, WEIGHTS["c"])
    measuring.disturbed()
    assert all_of(measuring) == [Validated(7, loss_of("a"))]


def test_a_model_that_is_gone_is_passed_over(measuring: Measuring) -> None:
    measuring.ask(Validate(6, "gone"))
    measuring.ask(Validate(7, "b"))
    assert all_of(measuring) == [Validated(7, loss_of("b"))]


def test_a_damaged_model_is_told(measuring: Measuring, tmp_path: Path) -> None:
    (tmp_path / "damaged").write_bytes(b"x")
    measuring.ask(Validate(6, str(tmp_path / "damaged")))
    with pytest.raises(CheckpointError):
        measuring.go_on()
    assert not measuring


def test_models_that_wait_press_from_the_second_on_and_come_in_their_order(measuring: Measuring) -> None:
    assert not measuring and not measuring.is_pressing
    measuring.ask(Validate(5, "c"))
    assert measuring and measuring.is_pressing  # The first of all is measured at once.
    assert all_of(measuring) == [Validated(5, loss_of("c"))]
    measuring.ask(Validate(6, "a"))
    assert measuring and not measuring.is_pressing
    measuring.ask(Validate(7, "b"))
    assert measuring.is_pressing
    assert all_of(measuring) == [Validated(6, loss_of("a")), Validated(7, loss_of("b"))]
