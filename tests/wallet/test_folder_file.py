"""wallet.json as a stranger might write it: read strictly, or refused in words and left as it is."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.address import to_text
from tests.wallet.cases import BOB, CHAIN, PASSWORD, WALLET, a_folder, json_values, unhurried
from wallet import folder_file
from wallet.accounts import Account, account_of
from wallet.errors import FolderDamaged
from wallet.folder import WalletFolder

FULL = folder_file.Content(
    (account_of(WALLET, 0, "main"), Account(1, "savings", WALLET.address(1))),
    folder_file.Book().added("Zoë", BOB),
    {"idle": 3, "on": True, "api": "x"},
    {"127.0.0.1:8420": CHAIN},
)
FILE: dict[str, Any] = json.loads(folder_file.to_json(FULL))


def changed(path: str, value: Any) -> bytes:
    """The file with one value replaced, or taken out if the value is ..."""
    content: Any = json.loads(json.dumps(FILE))
    *folders, name = path.split(".")
    place = content
    for each in folders:
        place = place[int(each)] if isinstance(place, list) else place[each]
    if value is ...:
        del place[name]
    else:
        place[name] = value
    return json.dumps(content).encode()


def test_a_file_keeps_everything() -> None:
    assert folder_file.parse(folder_file.to_json(FULL)) == FULL


def test_no_secret_is_in_the_file(tmp_path: Path, cheap: None) -> None:
    folder = a_folder(tmp_path)
    folder.add_account(WALLET, "savings")
    text = (folder.path / "wallet.json").read_text()
    for secret in (WALLET.entropy, WALLET.seed, WALLET.wallet_key(), WALLET.wallet_key(1), WALLET.validator_key()):
        assert secret.hex() not in text
    assert PASSWORD not in text and not set(WALLET.words().split()) & set(text.replace('"', " ").split())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("schema", 2), ("schema", "1"), ("schema", True), ("schema", ...), ("accounts", {}), ("accounts", ...),
        ("book", None), ("settings", []), ("chains", []), ("unknown", 1),
        ("accounts.0.index", -1), ("accounts.0.index", 2**31), ("accounts.0.index", 1), ("accounts.0.index", True),
        ("accounts.0.label", "savings"), ("accounts.0.label", "two words"), ("accounts.0.label", 5),
        ("accounts.0.label", "Zoe\u0308"), ("accounts.0.label", "zoë"),
        ("accounts.0.address", to_text(BOB)), ("accounts.0.address", "neuro1"), ("accounts.0.address", 1),
        ("accounts.0.address", to_text(WALLET.address()).upper()),
        ("accounts.0.address", to_text(WALLET.address(), True)),
        ("accounts.1.address", to_text(WALLET.address())),
        ("accounts.0.public_key", "00" * 33), ("accounts.0.public_key", "02"), ("accounts.0.public_key", ...),
        ("accounts.0.more", 1), ("book.0.name", "neuro1q"), ("book.0.name", "\x1b[2J"), ("book.0.address", "x"),
        ("book.0.more", 1), ("settings.idle", -1), ("settings.idle", 1.5), ("settings.idle", None),
        ("settings.idle", "x" * 201), ("settings.\x1b", 1), ("chains.x", "00"), ("chains.x", 5),
        ("accounts", FILE["accounts"] * 200), ("book", FILE["book"] * 1_001), ("book", FILE["book"] * 2),
        ("settings", {str(number): 1 for number in range(65)}),
        ("chains", {str(number): CHAIN.hex() for number in range(65)}),
    ],
)  # fmt: skip
def test_a_damaged_file_is_a_named_error_and_stays_as_it_is(tmp_path: Path, path: str, value: Any) -> None:
    folder = WalletFolder(tmp_path)
    file = changed(path, value)
    (tmp_path / "wallet.json").write_bytes(file)
    for call in (folder.accounts, lambda: folder.book, lambda: folder.add_name("new", bytes(21)), folder.names):
        with pytest.raises(FolderDamaged, match="no money"):
            call()
    assert (tmp_path / "wallet.json").read_bytes() == file


@pytest.mark.parametrize(
    "file", [b"", b"{", b"null", b"[]", b"\xff\xfe{}", b"[" * 60_000, b'{"schema":' + b"9" * 5_000]
)
def test_what_is_no_file_of_ours_is_a_named_error(tmp_path: Path, file: bytes) -> None:
    (tmp_path / "wallet.json").write_bytes(file)
    with pytest.raises(FolderDamaged):
        WalletFolder(tmp_path).accounts()


PATHS = [
    "schema",
    "accounts",
    "accounts.0",
    "accounts.0.label",
    "book",
    "book.0.name",
    "settings",
    "settings.x",
    "chains",
]


@unhurried
@given(st.sampled_from(PATHS), json_values)
def test_strange_values_raise_the_family_or_nothing(path: str, value: Any) -> None:
    head, _, last = path.rpartition(".")
    target = f"{head}.{last}" if head else last
    try:
        found = folder_file.parse(changed_at(target, value))
    except FolderDamaged:
        return
    assert folder_file.parse(folder_file.to_json(found)) == found


def changed_at(path: str, value: Any) -> bytes:
    if path == "accounts.0":
        return changed("accounts", [value])
    return changed(path, value)


@unhurried
@given(st.binary(max_size=300))
def test_strange_bytes_are_no_file(content: bytes) -> None:
    with pytest.raises(FolderDamaged):
        folder_file.parse(content)


def test_a_pipe_a_folder_and_a_huge_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "wallet.json"
    for make in (lambda: os.mkfifo(path), path.mkdir):
        make()
        with pytest.raises(FolderDamaged, match="not a file"):
            WalletFolder(tmp_path).accounts()
        path.unlink() if path.is_fifo() else path.rmdir()
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(FolderDamaged, match="more than"):
        WalletFolder(tmp_path).accounts()


def test_the_fullest_file_can_be_written() -> None:
    accounts = tuple(Account(number, f"{number:x>32}", a_place(number, 1)) for number in range(256))
    book = folder_file.Book(tuple(folder_file.Entry(f"{n:ﬀ>32}"[:32], a_place(n, 2)) for n in range(1_000)))
    settings = {f"{number:x>200}": "\U0001f511" * 200 for number in range(64)}
    chains = {f"{number:x>200}": CHAIN for number in range(64)}
    full = folder_file.Content(accounts, book, settings, chains)
    assert len(folder_file.to_json(full)) < folder_file.BYTES_MAXIMUM


def a_place(number: int, kind: int) -> bytes:
    return bytes([0, kind]) + number.to_bytes(19, "big")
