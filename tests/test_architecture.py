"""What keeps the code readable and the ledger deterministic, checked by reading the source."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("chain", "consensus", "network", "node", "training", "wallet")
PURE = ("chain", "consensus")
FILE_LINES, FUNCTION_LINES, PARAMETERS = 400, 50, 6


def sources(*packages: str) -> list[Path]:
    return [path for package in packages for path in sorted((ROOT / package).rglob("*.py"))]


def named(paths: list[Path]) -> dict[str, object]:
    return {"argvalues": paths, "ids": [str(path.relative_to(ROOT)) for path in paths]}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return len([argument for argument in every if argument.arg not in ("self", "cls")])


def faults_of_size(source: str) -> list[str]:
    tree = ast.parse(source)
    found = [] if len(source.splitlines()) <= FILE_LINES else [f"the file has {len(source.splitlines())} lines"]
    for function in functions(tree):
        lines = (function.end_lineno or 0) - function.lineno + 1
        if lines > FUNCTION_LINES:
            found.append(f"{function.name} has {lines} lines")
        if parameters(function) > PARAMETERS:
            found.append(f"{function.name} has {parameters(function)} parameters")
    return found


def is_set(node: ast.expr, names: Collection[str] = ()) -> bool:
    match node:
        case ast.Set() | ast.SetComp() | ast.Call(func=ast.Name(id="set" | "frozenset")):
            return True
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in names
        case ast.BinOp(left=left, op=ast.Sub() | ast.BitOr() | ast.BitAnd() | ast.BitXor(), right=right):
            return is_set(left, names) or is_set(right, names)
    return False


ORDER_FREE = {"sum", "any", "all", "min", "max", "sorted", "set", "frozenset", "len"}


def iterated(tree: ast.AST) -> Iterator[ast.expr]:
    """What a loop, a comprehension, or a call that keeps the order of its argument goes through."""
    free = {
        id(generator)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ORDER_FREE
        for argument in node.args
        if isinstance(argument, ast.GeneratorExp | ast.ListComp)
        for generator in argument.generators
    }
    for node in ast.walk(tree):
        match node:
            case ast.comprehension() if id(node) in free:
                continue
            case ast.For(iter=source) | ast.comprehension(iter=source) | ast.Starred(value=source):
                yield source
            case ast.Call(func=ast.Name(id="list" | "tuple" | "enumerate" | "map" | "zip" | "iter"), args=arguments):
                yield from arguments
            case ast.Call(func=ast.Attribute(attr="join"), args=arguments):
                yield from arguments


def set_names(tree: ast.AST) -> set[str]:
    """Names and attributes that hold a set, as far as assignments and annotations tell."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if is_set(value, found):
                found.add(name)
            case ast.AnnAssign(target=ast.Name(id=name) | ast.Attribute(attr=name), annotation=annotation):
                if ast.unparse(annotation).startswith(("set[", "frozenset[")):
                    found.add(name)
    return found


def faults_of_determinism(source: str) -> list[str]:
    tree, found = ast.parse(source), []
    sets = set_names(tree)
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=float() | complex()):
                found.append(f"line {node.lineno}: a float")
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                found.append(f"line {node.lineno}: true division")
            case ast.Name(id="float" | "hash" | "id" | "open" | "input" | "print" | "round" as name, ctx=ast.Load()):
                found.append(f"line {node.lineno}: {name}")
            case ast.Import(names=names) if any(a.name.split(".")[0] in ("decimal", "fractions") for a in names):
                found.append(f"line {node.lineno}: not an integer")
            case ast.ImportFrom(module="decimal" | "fractions" | "statistics"):
                found.append(f"line {node.lineno}: not an integer")
    found += [f"line {node.lineno}: the order of a set" for node in iterated(tree) if is_set(node, sets)]
    return found


@pytest.mark.parametrize("path", **named(sources(*PACKAGES)))
def test_files_functions_and_signatures_stay_small(path):
    assert faults_of_size(path.read_text()) == []


