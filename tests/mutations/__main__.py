"""Do the tests bite? Put each bug of tests/mutations/entries.py into a copy of the tree, and see which test finds it.

    python -m tests.mutations                   # all, and write docs/results/mutations.md
    python -m tests.mutations float doubles     # those with one of these words in their name; writes nothing

Status 1 if a bug stays unseen, or a test fails without any.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.mutations.edits import Edit, Mutation
from tests.mutations.entries import MUTATIONS

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs/results/mutations.md"
LIMIT_S = 900
FAILURE = re.compile(r"^(?:FAILED|ERROR) (\S+?\.py(?:::\S+)?)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Outcome:
    mutation: Mutation
    caught_by: str  # empty: it stayed unseen
    seconds: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    chosen = [m for m in MUTATIONS if not options.words or any(word in m.name for word in options.words)]
    for edit in (edit for mutation in chosen for edit in mutation.edits):
        edited((ROOT / edit.file).read_text(), edit)  # better now than after an hour
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        copy_tree(tree)
        failing = unsound(tree, chosen)
        outcomes = [tried(tree, mutation, failing) for mutation in chosen]
    print(table(outcomes))
    if failing:
        print("\nthese fail without any bug, so they were left out, and nothing is written:", *failing, sep="\n  ")
    elif not options.words:
        RESULTS.write_text(report(outcomes))
    return int(bool(failing) or any(not outcome.caught_by for outcome in outcomes))


def copy_tree(target: Path) -> None:
    """All files of the working tree that git knows or would take."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    where = [sys.executable, "-c", "import chain; print(chain.__file__)"]
    found = subprocess.run(where, cwd=target, capture_output=True, text=True, check=True).stdout.strip()
    assert Path(found).is_relative_to(target), f"the tests would import {found} and not the copy"


def unsound(tree: Path, chosen: list[Mutation]) -> list[str]:
    """The tests that fail in the tree as it is, of the files that are to catch the bugs."""
    files = sorted({test.partition("::")[0] for mutation in chosen for test in mutation.tests})
    print(f"{len(chosen)} bugs, {len(files)} files of tests; first without any bug …", flush=True)
    return sorted(set(run_tests(tree, files, ["-n", "2", "--dist", "loadfile"])))


def run_tests(tree: Path, files: list[str], options: list[str]) -> list[str]:
    """The failing tests."""
    command = [sys.executable, "-m", "pytest", "-q", "-rfE", "--tb=no", "-p", "no:cacheprovider", *options]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"COLUMNS": "1000", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [*command, *files], cwd=tree, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    failed = FAILURE.findall(done.stdout)
    assert failed or done.returncode == 0, f"pytest ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return failed


def tried(tree: Path, mutation: Mutation, left_out: list[str]) -> Outcome:
    """One bug, put in, looked for and taken out again."""
    began = time.monotonic()
    before = {edit.file: (tree / edit.file).read_text() for edit in mutation.edits}
    for edit in mutation.edits:
        (tree / edit.file).write_text(edited((tree / edit.file).read_text(), edit))
    try:
        failed = run_tests(tree, list(mutation.tests), ["-x", *(f"--deselect={test}" for test in left_out)])
    finally:
        for file, text in before.items():
            (tree / file).write_text(text)
    seen = [test for test in failed if test not in left_out]  # a file that cannot be read is not to be deselected
    outcome = Outcome(mutation, seen[0] if seen else "", time.monotonic() - began)
    print(f"{mutation.name}: {outcome.caught_by or 'UNSEEN'} ({outcome.seconds:.0f} s)", flush=True)
    return outcome


def edited(text: str, edit: Edit) -> str:
    """The text with the bug. The place must be there, once."""
    found = text.count(edit.old)
    if found != 1:
        raise SystemExit(f"{edit.file}: the text to change stands there {found} times, 1 is wanted:\n{edit.old}")
    return text.replace(edit.old, edit.new)


# ---- What is written


def table(outcomes: list[Outcome]) -> str:
    rows = ["| injected bug | in | found by |", "|---|---|---|"]
    for outcome in outcomes:
        files = ", ".join(f"`{name}`" for name in dict.fromkeys(edit.file for edit in outcome.mutation.edits))
        file, _, test = outcome.caught_by.partition("::")
        rule = test.removeprefix("test_").replace("_", " ")
        found = f"`{Path(file).name}`: {rule}" if outcome.caught_by else "**nothing**"
        rows.append(f"| {outcome.mutation.name} | {files} | {found} |")
    return "\n".join(rows)


def report(outcomes: list[Outcome]) -> str:
    caught = sum(bool(outcome.caught_by) for outcome in outcomes)
    return f"""# Injected bugs

`python -m tests.mutations` puts one bug at a time into a copy of the tree and runs the tests that should see it, until
the first one fails. All of them pass without a bug. Found: {caught} of {len(outcomes)}.

{table(outcomes)}
"""


if __name__ == "__main__":
    sys.exit(main())
