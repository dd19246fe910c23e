"""Is the protocol safe on paper? Let spin look at every state of the vote rules, and at broken ones, which must fail.

    python -m tests.model             # all
    python -m tests.model gap twice   # those with one of these words in their name

Status 1 if a case does not end as it should, 2 if a program is missing. docs/model.md says what is modelled.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

MODEL = Path(__file__).with_name("simplex.pml")
MEMORY_MIB = 8_000
COMPILE = ("gcc", "-O2", "-w", "-DSAFETY", "-DNOFAIR", f"-DMEMLIM={MEMORY_MIB}")
VIEWS = 3
LIMIT_S = 3_600
HOLDS, FORKS, BOTH, POSSIBLE = "holds", "two final blocks beside each other", "a view final and given up", "possible"


@dataclass(frozen=True, slots=True)
class Case:
    """A variant of the model. `ends`: what the search has to end with."""

    name: str
    flags: tuple[str, ...]
    ends: tuple[str, ...]


CASES = (
    Case("the rules as they are", (), (HOLDS,)),
    Case("the epoch's last block at height 1 is proposed again", ("LAST=1",), (HOLDS,)),
    Case("the epoch's last block at height 2 is proposed again", ("LAST=2",), (HOLDS,)),
    Case("bug: half of the votes are a quorum", ("HALF",), (FORKS, BOTH)),
    Case("bug: two of four are dishonest", ("TWO_LIARS",), (FORKS, BOTH)),
    Case("bug: no gap rule", ("NO_GAP",), (FORKS,)),
    Case("bug: no gap rule, the last block at height 1", ("NO_GAP", "LAST=1"), (FORKS,)),
    Case("bug: FINALIZE after NULLIFY", ("NULLIFIED_TOO",), (FORKS, BOTH)),
    Case("bug: NULLIFY after FINALIZE", ("FINALIZED_TOO",), (FORKS, BOTH)),
    Case("bug: two NOTARIZE in a view", ("TWICE",), (FORKS,)),
    Case("bug: FINALIZE without a notarization", ("UNSEEN",), (FORKS, BOTH)),
    Case("claim: a block of each view is final", ("CLAIM=1",), (POSSIBLE,)),
    Case("claim: a notarized block is passed over where its view was given up", ("CLAIM=2",), (POSSIBLE,)),
    Case("claim: a final block stands on one whose view was given up", ("CLAIM=3",), (POSSIBLE,)),
    Case("claim: a block is final before the one below it", ("CLAIM=4",), (POSSIBLE,)),
    Case("claim: the last block is final where it was proposed again", ("CLAIM=5", "LAST=1"), (POSSIBLE,)),
)


@dataclass(frozen=True, slots=True)
class Found:
    """How the search ended."""

    end: str
    states: int
    mib: float
    seconds: float  # of the processor, so that other work does not count
    votes: str  # of the shortest way to a failure


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    missing = [program for program in ("spin", "gcc") if shutil.which(program) is None]
    if missing:
        print(f"The model checker needs {' and '.join(missing)}; on Debian or Ubuntu: apt-get install spin gcc")
        return 2
    wrong = 0
    print("| case | ends with | votes in it | states | MiB | CPU s |\n|---|---|---|---|---|---|")
    for case in CASES:
        if options.words and not any(word in case.name for word in options.words):
            continue
        found = search(case)
        wrong += found.end not in case.ends
        mark = "" if found.end in case.ends else "**WRONG** "
        figures = f"{found.states:,} | {found.mib:,.0f} | {found.seconds:.0f}"
        print(f"| {case.name} | {mark}{found.end} | {found.votes} | {figures} |", flush=True)
    return int(wrong > 0)


def search(case: Case) -> Found:
    """Every state if the case has to hold; breadth first, up to the nearest failure, if not."""
    flags = [f"-D{flag}" for flag in case.flags]
    is_safe = case.ends == (HOLDS,)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(MODEL, folder)
        run(["spin", "-a", *flags, MODEL.name], folder)
        run([*COMPILE, *([] if is_safe else ["-DBFS"]), "-o", "pan", "pan.c"], folder)
        began = getrusage(RUSAGE_CHILDREN).ru_utime
        text = run(["./pan", "-n", "-w24", *(["-m1000"] if is_safe else [])], folder)
        seconds = getrusage(RUSAGE_CHILDREN).ru_utime - began
        errors = figure(r"errors: (\d+)", text)
        if errors == 0 and ("Search not completed" in text or "max search depth" in text):
            raise SystemExit(f"{case.name}: the search did not reach everything:\n{text}")
        votes = ""
        if errors:
            trail = run(["spin", "-t", *flags, MODEL.name], folder)
            votes = ", ".join(told(trail))
        return Found(end_of(case, text), int(figure(r"(\S+) states, stored", text)), memory(text), seconds, votes)


def end_of(case: Case, text: str) -> str:
    violated = re.search(r"assertion violated\s+(.*)", text)
    if violated is None:
        return HOLDS if figure(r"errors: (\d+)", text) == 0 else "another failure"
    if violated[1].startswith("0"):
        return FORKS
    return POSSIBLE if any(flag.startswith("CLAIM") for flag in case.flags) else BOTH


def told(trail: str) -> list[str]:
    """The votes of the last state of a trail, counted."""
    votes = [int(value) for value in re.findall(r"votes\[\d\] = (\d+)", trail)][-3:]
    lines = []
    for view in range(1, VIEWS + 1):
        for bit, word in enumerate(("NOTARIZE {}a", "NOTARIZE {}b", "FINALIZE {}a", "FINALIZE {}b", "NULLIFY {}")):
            count = sum(each >> (5 * (view - 1) + bit) & 1 for each in votes)
            if count:
                lines.append(f"{count} {word.format(view)}")
    return lines


def figure(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    if found is None:
        raise SystemExit(f"the checker said something else than expected:\n{text}")
    return float(found[1])


def memory(text: str) -> float:
    return figure(r"(\S+)\s+total actual memory usage", text)


def run(command: list[str], folder: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if done.returncode and command[0] != "./pan":
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
