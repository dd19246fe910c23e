"""The wallet's files in a data directory: made once, shared by several programs, damaged by none."""

import multiprocessing
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from tests.wallet.cases import BOB, CHAIN, OTHER, OTHER_CHAIN, PASSWORD, WALLET, a_folder
from wallet import folder_file, keystore_file
from wallet.accounts import Account, account_of, find
from wallet.errors import (
    DerivationError,
    FolderBusy,
    FolderDamaged,
    FolderError,
    KeystoreCorrupt,
    KeystoreExists,
    MnemonicError,
    NameRefused,
    OtherWallet,
    WalletError,
    WrongPassword,
)
from wallet.files import locked
from wallet.folder import WalletFolder
from wallet.keys import Wallet

pytestmark = pytest.mark.usefixtures("cheap")


@pytest.fixture
def folder(tmp_path: Path, cheap: None) -> WalletFolder:
    return a_folder(tmp_path / "home")


def names(path: Path) -> list[str]:
    return sorted(each.name for each in path.iterdir())


# ---- The keystore


def test_a_new_wallet_can_be_opened_and_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    folder = WalletFolder(tmp_path / "home")
    assert not folder.exists and folder.accounts() == () and folder.address() is None and folder.names() == {}
    wallet = folder.create(None, PASSWORD)
    assert folder.exists and folder.open(PASSWORD) == wallet
    assert folder.accounts() == (account_of(wallet, 0, "main"),) and folder.address() == wallet.address()
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert names(folder.path) == ["keystore.json", "wallet.json", "wallet.lock"]
    for name in names(folder.path):
        assert stat.S_IMODE((folder.path / name).stat().st_mode) == 0o600


def test_twelve_words_bring_a_wallet_back(folder: WalletFolder, tmp_path: Path) -> None:
    again = WalletFolder(tmp_path / "again").create(WALLET.words().upper(), "another password")
    assert again == WALLET == folder.open(PASSWORD)
    with pytest.raises(MnemonicError):
        WalletFolder(tmp_path / "third").create("abandon " * 12, PASSWORD)
    assert not (tmp_path / "third").exists()


def test_a_wallet_is_never_overwritten(folder: WalletFolder) -> None:
    before = {name: (folder.path / name).read_bytes() for name in names(folder.path)}
    for words in (None, WALLET.words(), OTHER.words()):
        with pytest.raises(KeystoreExists):
            folder.create(words, PASSWORD)
    assert {name: (folder.path / name).read_bytes() for name in names(folder.path)} == before


def test_another_password_does_not_open(folder: WalletFolder) -> None:
    with pytest.raises(WrongPassword):
        folder.open("correct horse ")


def test_a_damaged_keystore_says_what_to_do(folder: WalletFolder) -> None:
    folder.keystore.write_bytes(folder.keystore.read_bytes()[:-20])
    with pytest.raises(KeystoreCorrupt, match="twelve words"):
        folder.open(PASSWORD)


def test_a_password_that_a_node_made_is_found_and_respected(tmp_path: Path) -> None:
    folder = WalletFolder(tmp_path)
    assert folder.stored_password() is None
    (tmp_path / "keystore.password").write_text("made by a node\n")
    assert folder.stored_password() == "made by a node"
    with pytest.raises(FolderError, match="move it away"):
        folder.create(None, PASSWORD)
    assert not folder.exists
    assert folder.create(None, "made by a node") == folder.open("made by a node")
    (tmp_path / "keystore.password").write_bytes(b"\xff")
    with pytest.raises(FolderDamaged, match="not text"):
        folder.stored_password()


def test_a_folder_that_a_node_made_shows_its_account_without_a_password(tmp_path: Path) -> None:
    keystore_file.save(tmp_path / "keystore.json", WALLET.to_keystore(PASSWORD))
    folder = WalletFolder(tmp_path)
    assert folder.accounts() == (Account(0, "main", WALLET.address()),) and names(tmp_path) == ["keystore.json"]
    folder.open(PASSWORD)
    # Once it was open, drafts can be made without a password.
    assert folder.accounts() == (account_of(WALLET, 0, "main"),)


def test_a_keystore_of_others_that_names_no_address_has_no_account_to_show(tmp_path: Path) -> None:
    keystore_file.save(tmp_path / "keystore.json", replace(WALLET.to_keystore(PASSWORD), address=""))
    assert WalletFolder(tmp_path).accounts() == ()
    other = tmp_path / "other"
    keystore_file.save(other / "keystore.json", replace(WALLET.to_keystore(PASSWORD), address="neuro1x"))
    with pytest.raises(KeystoreCorrupt, match="names no address"):
        WalletFolder(other).accounts()


