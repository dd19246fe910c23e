"""A browser for `make test-browser`: one of this machine, or playwright's own, installed if there is none."""

import subprocess
import sys

from tests.explorer.browser import NAMES, find_browser

HELP = f"""No browser could be installed. Install Chromium as your system does it (apt-get install chromium, dnf install
chromium, brew install --cask chromium), so that one of {", ".join(NAMES)} is found, and run make test-browser again."""


def main() -> int:
    if find_browser() is None:
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)
    found = find_browser()
    print(HELP if found is None else f"Browser: {found}", file=sys.stderr if found is None else sys.stdout)
    return 1 if found is None else 0


if __name__ == "__main__":
    sys.exit(main())
