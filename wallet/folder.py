"""The wallet's files in a data directory. Start reading at `WalletFolder`.

keystore.json        the secret under its password; `wallet.keystore_file`
keystore.password    only where a node made a wallet and nobody could be asked
wallet.json          accounts, address book, settings, networks met; `wallet.folder_file`
wallet-pending.json  what was sent and is not settled; `wallet.pending`
wallet.lock          held for the milliseconds in which one of the two above is changed

The folder may be a running node's: the wallet never takes the node's lock and writes none of the node's files.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

from chain.address import from_text
from chain.errors import DecodeError
from wallet import folder_file, keystore_file
from wallet.accounts import ACCOUNTS_MAXIMUM, FIRST_LABEL, INDEX_MAXIMUM, Account, account_of
from wallet.book import Book, checked_name, key_of
from wallet.durable import Reached, unwatched
from wallet.errors import (
    DerivationError,
    FolderDamaged,
    FolderError,
    KeystoreCorrupt,
    KeystoreExists,
    OtherWallet,
)
from wallet.files import Remembered, locked, read_bounded, replace_whole
from wallet.folder_file import Content, Setting
from wallet.keys import Wallet
from wallet.pending import PendingFile

PASSWORD_BYTES = 4_096


class WalletFolder:
    """Everything a wallet keeps. What is asked is what lies there now, so that several programs may share a folder."""

    def __init__(self, path: Path, reached: Reached = unwatched) -> None:
        self.path = path
        self._reached = reached
        self._lock = path / "wallet.lock"
        self._file = path / "wallet.json"
        self._kept = Remembered(
            self._file, folder_file.BYTES_MAXIMUM, lambda content: folder_file.parse(content, str(self._file))
        )
        self.keystore = path / "keystore.json"
        self.pending = PendingFile(path / "wallet-pending.json", self._lock, reached)

    @property
    def exists(self) -> bool:
        """Whether there is a keystore, or a link to one that is not at hand. Raises FolderError if nobody may look."""
        try:
            return self.keystore.exists() or self.keystore.is_symlink()
        except OSError as error:
            raise FolderError(
                f"{self.path} cannot be looked into ({error.strerror}): check its name and its permissions"
            ) from None

    # ---- The keystore

    def create(self, words: str | None, password: str, label: str | None = None) -> Wallet:
        """A new wallet, or that of twelve words, kept under a password. Never overwrites one.

        Who shows the words of a new wallet does so before: they are `Wallet.create().words()`, then given here.
        Raises KeystoreExists, MnemonicError, BadPassword, FolderError.
        """
        if self.exists:
            raise KeystoreExists(f"{self.keystore} exists already and is not overwritten: choose another folder")
        wallet = Wallet.create() if words is None else Wallet.from_words(words)
        kept = self.stored_password()
        if kept is not None and kept != password:
            # A node would try that one first, and not open the new wallet.
            raise FolderError(
                f"{self.path / 'keystore.password'} holds another password, of a wallet that was here or was about to "
                "be made: move it away first"
            )
        content = self._content()
        self._check_accounts(content.accounts, wallet)
        name = _first_label(content) if label is None else checked_name(label, _names(content))
        wallet.save(self.keystore, password, reached=self._reached)
        # The keystore is the wallet: what else is kept is made again when it is opened.
        with suppress(FolderError):
            self._change(lambda content: _with_account(content, account_of(wallet, 0, name)))
        return wallet

    def open(self, password: str) -> Wallet:
        """The wallet. Raises KeystoreError, and OtherWallet if wallet.json is of another."""
        try:
            wallet = Wallet.load(self.keystore, password)
        except KeystoreCorrupt as error:
            raise KeystoreCorrupt(
                f"{self.keystore} is damaged ({error}): restore it from a backup, or move it away and restore the "
                "wallet from its twelve words"
            ) from error
        content = self._content()
        self._check_accounts(content.accounts, wallet)
        if any(account.public_key is None for account in content.accounts) or not content.accounts:
            # For drafts without a password; a full disk or one that cannot be written must not lock anybody out.
            with suppress(FolderError):
                self._change(lambda content: self._completed(content, wallet))
        return wallet

    def stored_password(self) -> str | None:
        """The password that a node made because nobody could be asked. Raises FolderError."""
        path = self.path / "keystore.password"
        content = read_bounded(path, PASSWORD_BYTES)
        try:
            return None if content is None else content.decode().strip()
        except ValueError:
            raise FolderDamaged(f"{path} is not text: restore it, or give the password yourself") from None

    def address(self) -> bytes | None:
        """The first address, as the keystore names it, without a password."""
        if not self.exists:
            return None
        named = keystore_file.load(self.keystore).address
        try:
            return from_text(named) if named else None
        except DecodeError as error:
            raise KeystoreCorrupt(f"{self.keystore} names no address ({error}): restore it from a backup") from None

    # ---- Accounts

    def accounts(self) -> tuple[Account, ...]:
        """All accounts, without a password; the first one is the node's. Raises FolderError or KeystoreError."""
        content, first = self._content(), self.address()
        accounts = content.accounts
        if first is None:
            return accounts
        if not accounts:
            return (Account(0, _first_label(content), first),)
        if any(account.index == 0 and account.address != first for account in accounts):
            raise self._of_another_wallet()
        return accounts

    def add_account(self, wallet: Wallet, label: str, index: int | None = None) -> Account:
        """The account of the lowest free address number, or of a given one. Raises NameRefused, DerivationError."""

        def change(content: Content) -> Content:
            content = self._completed(content, wallet)
            taken = {account.index for account in content.accounts}
            wanted = next(number for number in range(len(taken) + 1) if number not in taken) if index is None else index
            if not 0 <= wanted <= INDEX_MAXIMUM or wanted in taken:
                raise DerivationError(f"account {wanted} is there already, or no address number below 2**31")
            if len(taken) >= ACCOUNTS_MAXIMUM:
                raise DerivationError(f"there are {ACCOUNTS_MAXIMUM} accounts, which is all this file holds")
            return _with_account(content, account_of(wallet, wanted, checked_name(label, _names(content))))

        return self._change(change).accounts[-1]

    def label_account(self, index: int, label: str) -> None:
        """Call an account otherwise. Raises NameRefused, DerivationError if there is no such account."""

        def change(content: Content) -> Content:
            accounts = content.accounts or self.accounts()
            if index not in {account.index for account in accounts}:
                raise DerivationError(f"there is no account {index}: add it first")
            others = [account.label for account in accounts if account.index != index]
            name = checked_name(label, (*others, *(entry.name for entry in content.book)))
            labelled = tuple(replace(each, label=name) if each.index == index else each for each in accounts)
            return replace(content, accounts=labelled)

        self._change(change)

    # ---- Names

    @property
    def book(self) -> Book:
        return self._content().book

    def add_name(self, name: str, address: bytes) -> None:
        """Put an address into the book. Raises NameRefused."""

        def change(content: Content) -> Content:
            labels = [account.label for account in content.accounts or self.accounts()]
            return replace(content, book=content.book.added(name, address, labels))

        self._change(change)

    def remove_name(self, name: str) -> None:
        """Raises NameRefused if it is not there."""
        self._change(lambda content: replace(content, book=content.book.removed(name)))

    def find(self, name: str) -> bytes | None:
        """The address of a name in the book, or of an own account's label."""
        wanted = key_of(name)
        own = next((each.address for each in self.accounts() if key_of(each.label) == wanted), None)
        return own if own is not None else self.book.find(name)

    def names(self) -> dict[bytes, str]:
        """What to call addresses: own accounts first."""
        found = {entry.address: entry.name for entry in self.book}
        return found | {account.address: f"your account {account.label}" for account in self.accounts()}

    # ---- Settings and networks

    @property
    def settings(self) -> dict[str, Setting]:
        return dict(self._content().settings)

    def set_setting(self, name: str, value: Setting | None) -> None:
        """Keep a setting; None forgets it. Which there are, and what they may be, their reader decides."""

        def change(content: Content) -> Content:
            rest = {key: each for key, each in content.settings.items() if key != name}
            return replace(content, settings=rest if value is None else rest | {name: value})

        self._change(change)

    def chain_of(self, node: str) -> bytes | None:
        """The chain id that a node at HOST:PORT had when it was asked first."""
        return self._content().chains.get(node)

    def remember_chain(self, node: str, chain_id: bytes) -> None:
        """Of the nodes asked, the latest 64 are remembered."""

        def change(content: Content) -> Content:
            rest = [pair for pair in content.chains.items() if pair[0] != node]
            kept = dict([*rest, (node, chain_id)][-folder_file.CHAINS_MAXIMUM :])
            return replace(content, chains=kept)

        self._change(change)

    # ---- The file

    def _content(self) -> Content:
        try:
            return self._kept.read() or Content()
        except FolderDamaged as error:
            raise FolderDamaged(
                f"{error}; restore it from a backup or move it away: it holds labels and names, no money"
            ) from None

    def _change(self, change: Callable[[Content], Content]) -> Content:
        with locked(self._lock):
            before = self._content()
            after = change(before)
            written = folder_file.to_json(after)
            if written == folder_file.to_json(before):
                return after
            try:
                # What could not be read again is never written.
                folder_file.parse(written, "this cannot be kept")
            except FolderDamaged as error:
                raise FolderError(str(error)) from None
            if len(written) > folder_file.BYTES_MAXIMUM:
                raise FolderError(f"wallet.json has at most {folder_file.BYTES_MAXIMUM} bytes: remove something first")
            replace_whole(self._file, written, self._reached)
            return after

    def _completed(self, content: Content, wallet: Wallet) -> Content:
        """With the first account and all public keys, which only an opened wallet knows."""
        self._check_accounts(content.accounts, wallet)
        known = [(each.index, each.label) for each in content.accounts] or [(0, _first_label(content))]
        return replace(content, accounts=tuple(account_of(wallet, index, label) for index, label in known))

    def _check_accounts(self, accounts: tuple[Account, ...], wallet: Wallet) -> None:
        if not all(account.is_of(wallet) for account in accounts):
            raise self._of_another_wallet()

    def _of_another_wallet(self) -> OtherWallet:
        return OtherWallet(
            f"{self._file} names accounts of another wallet than {self.keystore}: restore the one that fits from a "
            "backup, or move wallet.json away, which holds labels and names and no money"
        )


def _with_account(content: Content, account: Account) -> Content:
    """With an account in the place of the one with its number, whose label stays, or behind the others."""
    if account.index not in {each.index for each in content.accounts}:
        return replace(content, accounts=(*content.accounts, account))
    accounts = (
        replace(account, label=each.label) if each.index == account.index else each for each in content.accounts
    )
    return replace(content, accounts=tuple(accounts))


def _first_label(content: Content) -> str:
    """What the first account is called until its owner says otherwise: something that the book does not name."""
    return next(name for name in _labels() if content.book.find(name) is None)


def _labels() -> Iterator[str]:
    yield FIRST_LABEL
    yield from (f"{FIRST_LABEL}-{number}" for number in count(2))


def _names(content: Content) -> list[str]:
    return [each.label for each in content.accounts] + [entry.name for entry in content.book]
