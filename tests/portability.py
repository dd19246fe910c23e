"""The tests where other libraries, or another Python, do the work: `make portability`.

Each library that can stand in for a fast one is forced, then everything that needs no torch runs under the other
Python that we support, in an environment that is made for it and thrown away.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTHONS = ((3, 11), (3, 12))
LOCKS = ("run.txt", "nodeps.txt", "dev.txt")
PARALLEL = ("-n", "2", "--dist", "loadfile")
# Every hash seed, locale and year; the default run takes two.
GOLDEN = ("-m", "portability", "tests/chain/test_golden_long.py")
# py_ecc takes about a second a signature: only what is about signatures.
SIGNATURES = ("tests/chain/test_bls.py", "tests/chain/test_registration.py", "tests/consensus/test_certificate.py")


def main() -> None:
    """Run everything; status 1 if something failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", help="the other Python, if it is not found by its name")
    options = parser.parse_args()
    results = [
        tested("the ledger kept by LMDB", [*PARALLEL, "tests/node"], NEUROSHARD_STORE="lmdb"),
        tested("ECDSA by cryptography", [*PARALLEL, "tests/chain", "tests/wallet"], NEUROSHARD_ECDSA="cryptography"),
        tested("BLS by py_ecc", SIGNATURES, NEUROSHARD_BLS="py_ecc"),
        tested("without any fast library", ["-m", "portability", "tests"]),
        *other_python(options.python),
    ]
    print("\n".join(results))
    sys.exit(any("FAILED" in result for result in results))


def tested(name: str, arguments: Sequence[str], python: str = sys.executable, **variables: str) -> str:
    """One run of pytest, in a line."""
    began = time.monotonic()
    print(f"\n== {name}", flush=True)
    command = [python, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | variables, check=False)
    return f"{'ok' if done.returncode == 0 else 'FAILED'}: {name}, {time.monotonic() - began:.0f} s"


def other_python(wanted: str | None) -> list[str]:
    """Everything that needs no torch, and the golden history everywhere, under the Python that this is not."""
    [version] = [each for each in PYTHONS if each != sys.version_info[:2]]
    name = f"Python {version[0]}.{version[1]} without torch"
    python = found_python(version, wanted)
    if python is None:
        return [f"skipped: {name} (not found on this machine; name it with --python)"]
    with tempfile.TemporaryDirectory() as folder:
        inside = str(Path(folder) / "bin" / "python")
        locks = [word for lock in LOCKS for word in ("-r", str(ROOT / "requirements" / lock))]
        for command in (
            [python, "-m", "venv", folder],
            [inside, "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", *locks],
        ):
            if subprocess.run(command, check=False).returncode != 0:
                return [f"FAILED: {name}, its environment could not be made"]
        return [tested(name, [*PARALLEL, "tests"], inside), tested(f"the golden history, {name}", GOLDEN, inside)]


def found_python(version: tuple[int, int], wanted: str | None) -> str | None:
    """A Python of this version that can make environments; a shim that only prints an error does not count."""
    name = f"python{version[0]}.{version[1]}"
    versions = sorted(Path.home().glob(f".pyenv/versions/{version[0]}.{version[1]}.*/bin/python"))
    program = f"import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != {version})"
    for candidate in [wanted] if wanted else [name, *map(str, versions)]:
        try:
            if subprocess.run([candidate, "-c", program], capture_output=True, check=False).returncode == 0:
                return candidate
        except OSError:
            continue
    return None


if __name__ == "__main__":
    main()
