"""One folder, two programs: a node earns for a wallet that was made before it, and the wallet works beside a node."""

import os
import signal
from pathlib import Path

import pytest

from node.data_directory import DataDirectory
from node.errors import DataDirectoryError, NodeError
from node.home import Home, open_home
from node.settings import Settings
from node.wallet_files import Secrets
from tests.wallet.cases import BOB, OTHER, PASSWORD, WALLET, a_folder, a_sent
from wallet.errors import KeystoreExists
from wallet.folder import WalletFolder

pytestmark = pytest.mark.usefixtures("cheap")


def started(root: Path, given: Secrets) -> Home:
    """A node's start, as far as its home goes. The lock is kept."""
    return open_home(Settings(root, None, "lab", True, False, "cpu", 1, None, None), given, None)


def test_a_node_earns_for_the_wallet_that_lies_in_its_folder(tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    folder.add_account(WALLET, "savings")
    folder.add_name("bob", BOB)
    folder.pending.record(a_sent())
    home = started(tmp_path, Secrets(password=PASSWORD))
    assert home.identity.address == WALLET.address() and home.words is None
    # The wallet never asks for the node's lock, and its own files are left as they were.
    assert [each.label for each in folder.accounts()] == ["main", "savings"] and folder.find("bob") == BOB
    folder.label_account(1, "rent")
    folder.pending.forget(a_sent().id)
    assert folder.open(PASSWORD) == WALLET
    with pytest.raises(KeystoreExists):
        folder.create(OTHER.words(), PASSWORD)
    home.directory.unlock()


def test_a_wallet_that_died_in_a_write_does_not_keep_a_node_away(tmp_path: Path) -> None:
    def dying(step: str) -> None:
        if step == "synced":
            os.kill(os.getpid(), signal.SIGKILL)

    for change in (
        lambda: WalletFolder(tmp_path, dying).create(OTHER.words(), PASSWORD),
        lambda: WalletFolder(tmp_path, dying).add_name("bob", BOB),
        lambda: WalletFolder(tmp_path, dying).pending.record(a_sent()),
    ):
        child = os.fork()
        if child == 0:
            change()
            os._exit(1)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert len(list(tmp_path.iterdir())) >= 3
    a_folder(tmp_path)
    assert started(tmp_path, Secrets(password=PASSWORD)).identity.address == WALLET.address()


def test_the_wallet_of_a_node_is_the_first_account(tmp_path: Path) -> None:
    started(tmp_path, Secrets(token=WALLET.words(), password=PASSWORD)).directory.unlock()
    folder = WalletFolder(tmp_path)
    assert [each.address for each in folder.accounts()] == [WALLET.address()]
    assert folder.open(PASSWORD) == WALLET and folder.accounts()[0].public_key is not None
    started(tmp_path, Secrets(password=PASSWORD))


def test_a_wallet_that_nobody_was_asked_for_opens_with_the_password_in_its_folder(tmp_path: Path) -> None:
    home = started(tmp_path, Secrets())
    folder = WalletFolder(tmp_path)
    password = folder.stored_password()
    assert password and folder.open(password).address() == home.identity.address


def test_a_node_says_which_password_it_lacks(tmp_path: Path) -> None:
    a_folder(tmp_path)
    with pytest.raises(NodeError, match="needs its password"):
        started(tmp_path, Secrets())
    assert WalletFolder(tmp_path).open(PASSWORD) == WALLET


def test_what_is_neither_a_nodes_nor_a_wallets_is_still_left_alone(tmp_path: Path) -> None:
    a_folder(tmp_path)
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(DataDirectoryError, match=r"it holds thesis.txt"):
        DataDirectory(tmp_path).create()
    assert not (tmp_path / "schema").exists()
