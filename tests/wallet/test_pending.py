"""What was sent: recorded before it leaves, never twice, by two programs at once."""

import json
import multiprocessing
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.transactions import MultiTransfer, Payment, Transfer
from tests.wallet.cases import (
    BOB,
    CHAIN,
    FIRST,
    KEY,
    OTHER_CHAIN,
    SECRET,
    a_draft,
    a_sent,
    a_transaction,
    json_values,
    unhurried,
)
from wallet import pending
from wallet.errors import FolderDamaged, FolderError, NonceTaken, TooManyWaiting
from wallet.folder import WalletFolder
from wallet.pending import KEEP_MS, KEEP_USED, PendingFile, Sent
from wallet.signing import sign

SENT = a_sent()
FILE: dict[str, Any] = json.loads(pending.to_json((SENT,)))


@pytest.fixture
def file(tmp_path: Path) -> PendingFile:
    return WalletFolder(tmp_path).pending


def test_what_is_recorded_is_read_with_everything_that_its_bytes_say(file: PendingFile) -> None:
    assert file.read() == ()
    file.record(SENT)
    [found] = file.read()
    assert found == SENT and found.raw == SENT.transaction.encode() and found.id == SENT.transaction.id(CHAIN)
    assert (found.sender, found.nonce) == (FIRST.address, 0)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_the_same_transaction_is_recorded_once(file: PendingFile) -> None:
    file.record(SENT)
    file.record(replace(SENT, sent_ms=5_000))
    assert file.read() == (SENT,)


def test_a_nonce_is_given_away_once_unless_it_is_to_be_replaced(file: PendingFile) -> None:
    file.record(SENT)
    rival = Sent(sign(a_draft(Transfer(BOB, 8), max_fee=200), SECRET), CHAIN, 2_000)
    with pytest.raises(NonceTaken, match="nothing was sent now"):
        file.record(rival)
    assert file.read() == (SENT,)
    file.record(rival, replaces=True)
    assert file.read() == (SENT, rival)


def test_accounts_and_chains_have_nonces_of_their_own(file: PendingFile) -> None:
    elsewhere = Sent(sign(replace(a_draft(), chain_id=OTHER_CHAIN), SECRET), OTHER_CHAIN, 1_000)
    file.record(SENT)
    file.record(elsewhere)
    assert file.of(FIRST.address, CHAIN) == (SENT,) and file.of(FIRST.address, OTHER_CHAIN) == (elsewhere,)
    assert file.of(BOB, CHAIN) == ()


def test_what_was_refused_is_forgotten(file: PendingFile) -> None:
    file.record(SENT)
    file.forget(bytes(32))
    assert file.read() == (SENT,)
    file.forget(SENT.id)
    assert file.read() == ()


def test_settled_ones_stay_for_a_day_and_no_more_than_sixteen(file: PendingFile) -> None:
    sent = [a_sent(number, 1_000 + number) for number in range(KEEP_USED + 3)]
    for each in sent:
        file.record(each)
    file.settle(FIRST.address, CHAIN, 0, 1_000 + 10 * KEEP_MS)
    assert file.read() == tuple(sent)
    file.settle(FIRST.address, CHAIN, KEEP_USED + 2, 2_000)
    assert file.read() == tuple(sent[2:])
    file.settle(FIRST.address, CHAIN, 4, 1_000 + 2 + KEEP_MS)
    assert file.read() == tuple(sent[3:])
    file.settle(BOB, CHAIN, 100, 10 * KEEP_MS)
    file.settle(FIRST.address, OTHER_CHAIN, 100, 10 * KEEP_MS)
    assert file.read() == tuple(sent[3:])
    file.settle(FIRST.address, CHAIN, 100, 10 * KEEP_MS)
    assert file.read() == ()


def test_the_file_has_a_greatest_length(file: PendingFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending, "ENTRIES_MAXIMUM", 2)
    file.record(a_sent(0))
    file.record(a_sent(1))
    with pytest.raises(TooManyWaiting, match="2 transactions"):
        file.record(a_sent(2))
    assert len(file.read()) == 2


def record_in_a_process(path: Path, amount: int, answers: Any) -> None:
    file = WalletFolder(path).pending
    taken = 0
    for nonce in range(12):
        try:
            file.record(Sent(sign(a_draft(Transfer(BOB, amount), nonce), SECRET), CHAIN, amount))
            taken += 1
        except NonceTaken:
            continue
    answers.put(taken)


