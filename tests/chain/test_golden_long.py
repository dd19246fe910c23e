"""A long history is judged alike, to the last byte, wherever and whenever it is replayed."""

import json
import locale
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from itertools import pairwise, product
from pathlib import Path

import pytest

from chain.block import BOOTSTRAP, HANDOVER, STAKED, Block
from chain.crypto.hashing import ZERO
from chain.errors import NeuroError
from chain.receipts import (
    BASE_FEE,
    FORFEITED,
    RECEIPTS,
    SLASHED,
    AuditEnded,
    AuditFault,
    AuditMissed,
    Burned,
    ServicePaid,
    Tombstoned,
)
from chain.state import PASSED, PROVEN
from chain.transactions import ACTIONS
from tests.chain.golden_long import CREATED_MS, FILE, History, golden_history, replayed, stored, written
from tests.chain.played_chain import PlayedChain

ROOT = Path(__file__).parents[2]
YEAR_S = 365 * 24 * 3600
FAR = ("tr_TR.UTF-8", "de_DE.UTF-8", "C.UTF-8")  # Turkish letters and German numbers, where they are installed
# Loaded by a child before anything else: Python's clock is set off by some seconds.
CLOCK = """
import time
now, now_ns = time.time, time.time_ns
time.time = lambda: now() + {0}
time.time_ns = lambda: now_ns() + {0} * 10**9
"""


@pytest.fixture(scope="module")
def history() -> PlayedChain:
    return golden_history()


@contextmanager
def locale_kept() -> Iterator[None]:
    before = locale.setlocale(locale.LC_ALL)
    try:
        yield
    finally:
        locale.setlocale(locale.LC_ALL, before)


def far_locale() -> str:
    """The first of `FAR` that this machine has."""
    with locale_kept():
        for name in FAR:
            try:
                return locale.setlocale(locale.LC_ALL, name)
            except locale.Error:
                continue
    raise AssertionError("every machine has C.UTF-8")


def wanted_time(years: int) -> int:
    return CREATED_MS // 1000 + years * YEAR_S


def replayed_elsewhere(folder: Path, seed: str, place: str, years: int, **more: str) -> dict:
    """What a child says of the committed file, whose hash seed and locale are others, and whose clock is so many years
    after the genesis of the history."""
    (folder / "sitecustomize.py").write_text(CLOCK.format(round(wanted_time(years) - time.time())))
    environment = os.environ | {"PYTHONHASHSEED": seed, "LC_ALL": place, "PYTHONPATH": str(folder)} | more
    command = [sys.executable, "-m", "tests.chain.golden_long", "replay"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def expected(history: PlayedChain) -> dict:
    headers = b"".join(applied.block.header.encode() for applied in history.blocks)
    return {
        "height": history.height,
        "state_root": history.parent.state_root.hex(),
        "headers": sha256(headers).hexdigest(),
        "records": History.decode(written(history)).records.hex(),
        "as stored": True,
    }


def holds(told: dict, history: PlayedChain, place: str, years: int) -> None:
    """The child was where it was sent, and found there what is found here."""
    assert told | expected(history) == told
    assert told["locale"] == place
    assert told["year"] == time.gmtime(wanted_time(years)).tm_year


def test_the_committed_history_is_the_one_that_its_program_makes(history):
    assert stored() == written(history)
    assert FILE.stat().st_size < 500_000


def test_the_history_is_long_and_lives_through_everything(history):
    blocks = [applied.block for applied in history.blocks]
    receipts = [receipt for applied in history.blocks for receipt in applied.receipts]
    assert len(blocks) >= 300
    assert {type(t.action) for block in blocks for t in block.body.transactions} == set(ACTIONS.values())
    elsewhere = {AuditFault, AuditMissed, ServicePaid}  # tests of audits and of services have these
    assert {type(receipt) for receipt in receipts} == set(RECEIPTS.values()) - elsewhere
    assert {receipt.outcome for receipt in receipts if isinstance(receipt, AuditEnded)} == {PASSED, PROVEN}
    assert {block.header.phase for block in blocks} == {BOOTSTRAP, HANDOVER, STAKED}
    assert {r.reason for r in receipts if isinstance(r, Burned)} == set(range(BASE_FEE, FORFEITED + 1))
    assert [r.lost > 0 for r in receipts if isinstance(r, Tombstoned)] == [False, True, True]
    assert history.state.account(history.people[1].wallet.address).balance


def test_the_set_of_an_epoch_is_announced_by_the_last_block_before_it_and_stays(history):
    headers = [applied.block.header for applied in history.blocks]
    roots = {header.epoch: header.validators_root for header in headers}
    for before, header in pairwise(headers):
        assert header.validators_root == roots[header.epoch]
        is_last = header.epoch != before.epoch
        assert before.next_validators_root == (header.validators_root if is_last else ZERO)
    assert len(set(roots.values())) > 10


def test_both_offenders_pay_again_when_their_unbonding_time_is_over(history):
    late = [
        receipt
        for applied in history.blocks
        if not any(isinstance(receipt, Tombstoned | AuditEnded) for receipt in applied.receipts)
        for receipt in applied.receipts
        if isinstance(receipt, Burned) and receipt.reason == SLASHED
    ]
    assert {receipt.payer for receipt in late} == {person.wallet.address for person in history.people[5:7]}


def test_a_history_with_a_flipped_bit_is_refused(history):
    committed = History.decode(stored())
    early = committed.blocks[:12]
    for at in (0, 40, 300, len(early[9]) - 1):
        damaged = bytearray(early[9])
        damaged[at] ^= 1
        broken = History(committed.network, (*early[:9], bytes(damaged), *early[10:]), committed.records)
        with pytest.raises(NeuroError):
            replayed(broken.encode())
    chain, _ = replayed(History(committed.network, early, committed.records).encode())
    assert chain.blocks[-1].block == Block.decode(early[-1])


def test_another_hash_seed_locale_and_year_change_nothing(history, tmp_path):
    far = far_locale()
    seen = []
    for number, (seed, place, years) in enumerate([("0", "C", 1), ("1", far, -1)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        seen.append(replayed_elsewhere(folder, seed, place, years))
        holds(seen[-1], history, place, years)
    assert seen[0]["hash"] != seen[1]["hash"]


@pytest.mark.portability
@pytest.mark.parametrize(("seed", "place", "years"), list(product(["0", "1", "4711"], ["C", "far"], [-1, 1])))
def test_every_hash_seed_locale_and_year_gives_the_same_bytes(history, tmp_path, seed, place, years):
    place = far_locale() if place == "far" else place
    holds(replayed_elsewhere(tmp_path, seed, place, years), history, place, years)


@pytest.mark.portability
def test_the_portable_signature_library_gives_the_same_bytes(history, tmp_path):
    holds(replayed_elsewhere(tmp_path, "0", "C", 0, NEUROSHARD_ECDSA="cryptography"), history, "C", 0)
