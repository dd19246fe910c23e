"""What a local network consists of: its wallets and its network file, made once and kept in one folder.

localnet.json   how many nodes and founders it has, and where they listen now
network         the network file
node-0/ ...     the data directories            output/   what each process writes to its terminal
"""

import fcntl
import json
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chain.genesis import BootstrapValidator
from node.data_directory import DataDirectory, read_json, write_atomically
from node.errors import DataDirectoryError, NodeError, disk_advice
from node.identity import Identity
from node.network_file import kept_network
from node.template import create_network, read_template, template_path, with_numbers
from wallet import keystore_file
from wallet.keys import Wallet

NODES_MAXIMUM = 64
FOUNDERS_MAXIMUM = 7
NOTE = "localnet.json"
# The password lies beside the keystore: there is nothing to protect by a slow check, and many nodes start at once.
SCRYPT_N = 1024


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user asked for; None: as the folder has it, else the default."""

    nodes: int | None = None
    founders: int | None = None
    profile: str | None = None
    numbers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """A local network. Node i is a bootstrap validator if i is below `founders`."""

    root: Path
    nodes: int
    founders: int
    profile: str

    @property
    def network(self) -> Path:
        return self.root / "network"

    def home(self, number: int) -> Path:
        return self.root / f"node-{number}"

    def output(self, number: int) -> Path:
        return self.root / "output" / f"node-{number}.txt"

    def keep(self, addresses: list[Mapping[str, Any]]) -> None:
        """Write down what this network is and where its nodes listen. Raises NodeError."""
        note = {"nodes": self.nodes, "validators": self.founders, "profile": self.profile, "addresses": addresses}
        try:
            write_atomically(self.root / NOTE, json.dumps(note, indent=1).encode() + b"\n")
        except OSError as error:
            raise NodeError(f"cannot write {self.root / NOTE}: {disk_advice(error)}") from error


def lock(root: Path) -> int:
    """Keep every other localnet away from the folder while the descriptor is open. Raises DataDirectoryError."""
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        foreign = sorted(entry.name for entry in root.iterdir() if not _is_ours(entry.name))
        if foreign:
            raise DataDirectoryError(
                f"{root} holds something else ({foreign[0]}): choose an empty folder with --data-dir"
            )
        descriptor = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DataDirectoryError(f"cannot use {error.filename or root}: {disk_advice(error)}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise DataDirectoryError(
            f"another localnet is running in {root}: stop it first, or choose another folder with --data-dir"
        ) from None
    return descriptor


def _is_ours(name: str) -> bool:
    return name in (NOTE, NOTE + ".partial", "network", "network.partial", "output", "lock") or name.startswith("node-")


def prepared(root: Path, wishes: Wishes) -> Plan:
    """The network of the folder, or a new one. Raises NodeError or InvalidGenesis."""
    note = read_json(root / NOTE)
    try:
        kept = None if note is None else Plan(root, note["nodes"], note["validators"], note["profile"])
    except KeyError as error:
        raise DataDirectoryError(f"{root / NOTE} is damaged: remove {root} and begin anew") from error
    plan = _new_plan(root, wishes) if kept is None else _continued(kept, wishes)
    for number in range(plan.nodes):
        _wallet(plan.home(number))
    plan.output(0).parent.mkdir(exist_ok=True)
    if plan.network.exists():
        network = kept_network(plan.network)
        keys = [founder.public_key for founder in network.validators]
        if keys != [_founder(plan.home(number)).public_key for number in range(plan.founders)]:
            raise DataDirectoryError(f"the wallets in {root} are not those of its network: remove it and begin anew")
    else:
        _make_network(plan, wishes)
    plan.keep([])
    return plan


def _new_plan(root: Path, wishes: Wishes) -> Plan:
    nodes = 4 if wishes.nodes is None else wishes.nodes
    founders = min(nodes, 4) if wishes.founders is None else wishes.founders
    if founders > min(nodes, FOUNDERS_MAXIMUM):
        raise NodeError(
            f"--validators {founders}: of {nodes} nodes 1 to {min(nodes, FOUNDERS_MAXIMUM)} can be bootstrap validators"
        )
    return Plan(root, nodes, founders, wishes.profile or "lab")


def _continued(kept: Plan, wishes: Wishes) -> Plan:
    """The network that is there, perhaps with more nodes or without the last of them."""
    nodes = kept.nodes if wishes.nodes is None else wishes.nodes
    same = (wishes.founders in (None, kept.founders), wishes.profile in (None, kept.profile), not wishes.numbers)
    if not all(same) or nodes < kept.founders:
        raise NodeError(
            f"{kept.root} has a network already (profile {kept.profile}, {kept.founders} bootstrap validators), which "
            "cannot be changed: leave --validators, --profile and --set out and give at least as many --nodes, or "
            "choose another folder with --data-dir"
        )
    return Plan(kept.root, nodes, kept.founders, kept.profile)


def _make_network(plan: Plan, wishes: Wishes) -> None:
    template = with_numbers(read_template(template_path(), plan.profile), wishes.numbers)
    founders = tuple(_founder(plan.home(number)) for number in range(plan.founders))
    network = create_network(template, "localnet", time.time_ns() // 1_000_000, founders)
    try:
        write_atomically(plan.network, network.file_bytes())
    except OSError as error:
        raise NodeError(f"cannot write {plan.network}: {disk_advice(error)}") from error


def _founder(home: Path) -> BootstrapValidator:
    return Identity.of(_wallet(home)).bootstrap_validator()


def _wallet(home: Path) -> Wallet:
    """The wallet of a node; made if there is none. Raises NodeError or WalletError."""
    directory, password = DataDirectory(home), home / "keystore.password"
    if (home / "keystore.json").exists():
        return Wallet.load(home / "keystore.json", password.read_text())
    directory.create()
    if not password.exists():
        write_atomically(password, secrets.token_urlsafe(24).encode())
    wallet = Wallet.create()
    keystore_file.save(home / "keystore.json", wallet.to_keystore(password.read_text(), scrypt_n=SCRYPT_N))
    return wallet
