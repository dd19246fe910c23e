"""The first start, and every later one: data directory, wallet, network. Start reading at `open_home`."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from chain.address import to_text
from chain.errors import DecodeError, NeuroError
from chain.genesis import NETWORK_BYTES_MAXIMUM, NETWORK_PREFIX, Network, Params, parse_network
from node.corpus_choice import with_own_corpus
from node.data_directory import DataDirectory, write_atomically
from node.errors import DataDirectoryError, NodeError, disk_advice
from node.failpoints import moments_of
from node.identity import Identity
from node.settings import Settings
from node.template import Learning, create_network, read_template, template_path
from wallet.errors import KeystoreCorrupt, WrongPassword
from wallet.keys import Wallet

OTHER_SECTIONS = (b"model", b"inner", b"outer")  # of a network's parameters, beside the ledger's
OTHER_WAY_IN = "restore them from a backup, or move them away and give your twelve words with --token-file"
# Asks the user for a new password (True) or the existing one (False); None where nobody can be asked.
AskPassword = Callable[[bool], str] | None
ShowWords = Callable[[str], None] | None


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


def open_home(settings: Settings, given: Secrets, ask: AskPassword, show: ShowWords = None) -> Home:
    """Lock the directory; make or open wallet and network. Raises NodeError, WalletError or InvalidGenesis.

    The words of a new wallet go to `show` before the wallet is kept: if it raises, nothing that counts has been made.
    """
    directory = DataDirectory(settings.data_directory)
    directory.lock()
    try:
        kept = _kept(directory)
        directory.create()
        notes: list[str] = []
        _check_complete(directory, given)
        # The keystore is written last: a start that fails before leaves nothing behind that hides the words.
        content = None if settings.network_file is None else _read(settings.network_file)
        is_new = not (directory / "keystore.json").exists()
        wallet = _new_wallet(given, ask) if is_new else _opened_wallet(directory, given, ask)
        words = wallet.words() if is_new and given.token is None else None
        identity = Identity.of(wallet)
        network = _network(directory, settings, identity, content, kept)
        if is_new:
            given = _asked(directory, given, ask)
            if words is not None and show is not None:
                show(words)
            _save_wallet(directory, wallet, _new_password(directory, given, ask, notes), notes)
        if not (directory / "network").exists():
            _write(directory / "network", network.file_bytes(), "network")
            notes.append(f"New network of one: chain {network.chain_id.hex()[:16]}, profile {settings.profile}")
    except BaseException:
        directory.unlock()
        raise
    return Home(directory, network, identity, words, notes)


def _check_complete(directory: DataDirectory, given: Secrets) -> None:
    """Refuse a directory that has lost a part which cannot be made again: making a new one would bury the old."""
    has_ledger = any((directory / "ledger").iterdir())
    if has_ledger and not (directory / "network").exists():
        raise NodeError(
            f"{directory / 'network'} is missing and the ledger beside it belongs to that network: "
            "restore the file from a backup, or start anew with another --data-dir"
        )
    # A password alone is what a first start leaves behind that was cut short: it is used for the wallet to come.
    leftovers = has_ledger or (directory / "network").exists()
    if leftovers and given.token is None and not (directory / "keystore.json").exists():
        raise NodeError(
            f"{directory / 'keystore.json'} is missing: restore it from a backup, or give your twelve words "
            "with --token-file; to start anew choose another --data-dir"
        )
    if has_ledger and not (directory / "sign-state").exists() and any((directory / "payloads").iterdir()):
        raise NodeError(
            f"{directory / 'sign-state'} is missing, so this node no longer knows what it has voted: "
            "restore the whole data directory from a backup, or start anew with another --data-dir"
        )


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
        return _generated(generated)
    if ask is None:
        raise NodeError(
            "the wallet needs its password: set NEUROSHARD_PASSWORD, give --password-file, or restore "
            f"{generated} if it was kept there"
        )
    return ask(False)


def _kept(directory: DataDirectory) -> Network | None:
    """The directory's network, read before anything is changed: one that we cannot run is left as it is."""
    if not (directory / "schema").exists() or not (directory / "network").exists():
        return None
    directory.schema()
    return kept_network(directory / "network")


def _network(
    directory: DataDirectory, settings: Settings, identity: Identity, content: bytes | None, kept: Network | None
) -> Network:
    """The network to run: the directory's, the given file's, or a new one. Nothing is written here."""
    if kept is not None:
        network = kept
        if content is not None and content != kept.file_bytes():
            raise NodeError(
                f"{directory.root} belongs to another network: choose another --data-dir for {settings.network_file}"
            )
    elif content is not None:
        network = given_network(content, str(settings.network_file))
    else:
        template = with_own_corpus(read_template(template_path(), settings.profile), directory.root)
        created_ms = time.time_ns() // 1_000_000
        network = create_network(template, template["name"], created_ms, (identity.bootstrap_validator(),))
    keys = [validator.public_key for validator in network.validators]
    if keys != [identity.validator_public_key]:
        raise NodeError(
            "this network has validators on other machines and this version cannot connect to them: "
            "start without --network, with an empty --data-dir, to run a network of one"
        )
    return network


def _write(path: Path, content: bytes, place: str) -> None:
    try:
        write_atomically(path, content, place)
    except OSError as error:
        raise NodeError(f"cannot write {path}: {disk_advice(error)}") from error


def kept_network(path: Path) -> Network:
    """The network file of a data directory. Raises DataDirectoryError."""
    content = _read(path)
    if version := _version_of_other_rules(content):
        raise DataDirectoryError(
            f"the network in {path.parent} was made by {version}: start anew with another --data-dir, "
            "or use the version that made it"
        )
    try:
        network = parse_network(content)
        Learning.of(network)  # its numbers may be damaged too
        return network
    except NeuroError as error:
        raise DataDirectoryError(f"{path} is damaged ({error}): restore it from a backup") from error


def given_network(content: bytes, name: str) -> Network:
    """The network of a file that the user names. Raises NodeError or InvalidGenesis."""
    if version := _version_of_other_rules(content):
        raise NodeError(f"the network in {name} was made by {version}: ask for a new file, or use that version")
    return parse_network(content)


def _version_of_other_rules(content: bytes) -> str:
    """What made a whole network file whose ledger has other parameters than this program's; nothing for any other."""
    try:
        network = Network.decode(content[len(NETWORK_PREFIX) :])
    except DecodeError:
        return ""
    names = {parameter.name for parameter in network.parameters}
    wanted = {f"chain.{field.name}".encode() for field in fields(Params)}
    missing = sorted(wanted - names)
    unknown = sorted(name for name in names - wanted if name.split(b".")[0] not in OTHER_SECTIONS)
    # Rules are only ever added: a name that is missing and another that is unknown are a damaged one.
    if missing and not unknown:
        return f"an earlier version with other rules (it lacks {_some(missing)})"
    if unknown and not missing:
        return f"a later version with other rules (it has {_some(unknown)})"
    return ""


def _some(names: list[bytes]) -> str:
    """The first name, and how many there are."""
    first = ascii(names[0].decode("utf-8", "replace")).strip("'")
    return first if len(names) == 1 else f"{first} and {len(names) - 1} more"


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(NETWORK_BYTES_MAXIMUM + 1)
    except OSError as error:
        raise NodeError(f"cannot read {path}: {disk_advice(error)}") from error
