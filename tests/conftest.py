"""How the tests are spread over two processes by `make test`."""

from pathlib import Path

import pytest

NODE_TESTS = Path(__file__).parent / "node"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the node's tests together: they share one life of real processes, which is worth living only once."""
    for item in items:
        if NODE_TESTS in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("node"))