def test_accounts_of_another_wallet_are_not_shown_as_ones_own(folder: WalletFolder, tmp_path: Path) -> None:
    folder.keystore.unlink()
    keystore_file.save(folder.keystore, OTHER.to_keystore(PASSWORD))
    before = (folder.path / "wallet.json").read_bytes()
    for call in (
        folder.accounts,
        lambda: folder.open(PASSWORD),
        lambda: folder.add_account(OTHER, "new"),
        folder.names,
    ):
        with pytest.raises(OtherWallet, match="no money"):
            call()
    folder.keystore.unlink()
    with pytest.raises(OtherWallet):
        folder.create(OTHER.words(), PASSWORD)
    assert not folder.exists and (folder.path / "wallet.json").read_bytes() == before
    # The same wallet comes back to its labels.
    assert folder.create(WALLET.words(), PASSWORD) == WALLET


# ---- Accounts


def test_accounts_are_added_in_order_or_by_number(folder: WalletFolder) -> None:
    assert folder.add_account(WALLET, "savings") == account_of(WALLET, 1, "savings")
    assert folder.add_account(WALLET, "far", 2**31 - 1).index == 2**31 - 1
    assert folder.add_account(WALLET, "next").index == 2
    assert [each.label for each in folder.accounts()] == ["main", "savings", "far", "next"]
    assert find(folder.accounts(), WALLET.address(1)) == folder.accounts()[1] and find((), BOB) is None
    for index in (1, 2**31, -1):
        with pytest.raises(DerivationError):
            folder.add_account(WALLET, "more", index)
    with pytest.raises(OtherWallet):
        folder.add_account(OTHER, "more")
    assert len(folder.accounts()) == 4


