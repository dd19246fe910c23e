"""Fuzzing led by coverage: inputs that reach new lines of chain/ and consensus/ are kept and changed further.

    python -m pip install --require-hashes --no-deps -r requirements/fuzz.txt
    python -m tests.fuzz blocks --seconds 600

The targets are those of tests/fuzz/targets.py; `all` shares the time among them. An input that breaks a promise ends
the run with its traceback, is written to the working folder as crash-…, and is repeated by naming that file as --input.

    python -m tests.fuzz blocks --seconds 600 --seed 1

needs nothing installed: choices by seeds, one after the other, several times as fast where signatures take the time.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

PACKAGES = ["chain", "consensus"]
LONGEST_BYTES = 4096


class Provided:
    """The choices that lie in the fuzzer's input; when it is used up, all choices are the first."""

    def __init__(self, provider: Any) -> None:
        self.provider = provider

    def below(self, limit: int) -> int:
        chosen: int = self.provider.ConsumeIntInRange(0, limit - 1)
        return chosen

    def raw(self, size: int) -> bytes:
        return bytes(self.provider.ConsumeBytes(size)).ljust(size, b"\0")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", help="all, or a name of tests/fuzz/targets.py")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--input", type=Path, help="run this one input and stop")
    parser.add_argument("--seed", type=int, help="no coverage: choices of this seed and those after it")
    parser.add_argument("--corpus", type=Path, help="a folder to begin with and to keep new inputs in")
    options = parser.parse_args()
    atheris = None if options.seed is not None else _atheris()
    with nullcontext() if atheris is None else atheris.instrument_imports(include=PACKAGES):
        from tests.fuzz.targets import TARGETS
    if options.target == "all":
        sys.exit(_all(list(TARGETS), options))
    if options.target not in TARGETS:
        sys.exit(f"there is no target {options.target}: choose all, {', '.join(TARGETS)}")
    if atheris is None:
        _by_seeds(TARGETS[options.target], options.seed, options.seconds)
        return
    with tempfile.TemporaryDirectory() as folder:
        _fuzz(atheris, options, Path(folder), TARGETS[options.target])


def _atheris() -> Any:
    try:
        import atheris
    except ImportError:
        sys.exit("atheris is not installed: pip install --require-hashes --no-deps -r requirements/fuzz.txt")
    return atheris


def _by_seeds(target: Any, seed: int, seconds: int) -> None:
    """Seed after seed; the one that breaks a promise is in the last line before the traceback."""
    from tests.fuzz.mutation import Seeded

    first, end = seed, time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            target(Seeded(seed))
            seed += 1
    finally:
        print(f"seeds {first} to {seed}", flush=True)


def _all(names: list[str], options: argparse.Namespace) -> int:
    """Each target in a process of its own; the number of those that found something."""
    found = 0
    for name in names:
        print(f"\n== {name}", flush=True)
        command = [sys.executable, "-m", "tests.fuzz", name, "--seconds", str(max(1, options.seconds // len(names)))]
        command += [] if options.seed is None else ["--seed", str(options.seed)]
        found += subprocess.run(command, check=False).returncode != 0
    return found


def _fuzz(atheris: Any, options: argparse.Namespace, folder: Path, target: Any) -> None:
    def one_input(data: bytes) -> None:
        target(Provided(atheris.FuzzedDataProvider(data)))

    one_input(b"")  # builds the stages, which would count as a slow input
    corpus = options.corpus or folder
    corpus.mkdir(exist_ok=True)
    for number in range(64):
        (corpus / f"seed-{number}").write_bytes(os.urandom(16 + 16 * number))
    arguments = [str(options.input)] if options.input else [f"-max_total_time={options.seconds}", str(corpus)]
    atheris.Setup([sys.argv[0], f"-max_len={LONGEST_BYTES}", "-print_final_stats=1", *arguments], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
