"""A full disk, or a death, at every step of every write: what was there is there, or what was to come."""

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.wallet.cases import BOB, CHAIN, OTHER, PASSWORD, WALLET, a_draft, a_folder, a_sent
from wallet import folder as folder_module
from wallet import keystore_file, transaction_file
from wallet.durable import Reached
from wallet.errors import FolderError, KeystoreError, TransactionFileError, WalletError
from wallet.files import replace_whole
from wallet.folder import WalletFolder
from wallet.transaction_file import TransactionFile

pytestmark = pytest.mark.usefixtures("cheap")

REPLACED = ("before", "written", "synced", "renamed", "durable")
NEW = ("before", "written", "synced", "named", "durable")


def failing_at(step: str, number: int) -> Reached:
    def reached(passed: str) -> None:
        if passed == step:
            raise OSError(number, os.strerror(number))

    return reached


def dying_at(step: str) -> Reached:
    def reached(passed: str) -> None:
        if passed == step:
            os.kill(os.getpid(), signal.SIGKILL)

    return reached


def die(doing: Callable[[], object]) -> None:
    """Do it in a process of its own, which has to be killed by it."""
    child = os.fork()
    if child == 0:
        try:
            doing()
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def state_of(folder: WalletFolder) -> tuple[object, ...]:
    return folder.accounts(), folder.book, folder.settings, folder.chain_of("a:1"), folder.pending.read()


CHANGES: dict[str, Callable[[WalletFolder], object]] = {
    "account": lambda folder: folder.add_account(WALLET, "savings"),
    "label": lambda folder: folder.label_account(0, "daily"),
    "name": lambda folder: folder.add_name("other", bytes(21)),
    "remove": lambda folder: folder.remove_name("bob"),
    "setting": lambda folder: folder.set_setting("idle", 5),
    "chain": lambda folder: folder.remember_chain("a:1", CHAIN),
    "record": lambda folder: folder.pending.record(a_sent(1)),
    "forget": lambda folder: folder.pending.forget(a_sent(0).id),
    "settle": lambda folder: folder.pending.settle(WALLET.address(), CHAIN, 5, 2**50),
}


@pytest.fixture
def path(tmp_path: Path, cheap: None) -> Path:
    folder = a_folder(tmp_path)
    folder.add_name("bob", BOB)
    folder.pending.record(a_sent(0))
    return tmp_path


def outcome(path: Path, before: tuple[object, ...], change: Callable[[WalletFolder], object]) -> str:
    """Whether the old or the new content is there; whichever it is, the wallet opens and the change can be made."""
    after = state_of(WalletFolder(path))
    folder = WalletFolder(path)
    assert folder.open(PASSWORD) == WALLET
    if after == before:
        change(folder)
        assert state_of(folder) != before
        return "old"
    return "new"


@pytest.mark.parametrize("step", REPLACED)
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_death_at_any_step_leaves_old_or_new(path: Path, step: str, change: Callable[[WalletFolder], object]) -> None:
    before = state_of(WalletFolder(path))
    die(lambda: change(WalletFolder(path, dying_at(step))))
    assert outcome(path, before, change) == ("new" if step in ("renamed", "durable") else "old")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("step", REPLACED)
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_failing_disk_is_told_in_words_and_leaves_old_or_new(
    path: Path, step: str, change: Callable[[WalletFolder], object], number: int
) -> None:
    before = state_of(WalletFolder(path))
    with pytest.raises(FolderError, match="check the free space"):
        change(WalletFolder(path, failing_at(step, number)))
    assert not list(path.glob("*.partial"))
    assert outcome(path, before, change) == ("new" if step in ("renamed", "durable") else "old")


@pytest.mark.parametrize("step", NEW)
def test_a_wallet_that_is_being_made_is_there_or_not(tmp_path: Path, step: str) -> None:
    die(lambda: WalletFolder(tmp_path, dying_at(step)).create(WALLET.words(), PASSWORD))
    folder = WalletFolder(tmp_path)
    assert folder.exists == (step in ("named", "durable"))
    if folder.exists:
        assert folder.open(PASSWORD) == WALLET and folder.accounts()[0].public_key is not None
    else:
        # Another one can be made in its place.
        assert folder.create(OTHER.words(), PASSWORD) == OTHER
    assert [each.address for each in folder.accounts()] == [folder.open(PASSWORD).address()]


@pytest.mark.parametrize("step", NEW)
def test_a_disk_that_is_full_makes_no_half_wallet(tmp_path: Path, step: str) -> None:
    with pytest.raises(KeystoreError, match="free space"):
        WalletFolder(tmp_path, failing_at(step, errno.ENOSPC)).create(WALLET.words(), PASSWORD)
    folder = WalletFolder(tmp_path)
    assert folder.exists == (step in ("named", "durable")) and not list(tmp_path.glob(".keystore-*"))
    assert (folder.open(PASSWORD) if folder.exists else folder.create(WALLET.words(), PASSWORD)) == WALLET


@pytest.mark.parametrize("step", NEW)
def test_a_transaction_file_is_there_whole_or_not(tmp_path: Path, step: str) -> None:
    path, content = tmp_path / "payment.json", TransactionFile(a_draft(), "net")
    with pytest.raises(TransactionFileError, match="free space"):
        transaction_file.save(path, content, failing_at(step, errno.ENOSPC))
    assert path.exists() == (step in ("named", "durable"))
    path.unlink(missing_ok=True)
    die(lambda: transaction_file.save(path, content, dying_at(step)))
    if step in ("named", "durable"):
        assert transaction_file.load(path) == content
    else:
        assert not path.exists()
        transaction_file.save(path, content)


def test_every_step_is_told_in_its_order(path: Path) -> None:
    told: list[str] = []
    folder = WalletFolder(path, told.append)
    for change in CHANGES.values():
        change(folder)
    assert told == list(REPLACED) * len(CHANGES)


def test_content_reaches_the_disk_before_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    fsync = os.fsync

    def record(descriptor: int) -> None:
        seen.append((tmp_path / "file").exists())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    replace_whole(tmp_path / "file", b"content")
    assert seen == [False, True]


def test_what_lies_in_the_place_of_a_draft_is_not_written_into(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / "wallet.json.partial").symlink_to(precious)
    WalletFolder(tmp_path).add_name("bob", BOB)
    assert precious.read_text() == "mine" and WalletFolder(tmp_path).find("bob") == BOB


def test_a_lock_that_cannot_be_made_is_a_named_error(tmp_path: Path) -> None:
    (tmp_path / "wallet.lock").mkdir()
    with pytest.raises(FolderError, match="permissions"):
        WalletFolder(tmp_path).add_name("bob", BOB)


def test_a_program_that_dies_in_a_change_leaves_no_lock(path: Path) -> None:
    die(lambda: WalletFolder(path, dying_at("synced")).add_name("other", bytes(21)))
    WalletFolder(path).add_name("other", bytes(21))
    assert not list(path.glob("*.partial"))


def test_every_error_of_these_is_of_the_family() -> None:
    assert issubclass(FolderError, WalletError) and issubclass(TransactionFileError, WalletError)
    assert folder_module.keystore_file is keystore_file
