"""Drafted here, signed there, broadcast elsewhere: files that are believed in nothing but their bytes."""

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.transactions import MultiTransfer, Payment, Transaction, Transfer, check_signature
from tests.wallet.cases import ACTIONS, BOB, CHAIN, OTHER, OTHER_CHAIN, SECRET, a_draft, drafted, json_values, unhurried
from wallet import transaction_file
from wallet.errors import SigningError, TransactionFileError, TransactionFileExists
from wallet.transaction_file import TransactionFile

UNSIGNED = TransactionFile(a_draft(), "home")
SIGNED = UNSIGNED.signed_by(SECRET)
FILE: dict[str, Any] = json.loads(transaction_file.to_json(UNSIGNED))


def changed(**values: Any) -> bytes:
    return json.dumps({name: value for name, value in (FILE | values).items() if value is not ...}).encode()


@pytest.mark.parametrize("kind", ACTIONS, ids=lambda kind: kind.__name__)
def test_a_draft_travels_is_signed_and_travels_on(tmp_path: Path, kind: type) -> None:
    there, back = tmp_path / "draft.json", tmp_path / "signed.json"
    transaction_file.save(there, TransactionFile(drafted(ACTIONS[kind](), 7), "home"))
    # The machine with the keys knows nothing but the file.
    read = transaction_file.load(there)
    assert read.signed is None and read.network == "home" and read.chain_id == CHAIN
    transaction_file.save(back, read.signed_by(SECRET))
    sent = transaction_file.load(back)
    assert sent.signed is not None and sent.id == read.id and sent.unsigned == read.unsigned
    check_signature(Transaction.decode(sent.signed.encode()), CHAIN)


def test_nothing_is_overwritten_and_only_the_owner_may_read(tmp_path: Path) -> None:
    path = tmp_path / "draft.json"
    transaction_file.save(path, UNSIGNED)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(TransactionFileExists, match="choose another name"):
        transaction_file.save(path, SIGNED)
    assert transaction_file.load(path) == UNSIGNED and [each.name for each in tmp_path.iterdir()] == ["draft.json"]


def test_the_lines_in_a_file_are_never_believed() -> None:
    lies = [["amount", "0.1 NEURO"], ["to", "your friend"]]
    read = transaction_file.parse(changed(described=lies))
    assert read == UNSIGNED and dict(read.described())["amount"] == "1.5 NEURO"
    for anything in (None, 5, {}, "text", [[["deep"]]]):
        assert transaction_file.parse(changed(described=anything)) == UNSIGNED


def test_the_lines_of_a_written_file_are_those_of_its_bytes() -> None:
    assert [tuple(line) for line in FILE["described"]] == UNSIGNED.described()


def test_another_chain_makes_another_transaction() -> None:
    read = transaction_file.parse(changed(chain_id=OTHER_CHAIN.hex()))
    assert read.id != UNSIGNED.id
    with pytest.raises(TransactionFileError, match="no signed transaction of that network"):
        signed = json.loads(transaction_file.to_json(SIGNED)) | {"chain_id": OTHER_CHAIN.hex()}
        transaction_file.parse(json.dumps(signed).encode())


def test_another_wallet_does_not_sign_it() -> None:
    with pytest.raises(SigningError, match="not the sender"):
        UNSIGNED.signed_by(OTHER.wallet_key())


def test_a_changed_byte_of_a_signed_file_is_noticed() -> None:
    content = json.loads(transaction_file.to_json(SIGNED))
    raw = bytearray.fromhex(content["raw"])
    for position in range(len(raw)):
        raw[position] ^= 1
        with pytest.raises(TransactionFileError):
            transaction_file.parse(json.dumps(content | {"raw": raw.hex()}).encode())
        raw[position] ^= 1
    assert transaction_file.parse(json.dumps(content).encode()) == SIGNED


def test_a_draft_is_not_taken_for_signed_nor_the_other_way_round() -> None:
    for content, state in ((UNSIGNED, "signed"), (SIGNED, "unsigned")):
        file = json.loads(transaction_file.to_json(content)) | {"state": state}
        with pytest.raises(TransactionFileError):
            transaction_file.parse(json.dumps(file).encode())


@pytest.mark.parametrize(
    "file",
    [
        b"", b"{", b"[]", b"null", b"\xff", b"[" * 50_000, changed(format="other"), changed(format=...),
        changed(version=2), changed(version=True), changed(version="1"), changed(state="sent"), changed(state=None),
        changed(state=["signed"]), changed(chain_id="00"), changed(chain_id=CHAIN.hex().upper()), changed(chain_id=5),
        changed(network="\x1b[2J"), changed(network="x" * 65), changed(network=None), changed(network="\ud800"),
        changed(raw=""), changed(raw="zz"), changed(raw="00" * 32_769), changed(raw=FILE["raw"] + "00"),
        changed(raw=FILE["raw"][:-2]), changed(raw=FILE["raw"].upper()), changed(more=1), changed(described=...),
        b'{"raw":"00",' + changed()[1:],
    ],
)  # fmt: skip
def test_a_damaged_file_is_a_named_error(tmp_path: Path, file: bytes) -> None:
    (tmp_path / "file").write_bytes(file)
    with pytest.raises(TransactionFileError):
        transaction_file.load(tmp_path / "file")


@unhurried
@given(st.sampled_from(sorted(FILE)), json_values)
def test_strange_values_raise_the_family_or_nothing(name: str, value: Any) -> None:
    try:
        found = transaction_file.parse(changed(**{name: value}))
    except TransactionFileError:
        return
    assert transaction_file.parse(transaction_file.to_json(found)) == found


@unhurried
@given(st.binary(max_size=300))
def test_strange_bytes_are_no_file(content: bytes) -> None:
    with pytest.raises(TransactionFileError):
        transaction_file.parse(content)


def test_the_longest_transaction_fits_into_a_file() -> None:
    most = MultiTransfer(tuple(Payment(BOB, 2**128 - 1) for _ in range(256)))
    content = TransactionFile(a_draft(most), "x" * 64).signed_by(SECRET)
    file = transaction_file.to_json(content)
    assert len(file) <= transaction_file.BYTES_MAXIMUM and transaction_file.parse(file).signed == content.signed
    padded = file + b" " * (transaction_file.BYTES_MAXIMUM - len(file))
    assert transaction_file.parse(padded).id == content.id
    with pytest.raises(TransactionFileError, match="more than"):
        transaction_file.parse(padded + b" ")


def test_the_name_of_a_network_cannot_steer_a_terminal() -> None:
    hostile = TransactionFile(a_draft(Transfer(BOB, 1)), "\x1b[2J" + "y" * 300)
    read = transaction_file.parse(transaction_file.to_json(hostile))
    assert read.network.isprintable() and len(read.network) <= 64


def test_what_is_no_file_is_a_named_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "huge").open("wb") as huge:
        huge.truncate(2**40)
    for name in ("none", "pipe", "huge", ".", "x" * 300, "nul\0"):
        with pytest.raises(TransactionFileError):
            transaction_file.load(tmp_path / name)
    (tmp_path / "file").write_text("")
    for name in ("x" * 300, "nul\0", "file/below"):
        with pytest.raises(TransactionFileError):
            transaction_file.save(tmp_path / name, UNSIGNED)
