"""The first start, and every later one: data directory, wallet, network. Start reading at `open_home`."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from chain.address import to_text
from chain.genesis import Network, parse_network
from node.data_directory import DataDirectory, write_atomically
from node.errors import NodeError
from node.identity import Identity
from node.settings import Settings
from node.template import create_network, read_template, template_path
from wallet.keys import Wallet

# Asks the user for a new password (True) or the existing one (False); None where nobody can be asked.
AskPassword = Callable[[bool], str] | None


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """What the user gave to open or make a wallet; printing it shows none."""

    token: str | None = None  # a mnemonic, or the path of a keystore
    password: str | None = None


@dataclass(slots=True)
class Home:
    """An opened data directory. `words` is set only when a wallet has just been made: to be shown once."""

    directory: DataDirectory
    network: Network
    identity: Identity
    words: str | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def address_text(self) -> str:
        return to_text(self.identity.address)


def open_home(settings: Settings, given: Secrets, ask: AskPassword) -> Home:
    """Lock the directory; make or open wallet and network. Raises NodeError, WalletError or InvalidGenesis."""
    directory = DataDirectory(settings.data_directory)
    directory.lock()
    try:
        directory.create()
        notes: list[str] = []
        wallet, words = _wallet(directory, given, ask, notes)
        identity = Identity.of(wallet)
        network = _network(directory, settings, identity, notes)
    except BaseException:
        directory.unlock()
        raise
    return Home(directory, network, identity, words, notes)


def _wallet(directory: DataDirectory, given: Secrets, ask: AskPassword, notes: list[str]) -> tuple[Wallet, str | None]:
    path = directory / "keystore.json"
    if path.exists():
        wallet = Wallet.load(path, _password(directory, given, ask))
        if given.token is not None and _from_token(given.token, given, ask) != wallet:
            raise NodeError(f"{directory.root} belongs to another wallet than the token's: choose another --data-dir")
        return wallet, None
    wallet = Wallet.create() if given.token is None else _from_token(given.token, given, ask)
    password = given.password or (ask(True) if ask else None)
    if password is None:
        password = secrets.token_urlsafe(24)
        write_atomically(directory / "keystore.password", password.encode())
        notes.append(
            f"Nobody could be asked for a password: one was made and kept in {directory / 'keystore.password'}"
        )
    wallet.save(path, password)
    notes.append(f"Wallet kept in {path}")
    return wallet, None if given.token is not None else wallet.words()


def _from_token(token: str, given: Secrets, ask: AskPassword) -> Wallet:
    """The wallet of a mnemonic, or of the keystore at a path."""
    path = _existing(token)
    if path is None:
        return Wallet.from_words(token)
    password = given.password or (ask(False) if ask else None)
    if password is None:
        raise NodeError("the token is a keystore: give its password in NEUROSHARD_PASSWORD or with --password-file")
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
        return generated.read_text().strip()
    if ask is None:
        raise NodeError("the wallet needs its password: set NEUROSHARD_PASSWORD or give --password-file")
    return ask(False)


def _network(directory: DataDirectory, settings: Settings, identity: Identity, notes: list[str]) -> Network:
    path = directory / "network"
    content = None if settings.network_file is None else _read(settings.network_file)
    if path.exists():
        network = parse_network(path.read_bytes())
        if content is not None and content != path.read_bytes():
            raise NodeError(
                f"{directory.root} belongs to another network: choose another --data-dir for {settings.network_file}"
            )
    elif content is not None:
        network = parse_network(content)
        write_atomically(path, content)
    else:
        template = read_template(template_path(), settings.profile)
        created_ms = time.time_ns() // 1_000_000
        network = create_network(template, template["name"], created_ms, (identity.bootstrap_validator(),))
        write_atomically(path, network.file_bytes())
        notes.append(f"New network of one: chain {network.chain_id.hex()[:16]}, profile {settings.profile}")
    keys = [validator.public_key for validator in network.validators]
    if keys != [identity.validator_public_key]:
        raise NodeError(
            "this network has validators on other machines and this version cannot connect to them: "
            "start without --network to run a network of one"
        )
    return network


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise NodeError(f"cannot read {path}: {error.strerror}") from error
