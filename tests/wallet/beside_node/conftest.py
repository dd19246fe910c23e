"""One node for all files of this folder, which one worker runs: `SHARING` in tests/conftest.py."""

from collections.abc import Iterator

import pytest

from tests.wallet.beside_node.life import Life, a_life


@pytest.fixture(scope="session")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    with a_life(tmp_path_factory.mktemp("life")) as found:
        found.earned(5_000_000)  # what transfers and their fees take
        found.calm()
        yield found
