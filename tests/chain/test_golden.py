"""Bytes that were published stay as they are, on every machine and in every process."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from chain import receipts
from chain.receipts import RECEIPTS
from chain.state import State
from tests.builders import Chain
from tests.chain.golden_chain import golden_chain, vectors

ROOT = Path(__file__).parent.parent.parent
GOLDEN = json.loads((ROOT / "tests/vectors/chain.json").read_text())


@cache
def vectors_once() -> dict:
    return vectors()


SLOW = {"NEUROSHARD_BLS": "py_ecc", "NEUROSHARD_ECDSA": "cryptography"}
PLACES = [
    {"PYTHONHASHSEED": "0", "LC_ALL": "C", "TZ": "UTC"},
    {"PYTHONHASHSEED": "1", "LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8", "TZ": "Asia/Kathmandu"},
    {"PYTHONHASHSEED": "random", "LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "TZ": "XXX+11:30"},
]


@pytest.mark.parametrize("place", [*PLACES, pytest.param(SLOW, marks=pytest.mark.portability)], ids=str)
def test_a_history_gives_the_same_blocks_and_state_whatever_hash_seed_locale_time_zone_and_libraries(place):
    environment = os.environ | place
    command = [sys.executable, "-m", "tests.chain.golden_chain"]
    printed = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True).stdout
    assert json.loads(printed) == GOLDEN


def test_the_short_history_has_every_kind_of_record_and_receipt_of_work_and_payment():
    """Stake and penalties are in the long one."""
    chain = golden_chain()
    seen = {type(receipt) for applied in chain.blocks for receipt in applied.receipts}
    assert seen == {kind for number, kind in RECEIPTS.items() if number <= 8}
    reasons = {r.reason for applied in chain.blocks for r in applied.receipts if isinstance(r, receipts.Burned)}
    assert reasons == {receipts.BASE_FEE, receipts.SERVICE_SHARE, receipts.PROOF_FEE}
    kinds = {key[:1] for applied in chain.blocks for key in applied.state.changes}
    assert kinds == {b"a", b"n", b"r", b"c", b"v", b"s", b"l", b"$", b"k", b"p", b"h"}


@pytest.mark.parametrize("name", GOLDEN["objects"])
def test_the_bytes_of_a_type_are_as_published(name):
    assert vectors_once()["objects"][name] == GOLDEN["objects"][name]


def test_no_type_lacks_published_bytes():
    assert vectors_once()["objects"].keys() == GOLDEN["objects"].keys()


def test_replaying_the_blocks_alone_rebuilds_the_state():
    original = golden_chain()
    replayed = Chain(original.network)
    for applied in original.blocks:
        assert replayed._append(replayed.judge(applied.block)).block == applied.block
    assert replayed.records == original.records
    assert State(replayed.records.get).supply.circulating == original.state.supply.owned
