"""For every test: the libraries that the environment asks for, a skip where torch is needed and absent, a loud word
where the explorer was not looked at for want of a browser, and one worker for files that share a node.
"""

import os

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from node.backends import choose
from tests.torch_absence import skip_importers

# Folders whose files share a node, or a browser: one keeps two processors busy.
SHARING = ("tests/wallet/beside_node", "tests/explorer")


class Neighbours(LoadFileScheduling):
    """A file's tests go to one worker, and so do those of a folder whose files share a node."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        folder = file.rpartition("/")[0]
        return folder if folder in SHARING else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Neighbours | None:
    return Neighbours(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_configure() -> None:
    choose(os.environ)
    skip_importers()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    left_out = [
        each for each in terminalreporter.stats.get("skipped", []) if "no Chromium was found" in each.longreprtext
    ]
    if left_out:
        words = f"NO BROWSER: {len(left_out)} tests of the explorer did not run. `make test-browser` runs them"
        terminalreporter.write_sep("!", words, red=True, bold=True)
