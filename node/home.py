"""The first start, and every later one: data directory, wallet, network. Start reading at `open_home`."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from chain.address import to_text
from chain.genesis import Network
from node.corpus_choice import with_own_corpus
from node.data_directory import DataDirectory, write_atomically
from node.errors import NodeError, disk_advice
from node.identity import Identity
from node.network_file import given_network, kept_network, read_network_file
from node.settings import Settings
from node.template import create_network, read_template, template_path
from node.wallet_files import AskPassword, Secrets, ShowWords, keep_purse, open_purse


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
        _check_complete(directory, given)
        content = None if settings.network_file is None else read_network_file(settings.network_file)
        purse = open_purse(directory, given, ask)
        network = _network(directory, settings, purse.identity, content, kept)
        _check_reachable(network, settings, purse.identity)
        keep_purse(purse, directory, given, ask, show)
        if not (directory / "network").exists():
            _write(directory / "network", network.file_bytes(), "network")
            purse.notes.append(_told(network, settings, purse.identity))
    except BaseException:
        directory.unlock()
        raise
    return Home(directory, network, purse.identity, purse.words, purse.notes)


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
    elif settings.peers:
        raise NodeError(
            "--peer leads into an existing network: give its file with --network FILE; without it this start would "
            "make a new network of one"
        )
    else:
        template = with_own_corpus(read_template(template_path(), settings.profile), directory.root)
        created_ms = time.time_ns() // 1_000_000
        network = create_network(template, template["name"], created_ms, (identity.bootstrap_validator(),))
    return network


def _others(network: Network, identity: Identity) -> int:
    """How many bootstrap validators are other wallets than ours."""
    return sum(validator.public_key != identity.validator_public_key for validator in network.validators)


def _check_reachable(network: Network, settings: Settings, identity: Identity) -> None:
    """Refuse to wait for others who cannot be found."""
    if _others(network, identity) and not settings.peers and settings.listen is None:
        raise NodeError(
            "this network has validators on other machines, and this node would find nobody: give --peer HOST:PORT, "
            "the address of one of its nodes, or --listen HOST:PORT, where they can connect to this one"
        )


def _told(network: Network, settings: Settings, identity: Identity) -> str:
    """What network this directory has from now on."""
    chain, founders = network.chain_id.hex()[:16], len(network.validators)
    if settings.network_file is None:
        return f"New network of one: chain {chain}, profile {settings.profile}"
    part = "is not one of them" if _others(network, identity) == founders else "is one of them"
    who = "one bootstrap validator" if founders == 1 else f"{founders} bootstrap validators"
    part = part if founders > 1 else part.replace("one of them", "it")
    return f"Network {network.name.decode()}: chain {chain}, {who}; this wallet {part}"


def _write(path: Path, content: bytes, place: str) -> None:
    try:
        write_atomically(path, content, place)
    except OSError as error:
        raise NodeError(f"cannot write {path}: {disk_advice(error)}") from error
