"""The libraries can be forced, and a node lives without the fast ones."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chain.crypto import bls, ecdsa
from node.backends import CHOICES, choose
from node.errors import NodeError, StoreError
from node.key_value import LevelDb, Lmdb, open_key_value


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    """The libraries in use before are in use afterwards."""
    before = bls.back_end(), ecdsa.back_end()
    yield
    bls.use(before[0])
    ecdsa.use(before[1])


@pytest.mark.parametrize("name", CHOICES["NEUROSHARD_BLS"])
def test_the_environment_chooses_the_library_for_bls(name: str) -> None:
    choose({"NEUROSHARD_BLS": name})
    assert bls.back_end() == name


@pytest.mark.parametrize("name", CHOICES["NEUROSHARD_ECDSA"])
def test_the_environment_chooses_the_library_for_ecdsa(name: str) -> None:
    choose({"NEUROSHARD_ECDSA": name})
    assert ecdsa.back_end() == name


@pytest.mark.parametrize("wish", ["auto", "", " "])
def test_auto_leaves_the_first_that_is_installed(wish: str) -> None:
    before = bls.back_end(), ecdsa.back_end()
    choose(dict.fromkeys(CHOICES, wish))
    assert (bls.back_end(), ecdsa.back_end()) == before


@pytest.mark.parametrize("variable", CHOICES)
def test_an_unknown_library_is_refused_with_those_that_there_are(variable: str) -> None:
    with pytest.raises(NodeError, match=f"{variable} is 'fastest': give auto, {CHOICES[variable][0]}"):
        choose({variable: "fastest"})


@pytest.mark.parametrize(
    ("variable", "name", "module"),
    [("NEUROSHARD_BLS", "pyblst", "bls_fast"), ("NEUROSHARD_ECDSA", "coincurve", "ecdsa_fast")],
)
def test_a_library_that_is_missing_is_told(
    monkeypatch: pytest.MonkeyPatch, variable: str, name: str, module: str
) -> None:
    monkeypatch.setitem(sys.modules, f"chain.crypto.{module}", None)
    with pytest.raises(NodeError, match=f"{variable} asks for {name}, which is not installed"):
        choose({variable: name})


def test_a_ledger_stays_with_the_engine_that_made_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROSHARD_STORE", "lmdb")
    first = open_key_value(tmp_path / "ledger")
    assert isinstance(first, Lmdb)
    first.close()
    monkeypatch.setenv("NEUROSHARD_STORE", "auto")
    again = open_key_value(tmp_path / "ledger")
    assert isinstance(again, Lmdb)
    again.close()
    monkeypatch.setenv("NEUROSHARD_STORE", "leveldb")
    with pytest.raises(StoreError, match="was made by lmdb"):
        open_key_value(tmp_path / "ledger")


def test_without_plyvel_a_new_ledger_is_an_lmdb_and_a_leveldb_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NEUROSHARD_STORE", raising=False)
    LevelDb(tmp_path / "old").close()
    monkeypatch.setitem(sys.modules, "plyvel", None)
    new = open_key_value(tmp_path / "new")
    assert isinstance(new, Lmdb)
    new.close()
    with pytest.raises(StoreError, match="plyvel is not installed here: install it"):
        open_key_value(tmp_path / "old")
