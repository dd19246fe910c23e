"""`python -m node.doctor [DATA_DIR]`: the checks where not even the command line's packages are installed."""

import signal
import sys
from pathlib import Path

from node.doctor.checks import examine, exit_status, words
from node.doctor.finding import Finding, Place


def main() -> None:
    """Print the findings; end with status 1 if something prevents running."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` is no error
    directory = Path(sys.argv[1] if len(sys.argv) > 1 else "~/.neuroshard").expanduser().absolute()
    findings: list[Finding] = []
    for name, finding in examine(Place(directory)):
        findings.append(finding)
        print(words(name, finding), flush=True)
    sys.exit(exit_status(findings))


if __name__ == "__main__":
    main()
