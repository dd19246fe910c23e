"""The wallet of a data directory, and which of its node keys this directory uses. Start reading at `Purse`."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from node.data_directory import DataDirectory, write_atomically
from node.errors import NodeError, NoPassword, disk_advice
from node.failpoints import moments_of
from node.identity import Identity
from node.node_key import INDEXES, index_text, kept_index
from wallet.errors import KeystoreCorrupt, WrongPassword
from wallet.keys import Wallet

OTHER_WAY_IN = "restore them from a backup, or move them away and give your twelve words with --token-file"
# Asks the user for a new password (True) or the existing one (False); None where nobody can be asked.
AskPassword = Callable[[bool], str] | None
ShowWords = Callable[[str], None] | None


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """What the user gave to open or make a wallet; printing it shows none."""

    token: str | None = None  # a mnemonic, or the path of a keystore
    password: str | None = None


@dataclass(slots=True, repr=False)
class Purse:
    """The wallet in use: opened, or made and not kept yet. `words` is set only when it has just been made."""

    wallet: Wallet
    node_index: int
    is_new: bool
    words: str | None
    notes: list[str] = field(default_factory=list)

    @property
    def identity(self) -> Identity:
        return Identity.of(self.wallet, self.node_index)


def open_purse(directory: DataDirectory, given: Secrets, ask: AskPassword) -> Purse:
    """The directory's wallet, or a new one of which nothing is written. Raises NodeError or WalletError."""
    is_new = not (directory / "keystore.json").exists()
    wallet = _new_wallet(given, ask) if is_new else _opened_wallet(directory, given, ask)
    index = kept_index(directory / "node-key")
    if index is None:
        # By chance, so that the same wallet on several machines is several nodes.
        index = 1 + secrets.randbelow(INDEXES - 1)
    return Purse(wallet, index, is_new, wallet.words() if is_new and given.token is None else None)


def keep_purse(
    purse: Purse, directory: DataDirectory, given: Secrets, ask: AskPassword, show: ShowWords = None
) -> None:
    """Write what is not written yet, after showing the words of a new wallet: if `show` raises, there is none.

    The keystore is written last: a start that fails before leaves nothing behind that hides the words.
    """
    if purse.is_new:
        given = _asked(directory, given, ask)
        if purse.words is not None and show is not None:
            show(purse.words)
        password = _new_password(directory, given, ask, purse.notes)
    if not (directory / "node-key").exists():
        _write(directory / "node-key", index_text(purse.node_index).encode(), "node-key")
    if purse.is_new:
        _save_wallet(directory, purse.wallet, password, purse.notes)


def _opened_wallet(directory: DataDirectory, given: Secrets, ask: AskPassword) -> Wallet:
    path = directory / "keystore.json"
    try:
        wallet = Wallet.load(path, _password(directory, given, ask))
    except KeystoreCorrupt as error:
        raise KeystoreCorrupt(f"{path} is damaged ({error}): {OTHER_WAY_IN}") from error
    except WrongPassword as error:
        if given.password is not None or not (directory / "keystore.password").exists():
            raise
        raise WrongPassword(
            f"the password in {directory / 'keystore.password'} does not open {path}, so one of the two is damaged: "
            f"{OTHER_WAY_IN}"
        ) from error
    if given.token is not None and _from_token(given.token, given, ask) != wallet:
        raise NodeError(f"{directory.root} belongs to another wallet than the token's: choose another --data-dir")
    return wallet


def _new_wallet(given: Secrets, ask: AskPassword) -> Wallet:
    return Wallet.create() if given.token is None else _from_token(given.token, given, ask)


def _asked(directory: DataDirectory, given: Secrets, ask: AskPassword) -> Secrets:
    """With the password of a new wallet, if there is somebody to ask: before the words are shown."""
    if given.password is not None or ask is None or (directory / "keystore.password").exists():
        return given
    return replace(given, password=ask(True))


def _new_password(directory: DataDirectory, given: Secrets, ask: AskPassword, notes: list[str]) -> str:
    """The password of a new keystore. A generated one is never overwritten: an older keystore may need it."""
    path = directory / "keystore.password"
    if given.password is not None or ask is not None or path.exists():
        return given.password or (_generated(path) if path.exists() else ask(True) if ask else "")
    password = secrets.token_urlsafe(24)
    _write(path, password.encode(), "password")
    notes.append(f"Nobody could be asked for a password: one was made and kept in {path}")
    return password


def _generated(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise NodeError(
            f"cannot read {path}: {reason}; restore it, or give the password with --password-file"
        ) from error


def _save_wallet(directory: DataDirectory, wallet: Wallet, password: str, notes: list[str]) -> None:
    path = directory / "keystore.json"
    wallet.save(path, password, reached=moments_of("keystore"))
    notes.append(f"Wallet kept in {path}")


def _from_token(token: str, given: Secrets, ask: AskPassword) -> Wallet:
    """The wallet of a mnemonic, or of the keystore at a path."""
    path = _existing(token)
    if path is None:
        return Wallet.from_words(token)
    password = given.password or (ask(False) if ask else None)
    if password is None:
        raise NoPassword("the token is a keystore: give its password in NEUROSHARD_PASSWORD or with --password-file")
    return Wallet.load(path, password)


def _existing(token: str) -> Path | None:
    """The file that a token names, if there is one."""
    try:
        path = Path(token).expanduser()
        return path if path.is_file() else None
    except (OSError, ValueError, RuntimeError):  # too long for a name, or of an unknown user
        return None


def _password(directory: DataDirectory, given: Secrets, ask: AskPassword) -> str:
    if given.password is not None:
        return given.password
    generated = directory / "keystore.password"
    if generated.exists():
        return _generated(generated)
    if ask is None:
        raise NoPassword(
            "the wallet needs its password: set NEUROSHARD_PASSWORD, give --password-file, or restore "
            f"{generated} if it was kept there"
        )
    return ask(False)


def _write(path: Path, content: bytes, place: str) -> None:
    try:
        write_atomically(path, content, place)
    except OSError as error:
        raise NodeError(f"cannot write {path}: {disk_advice(error)}") from error
