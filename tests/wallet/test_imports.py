"""The wallet runs where no node could: without tensors, servers and databases, and without the other packages."""

import ast
import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path

import wallet

ROOT = Path(__file__).parents[2]
ABSENT = ("torch", "numpy", "aiohttp", "plyvel", "lmdb", "pyarrow", "pydantic", "uvloop", "psutil", "tokenizers")
OURS = ("node", "network", "training", "consensus")
PROGRAM = """
import importlib, os, sys
for name in {strangers}:
    sys.modules[name] = None
for name in {modules}:
    importlib.import_module(name)
print(len({modules}), *sorted(name for name in {strangers} if sys.modules.get(name) is not None))
"""


def modules() -> list[str]:
    return ["wallet", *(each.name for each in pkgutil.walk_packages(wallet.__path__, "wallet."))]


def test_every_module_imports_where_nothing_of_a_node_is_installed() -> None:
    found = modules()
    assert {"wallet.keys", "wallet.folder", "wallet.signing", "wallet.nonces", "wallet.transaction_file"} <= set(found)
    program = PROGRAM.format(strangers=repr(ABSENT + OURS), modules=repr(found))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stdout.split() == [str(len(found))], done.stderr


def test_no_module_hides_such_an_import_in_a_function() -> None:
    for path in sorted((ROOT / "wallet").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & {*ABSENT, *OURS}, path


def test_the_contract_of_imports_forbids_the_same() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [contract] = [
        each for each in contracts if each["source_modules" if "source_modules" in each else "name"] == ["wallet"]
    ]
    assert {"consensus", "network", "training", "torch", "numpy", "aiohttp", "plyvel", "lmdb"} == set(
        contract["forbidden_modules"]
    )


def test_a_secret_is_never_logged_because_nothing_is() -> None:
    """The core has no logger and prints nothing: whatever is said goes through an error or an answer."""
    core = [path for path in (ROOT / "wallet").glob("*.py") if path.name not in ("session.py", "registry.py")]
    for path in core:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            assert "logging" not in names, path
            assert not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"), path
