"""What the tests of the benches share."""

import pytest

from tests.torch_absence import HAS_TORCH


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Small products gain nothing from threads, and on a busy machine these wait for one another."""
    if HAS_TORCH:
        import torch

        torch.set_num_threads(1)