@pytest.mark.parametrize("path", **named(sources(*PURE)))
def test_the_rules_are_integers_in_a_fixed_order(path):
    assert faults_of_determinism(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "x = 1.5",
        "x = a / b",
        "x /= 2",
        "x = float(y)",
        "x = hash(y)",
        "from fractions import Fraction",
        "import decimal",
        "for x in {1, 2}: pass",
        "x = [y for y in set(z)]",
        "x = tuple(frozenset(z))",
        "x = b''.join({b'a', b'b'})",
        "x = set(y)\nfor z in x: pass",
        "x = set(y)\nw = [z for z in v - x]",
        "x = {z for z in y}\nw = list(x | v)",
        "class C:\n    a: set[int]\n    def f(self):\n        return [x for x in self.a]",
    ],
)
def test_what_could_differ_between_machines_is_found(source):
    assert faults_of_determinism(source)


def test_what_cannot_differ_is_let_pass():
    assert (
        faults_of_determinism(
            "x = sorted(set(y))\nfor z in x: pass\nw = 3 // 2\nassert 1 in {1, 2}\nv = sum(z for z in {1, 2})"
        )
        == []
    )


def test_the_caps_are_at_their_numbers():
    body = "\n".join("    x = 1" for _ in range(FUNCTION_LINES - 1))
    assert faults_of_size(f"def f(a, b, c, d, e, g):\n{body}") == []
    assert faults_of_size(f"def f():\n{body}\n    x = 1") == ["f has 51 lines"]
    assert faults_of_size("def f(a, b, c, d, e, g, h): pass") == ["f has 7 parameters"]
    assert faults_of_size("x = 1\n" * FILE_LINES) == []
    assert faults_of_size("x = 1\n" * (FILE_LINES + 1)) == ["the file has 401 lines"]


# ---- Money


def money_writers(source: str) -> set[str]:
    """What only chain/money.py may do: make a record of balances or the supply, or name a place where one is stored."""
    wanted = {"Supply", "Account", "Vesting", "SUPPLY_KEY", "account_key", "vesting_key"}
    found = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in wanted:
                found.add(name)
            case ast.Name(id="SUPPLY_KEY", ctx=ast.Load()):
                found.add("SUPPLY_KEY")
            case ast.Call(func=ast.Name(id="replace"), keywords=keywords):
                found |= {k.arg for k in keywords if k.arg in ("balance", "minted", "burned", "balances", "vesting")}
    return found


def test_only_money_py_writes_a_balance_or_the_supply():
    writers = {str(path.relative_to(ROOT)): money_writers(path.read_text()) for path in sources("chain")}
    assert {path: found for path, found in writers.items() if found} == {
        "chain/money.py": {"Account", "Vesting", "SUPPLY_KEY", "account_key", "vesting_key", "minted", "burned"},
        # The records' own file: readers' defaults, and a nonce that keeps the balance.
        "chain/state.py": {"Account", "Supply", "SUPPLY_KEY", "account_key"},
        "chain/genesis.py": {"Supply", "SUPPLY_KEY"},  # all zeros
    }


def test_genesis_writes_an_empty_supply():
    [call] = [
        node
        for node in ast.walk(tree_of(ROOT / "chain/genesis.py"))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Supply"
    ]
    assert (call.args, call.keywords) == ([], [])


def test_nanos_are_made_in_one_place_only():
    callers = [
        str(path.relative_to(ROOT))
        for path in sources(*PACKAGES)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "mint"
    ]
    assert set(callers) == {"chain/payouts.py"}


# ---- Who may import whom


def test_the_import_contracts_hold():
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-1000:]


def test_consensus_may_see_three_modules_of_the_chain_and_no_other():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [contract] = [c for c in contracts if c["name"].startswith("Consensus never opens a block")]
    modules = {
        path.stem for path in (ROOT / "chain").glob("*") if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    hidden = modules - {"__init__", "crypto", "codec", "coding", "errors"}  # coding is what codec is made with
    assert contract["source_modules"] == ["consensus"] and not contract["ignore_imports"]
    assert sorted(contract["forbidden_modules"]) == sorted(f"chain.{name}" for name in hidden)


def test_nothing_imports_a_pickle():
    for path in sources(*PACKAGES):
        imports = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Import | ast.ImportFrom)]
        names = {name for node in imports for name in [getattr(node, "module", None), *(a.name for a in node.names)]}
        assert not names & {"pickle", "marshal", "shelve", "dill"}, path