def test_there_are_256_accounts_at_most(folder: WalletFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wallet.folder.ACCOUNTS_MAXIMUM", 2)
    folder.add_account(WALLET, "second")
    with pytest.raises(DerivationError, match="2 accounts"):
        folder.add_account(WALLET, "third")


def test_an_account_can_be_called_otherwise(folder: WalletFolder) -> None:
    folder.add_account(WALLET, "savings")
    folder.add_name("bob", BOB)
    folder.label_account(0, "daily")
    folder.label_account(0, "Daily")
    assert [each.label for each in folder.accounts()] == ["Daily", "savings"]
    for name in ("savings", "BOB", "", "two words"):
        with pytest.raises(NameRefused):
            folder.label_account(0, name)
    with pytest.raises(DerivationError, match="no account 7"):
        folder.label_account(7, "seven")


@pytest.mark.parametrize("name", ["x" * 300, "file/below"])
def test_a_folder_that_cannot_be_is_a_named_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    folder = WalletFolder(tmp_path / name)
    with pytest.raises(WalletError):
        folder.create(WALLET.words(), PASSWORD)
    with pytest.raises(WalletError):
        folder.open(PASSWORD)
    with pytest.raises(WalletError):
        folder.add_name("bob", BOB)
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_nobody_may_look_into_is_a_named_error(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="cannot be looked into"):
        assert WalletFolder(tmp_path / ("x" * 300)).exists


def test_the_first_account_is_called_as_its_owner_says(tmp_path: Path) -> None:
    folder = WalletFolder(tmp_path)
    folder.create(WALLET.words(), PASSWORD, label="daily")
    assert folder.accounts() == (account_of(WALLET, 0, "daily"),)


def test_a_disk_that_takes_no_more_locks_nobody_out(tmp_path: Path) -> None:
    def full(step: str) -> None:
        if step == "renamed" or (tmp_path / "keystore.json").exists():
            raise OSError(28, "No space left on device")

    folder = WalletFolder(tmp_path, full)
    keystore_file.save(folder.keystore, WALLET.to_keystore(PASSWORD))
    assert folder.open(PASSWORD) == WALLET and not (tmp_path / "wallet.json").exists()
    with pytest.raises(FolderError, match="No space left"):
        folder.add_name("bob", BOB)


def test_labels_stay_when_the_wallet_is_restored(folder: WalletFolder) -> None:
    folder.add_account(WALLET, "savings")
    folder.label_account(0, "daily")
    folder.keystore.unlink()
    folder.create(WALLET.words(), "a new password")
    assert [each.label for each in folder.accounts()] == ["daily", "savings"]


# ---- Names


def test_names_and_labels_share_one_space(folder: WalletFolder) -> None:
    folder.add_name("bob", BOB)
    with pytest.raises(NameRefused, match="taken"):
        folder.add_name("Main", bytes(21))
    with pytest.raises(NameRefused, match="taken"):
        folder.add_account(WALLET, "bob")
    assert folder.find("BOB") == BOB and folder.find("main") == WALLET.address() and folder.find("nobody") is None
    assert folder.names() == {BOB: "bob", WALLET.address(): "your account main"}
    folder.remove_name("bob")
    assert folder.find("bob") is None and len(folder.book) == 0


def test_a_book_that_has_a_main_before_there_is_a_wallet_keeps_it(tmp_path: Path) -> None:
    folder = WalletFolder(tmp_path)
    folder.add_name("main", BOB)
    with pytest.raises(NameRefused):
        folder.create(WALLET.words(), PASSWORD, label="MAIN")
    assert not folder.exists
    folder.create(WALLET.words(), PASSWORD)
    assert folder.accounts()[0].label == "main-2" and folder.find("main") == BOB


def test_an_own_account_is_called_so_even_if_it_is_in_the_book(folder: WalletFolder) -> None:
    folder.add_name("myself", WALLET.address())
    assert folder.names()[WALLET.address()] == "your account main"


# ---- Settings and networks


def test_settings_are_kept_and_forgotten(folder: WalletFolder) -> None:
    for name, value in (("api", "127.0.0.1:8420"), ("idle", 300), ("colours", True), ("idle", 301), ("on", 1)):
        folder.set_setting(name, value)
    folder.set_setting("on", True)
    assert folder.settings == {"api": "127.0.0.1:8420", "idle": 301, "colours": True, "on": True}
    assert folder.settings["on"] is True
    folder.set_setting("api", None)
    assert "api" not in folder.settings
    for wrong in ("x" * 201, "two\nlines", "\ud800", -1, 2**53 + 1):
        with pytest.raises(FolderError, match="cannot be kept"):
            folder.set_setting("api", wrong)
    assert "api" not in folder.settings


def test_the_chain_of_a_node_is_remembered(folder: WalletFolder) -> None:
    assert folder.chain_of("127.0.0.1:8420") is None
    folder.remember_chain("127.0.0.1:8420", CHAIN)
    folder.remember_chain("[::1]:8420", OTHER_CHAIN)
    assert folder.chain_of("127.0.0.1:8420") == CHAIN and folder.chain_of("[::1]:8420") == OTHER_CHAIN
    for number in range(folder_file.CHAINS_MAXIMUM - 1):
        folder.remember_chain(f"node{number}:1", CHAIN)
    assert folder.chain_of("127.0.0.1:8420") is None and folder.chain_of("[::1]:8420") == OTHER_CHAIN
    with pytest.raises(FolderError):
        folder.remember_chain("short:1", b"short")


# ---- Several programs


def test_a_change_waits_for_another_programs_and_then_says_so(
    folder: WalletFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locked.__wrapped__, "__defaults__", (0.05,))  # type: ignore[attr-defined]
    with locked(folder.path / "wallet.lock"):
        for call in (lambda: folder.add_name("bob", BOB), lambda: folder.pending.forget(bytes(32))):
            with pytest.raises(FolderBusy, match="try again"):
                call()
        assert len(folder.book) == 0 and folder.accounts()  # reading never waits
    folder.add_name("bob", BOB)


def add_names(path: Path, prefix: str) -> None:
    folder = WalletFolder(path)
    for number in range(10):
        folder.add_name(f"{prefix}{number}", bytes([0]) + f"{prefix}{number}".encode().rjust(20, b"\0"))


def test_what_two_programs_add_at_once_is_all_kept(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    programs = [context.Process(target=add_names, args=(tmp_path, prefix)) for prefix in ("a", "b")]
    for program in programs:
        program.start()
    for program in programs:
        program.join(60)
        assert program.exitcode == 0
    assert sorted(entry.name for entry in WalletFolder(tmp_path).book) == sorted(
        f"{p}{n}" for p in "ab" for n in range(10)
    )


def test_new_wallets_differ(tmp_path: Path) -> None:
    made = [WalletFolder(tmp_path / name).create(None, PASSWORD) for name in "ab"]
    assert made[0] != made[1] and isinstance(made[0], Wallet)


def test_what_another_program_has_changed_is_seen_and_the_rest_is_not_parsed_again(
    folder: WalletFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []
    parse = folder_file.parse

    def counting(content: bytes, what: str = "") -> folder_file.Content:
        parsed.append(what)
        return parse(content, what)

    monkeypatch.setattr(folder_file, "parse", counting)
    assert [len(folder.book) for _ in range(5)] == [0] * 5 and len(parsed) == 1
    other = WalletFolder(folder.path)
    for number in range(3):
        other.add_name(f"n{number}", bytes([0]) + number.to_bytes(20, "big"))
        assert len(folder.book) == number + 1
    (folder.path / "wallet.json").unlink()
    assert len(folder.book) == 0 and folder.accounts()[0].public_key is None


def test_what_is_handed_out_cannot_change_what_is_kept(folder: WalletFolder) -> None:
    folder.set_setting("idle", 5)
    folder.settings["idle"] = 6
    assert folder.settings == {"idle": 5}
