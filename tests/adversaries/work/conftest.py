"""What the tests of cheats share."""

from collections.abc import Iterator

import pytest

from tests.audits.school import remembered_signatures
from tests.torch_absence import HAS_TORCH


@pytest.fixture(scope="session", autouse=True)
def _signatures_are_checked_once() -> Iterator[None]:
    with remembered_signatures():
        yield


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Equal bits are promised for one number of threads."""
    if HAS_TORCH:
        import torch

        torch.set_num_threads(1)
