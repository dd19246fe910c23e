"""`neuroshard network`: make a network file, and tell what one is made of."""

import json
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from chain.address import to_text
from chain.genesis import BootstrapValidator, Network
from node.commands.asking import asker, show_words
from node.commands.opening import network_of
from node.commands.status import ask
from node.corpus_choice import with_own_corpus
from node.data_directory import DataDirectory
from node.errors import NodeError, disk_advice
from node.network_file import given_network, read_network_file
from node.setting_kinds import shown
from node.template import create_network, read_template, template_path, with_numbers
from node.validator_record import TEXT_MAXIMUM, read_record, record_text
from node.wallet_files import Secrets, keep_purse, open_purse

FOUNDERS_MAXIMUM = 7
NAME_BYTES_MAXIMUM = 64


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a new network is to be."""

    name: str | None  # None: the template's
    profile: str
    validators: tuple[str, ...]  # records, or files that hold one; none: this wallet
    numbers: tuple[str, ...]  # NAME=N


def create(data_directory: Path, wishes: Wishes, given: Secrets, out: Path, as_json: bool) -> None:
    """Write a new network file. Raises NodeError, WalletError, InvalidGenesis or CorpusError."""
    if out.exists() or out.is_symlink():
        raise NodeError(f"{out} is there already: a network file is never overwritten, choose another name with -o")
    template = with_numbers(read_template(template_path(), wishes.profile), wishes.numbers)
    template = with_own_corpus(template, data_directory)
    name = checked_name(template["name"] if wishes.name is None else wishes.name)
    founders = founders_of(wishes.validators) if wishes.validators else (own_record(data_directory, given),)
    network = create_network(template, name, time.time_ns() // 1_000_000, founders)
    write_new(out, network.file_bytes())
    facts = {**facts_of(network), "file": str(out)}
    if as_json:
        click.echo(json.dumps(facts))
        return
    click.echo(f"Network {name}, chain {network.chain_id.hex()}, is in {out}")
    for founder in network.validators:
        click.echo(f"bootstrap validator {founder.public_key.hex()[:16]}, paid to {to_text(founder.payout)}")
    first = "Start with" if len(founders) == 1 else "Each of them starts with"
    peer = "" if len(founders) == 1 else " --peer HOST:PORT (of another one)"
    click.echo(f"{first}: neuroshard --network {out} --listen HOST:PORT{peer}")


def checked_name(name: str) -> str:
    """A network's name. Raises NodeError."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        size = 0
    if not 1 <= size <= NAME_BYTES_MAXIMUM or not name.isprintable():
        raise NodeError(f"--name {shown(name)}: a name has 1 to {NAME_BYTES_MAXIMUM} bytes of printable text")
    return name


def founders_of(records: Iterable[str]) -> tuple[BootstrapValidator, ...]:
    """The bootstrap validators of records or of files that hold one. Raises NodeError."""
    found: dict[bytes, BootstrapValidator] = {}
    for text in records:
        founder = read_record(_record_in(text))
        if founder.public_key in found:
            raise NodeError(f"the validator {founder.public_key.hex()[:16]} is given twice")
        found[founder.public_key] = founder
    if len(found) > FOUNDERS_MAXIMUM:
        raise NodeError(f"a network begins with 1 to {FOUNDERS_MAXIMUM} bootstrap validators, these are {len(found)}")
    return tuple(found.values())


def _record_in(text: str) -> str:
    """The content of a file of this name, if there is one."""
    try:
        path = Path(text).expanduser()
        if not path.is_file():
            return text
        with path.open("rb") as file:
            return file.read(TEXT_MAXIMUM + 1).decode("ascii", "replace")
    except (ValueError, RuntimeError):
        return text
    except OSError as error:
        if len(text) > 255:  # longer than any name of a file
            return text
        raise NodeError(f"cannot read {shown(text)}: {disk_advice(error)}") from error


def own_record(data_directory: Path, given: Secrets) -> BootstrapValidator:
    """A data directory's wallet as a validator; it is made if there is none. Raises NodeError or WalletError."""
    directory, console = DataDirectory(data_directory), Console(stderr=True, highlight=False)
    has_wallet = (directory / "schema").exists() and (directory / "keystore.json").exists()
    if not has_wallet:
        directory.lock()
    try:
        if not has_wallet:
            directory.create()
            if (directory / "network").exists():
                raise NodeError(f"{directory / 'keystore.json'} is missing: restore it from a backup")
        purse = open_purse(directory, given, asker())
        if not has_wallet:
            keep_purse(purse, directory, given, asker(), lambda words: show_words(words, console))
    finally:
        directory.unlock()
    for note in purse.notes:
        console.print(note)
    return purse.identity.bootstrap_validator()


def write_new(path: Path, content: bytes) -> None:
    """Write a file that was not there. Raises NodeError."""
    try:
        with path.open("xb") as file:
            try:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                path.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise NodeError(f"cannot write {path}: {disk_advice(error)}") from error


def key(data_directory: Path, given: Secrets, as_json: bool) -> None:
    """Print the record of this wallet's validator. Raises NodeError or WalletError."""
    founder = own_record(data_directory, given)
    record = record_text(founder)
    facts = {"record": record, "public_key": founder.public_key.hex(), "payout": to_text(founder.payout)}
    click.echo(json.dumps(facts) if as_json else record)


def show(data_directory: Path, file: Path | None, as_json: bool) -> None:
    """Print the network of a file, or of a data directory. Raises NodeError or InvalidGenesis."""
    directory = DataDirectory(data_directory)
    network = network_of(directory) if file is None else given_network(read_network_file(file), str(file))
    content = {**facts_of(network), "join": joining(file or directory / "network", data_directory, file is None)}
    if as_json:
        click.echo(json.dumps(content))
        return
    for name, value in content.items():
        if name == "parameters":
            click.echo("\n".join(f"{parameter} = {number}" for parameter, number in value.items()))
        elif name == "validators":
            for validator in value:
                click.echo(f"bootstrap validator: {validator['public_key']}, paid to {validator['payout']}")
        else:
            click.echo(f"{name}: {value}")


def facts_of(network: Network) -> dict[str, Any]:
    """What a network is made of."""
    return {
        "chain_id": network.chain_id.hex(),
        "name": network.name.decode(),
        "created_ms": network.created_ms,
        "model_seed": network.model_seed.hex(),
        "tokenizer_sha256": network.tokenizer_hash.hex(),
        "corpus_root": network.corpus_root.hex(),
        "start_model_root": network.start.model_root.hex(),
        "validators": [{"public_key": v.public_key.hex(), "payout": to_text(v.payout)} for v in network.validators],
        "parameters": {p.name.decode(): p.value for p in network.parameters},
    }


def joining(file: Path, data_directory: Path, is_ours: bool) -> str:
    """The command that another machine needs, with the address of the node that runs here, if one listens."""
    address = "HOST:PORT"
    if is_ours:
        with suppress(NodeError):
            address = str(ask(data_directory).get("listen") or address)
    return f"neuroshard --network {file.name} --peer {address}   (with a copy of {file})"
