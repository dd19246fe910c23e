"""For every test: the libraries that the environment asks for, a skip where torch is needed and absent, and a loud word
where the explorer was not looked at for want of a browser.
"""

import os

import pytest

from node.backends import choose
from tests.torch_absence import skip_importers


def pytest_configure() -> None:
    choose(os.environ)
    skip_importers()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    left_out = [each for each in terminalreporter.stats.get("skipped", []) if "/test_browser_" in each.nodeid]
    if left_out:
        words = f"NO BROWSER: {len(left_out)} tests of the explorer did not run. `make test-browser` runs them"
        terminalreporter.write_sep("!", words, red=True, bold=True)
