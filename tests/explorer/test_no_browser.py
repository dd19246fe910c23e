"""A machine without a browser is told so, loudly, and `make test-browser` is not content with it."""

import os
import subprocess
import sys
from pathlib import Path

from tests.explorer.browser import NAMES, WANTED

ROOT = Path(__file__).parents[2]


def run_without_browser(tmp_path: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """One test of a browser, with a PATH and a folder of playwright that have none."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", WANTED))}
    surroundings = {**clean, "PATH": str(tmp_path), "PLAYWRIGHT_BROWSERS_PATH": str(tmp_path), **more}
    wanted = "tests/explorer/test_browser_pages.py::test_without_scripts_a_page_says_where_the_facts_are"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", wanted]
    return subprocess.run(command, cwd=ROOT, env=surroundings, capture_output=True, text=True, check=False)


def test_where_no_browser_is_found_the_summary_says_so_loudly(tmp_path: Path) -> None:
    ended = run_without_browser(tmp_path)
    assert ended.returncode == 0, ended.stdout
    assert "NO BROWSER: 1 tests of the explorer did not run. `make test-browser` runs them" in ended.stdout


def test_where_a_browser_must_be_there_its_absence_is_a_failure(tmp_path: Path) -> None:
    ended = run_without_browser(tmp_path, **{WANTED: "must"})
    assert ended.returncode == 1 and f"none of {', '.join(NAMES)} was found" in ended.stdout