def test_two_programs_at_once_never_send_with_the_same_nonce(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    answers = fork.Queue()
    programs = [fork.Process(target=record_in_a_process, args=(tmp_path, amount, answers)) for amount in (1, 2)]
    for program in programs:
        program.start()
    taken = [answers.get(timeout=60) for _ in programs]
    for program in programs:
        program.join(60)
        assert program.exitcode == 0
    sent = WalletFolder(tmp_path).pending.read()
    assert sorted(each.nonce for each in sent) == list(range(12)) and sum(taken) == 12


# ---- The file of a stranger


def changed(**values: Any) -> bytes:
    content = json.loads(json.dumps(FILE))
    content["sent"][0] |= values
    return json.dumps(content).encode()


def test_an_entry_that_its_sender_has_not_signed_is_refused() -> None:
    assert pending.parse(changed(sent_ms=7)) == (replace(SENT, sent_ms=7),)
    raw = bytearray(SENT.raw)
    for position in range(len(raw)):
        raw[position] ^= 1
        with pytest.raises(FolderDamaged):
            pending.parse(changed(raw=raw.hex()))
        raw[position] ^= 1
    with pytest.raises(FolderDamaged, match="not what its sender signed"):
        pending.parse(changed(chain_id=OTHER_CHAIN.hex()))
    unsigned = replace(a_transaction(), signature=bytes(64))
    with pytest.raises(FolderDamaged):
        pending.parse(changed(raw=unsigned.encode().hex()))


@pytest.mark.parametrize(
    "file",
    [
        b"", b"{", b"[]", b"null", b"\xff", b"[" * 50_000, json.dumps(FILE | {"schema": 2}).encode(),
        json.dumps(FILE | {"schema": True}).encode(), json.dumps(FILE | {"more": 1}).encode(),
        json.dumps({"schema": 1}).encode(), json.dumps(FILE | {"sent": FILE["sent"] * 2}).encode(),
        json.dumps(FILE | {"sent": FILE["sent"] * 300}).encode(), b'{"schema":1,"schema":1,"sent":[]}',
        changed(raw=SENT.raw.hex().upper()), changed(raw=""), changed(raw="00" * 40_000), changed(sent_ms=-1),
        changed(sent_ms=1.0), changed(sent_ms=2**54), changed(chain_id="00"), changed(extra=1), changed(raw="zz"),
        changed(raw=" " + SENT.raw.hex()),
    ],
)  # fmt: skip
def test_a_damaged_file_is_a_named_error_and_stays_as_it_is(tmp_path: Path, file: bytes) -> None:
    kept = WalletFolder(tmp_path).pending
    kept.path.write_bytes(file)
    for call in (kept.read, lambda: kept.record(SENT), lambda: kept.forget(SENT.id)):
        with pytest.raises(FolderDamaged, match="move it away"):
            call()
    assert kept.path.read_bytes() == file


@unhurried
@given(st.sampled_from(["raw", "chain_id", "sent_ms"]), json_values)
def test_strange_values_raise_the_family_or_nothing(name: str, value: Any) -> None:
    try:
        found = pending.parse(changed(**{name: value}))
    except FolderDamaged:
        return
    assert pending.parse(pending.to_json(found)) == found


@unhurried
@given(st.binary(max_size=200))
def test_strange_bytes_are_no_file(content: bytes) -> None:
    with pytest.raises(FolderDamaged):
        pending.parse(content)


def test_of_a_huge_file_only_the_beginning_is_read(file: PendingFile) -> None:
    with file.path.open("wb") as huge:
        huge.truncate(2**40)
    with pytest.raises(FolderDamaged, match="more than"):
        file.read()


def test_nothing_is_recorded_that_could_not_be_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    payments = MultiTransfer(tuple(Payment(BOB, number) for number in range(256)))
    first, second = (Sent(sign(a_draft(payments, nonce), SECRET), CHAIN, 1) for nonce in (0, 1))
    monkeypatch.setattr(pending, "BYTES_MAXIMUM", len(pending.to_json((first, second))))
    file = WalletFolder(tmp_path).pending
    file.record(first)
    file.record(second)
    assert WalletFolder(tmp_path).pending.read() == (first, second)
    with pytest.raises(TooManyWaiting, match="settle what is in it"):
        file.record(a_sent(2))
    assert WalletFolder(tmp_path).pending.read() == (first, second)


def test_two_hundred_of_the_longest_transactions_can_be_kept() -> None:
    payments = MultiTransfer(tuple(Payment(BOB, number) for number in range(256)))
    longest = Sent(sign(a_draft(payments), SECRET), CHAIN, pending.TIME_MAXIMUM_MS)
    assert 200 * len(pending.to_json((longest,))) < pending.BYTES_MAXIMUM


def test_a_folder_that_cannot_be_made_is_a_named_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderError):
        WalletFolder(tmp_path / "file").pending.record(SENT)
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_the_key_of_the_tests_is_the_senders() -> None:
    assert SENT.transaction.sender == KEY
