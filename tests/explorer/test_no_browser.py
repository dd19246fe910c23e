"""A machine without a browser is told so, loudly, and `make test-browser` is not content with it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.explorer import browser
from tests.explorer.browser import NAMES, WANTED, a_browser, is_left_out

ROOT = Path(__file__).parents[2]


def test_where_no_browser_is_found_the_summary_says_so_loudly(tmp_path: Path) -> None:
    """One test of a browser, with a PATH and a folder of playwright that have none."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", WANTED))}
    surroundings = {**clean, "PATH": str(tmp_path), "PLAYWRIGHT_BROWSERS_PATH": str(tmp_path)}
    test = tmp_path / "test_browser_alone.py"
    test.write_text("from tests.explorer.browser import needs_browser\n@needs_browser\ndef test_it(): assert False\n")
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "-p", "no:cacheprovider"]
    command += ["-p", "tests.conftest", str(test)]
    ended = subprocess.run(command, cwd=ROOT, env=surroundings, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "NO BROWSER: 1 tests of the explorer did not run. `make test-browser` runs them" in ended.stdout


async def test_where_a_browser_must_be_there_its_absence_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        is_left_out(None, {}) and not is_left_out(None, {WANTED: "must"}) and not is_left_out("/usr/bin/chromium", {})
    )
    monkeypatch.setattr(browser, "BROWSER", None)
    with pytest.raises(AssertionError, match=f"none of {', '.join(NAMES)} was found"):
        async with a_browser():
            raise AssertionError("a browser was started")
