"""What the tests of training share: tokens that can be learned and a loop that is ready to start."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.torch_absence import HAS_TORCH
from tests.training.lab_model import LAB_MODEL, LAB_SPEC
from training.birth import birth
from training.draw import draw_batch

if TYPE_CHECKING:
    from training.inner import InnerLoop

SEED = bytes(range(32))
MIX, NODE = b"\x01" * 32, b"\x02" * 32


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Equal bits are promised for one number of threads."""
    if HAS_TORCH:
        import torch

        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def born() -> NDArray[np.float32]:
    """The newborn lab model."""
    return birth(LAB_MODEL, SEED)


@pytest.fixture(scope="session")
def lab_tokens() -> NDArray[np.uint16]:
    """5000 tokens with something to learn: each is followed by one of two."""
    choices = np.random.default_rng(7).integers(0, 2, 5000)
    tokens = np.zeros(5000, dtype=np.uint16)
    for index in range(1, 5000):
        tokens[index] = (int(tokens[index - 1]) * 3 + 1 + choices[index]) % 64
    return tokens


@pytest.fixture
def loop(born: NDArray[np.float32]) -> "InnerLoop":
    """A started inner loop of the lab model."""
    from training.inner import InnerLoop
    from training.model import NeuroLLM

    fresh = InnerLoop(NeuroLLM(LAB_MODEL), LAB_SPEC)
    fresh.start(born)
    return fresh


@pytest.fixture
def draw(lab_tokens: NDArray[np.uint16]) -> Callable[[int], NDArray[np.int64]]:
    """The batches of one node in one round."""
    return lambda step: draw_batch(lab_tokens, MIX, NODE, step, LAB_SPEC.sequences, LAB_SPEC.length)
