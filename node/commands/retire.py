"""`neuroshard node retire`: end the registration of this data directory's node, through a running node's API."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import click

from chain.address import to_text
from chain.crypto import ecdsa
from chain.transactions import RetireNode, Transaction, node_farewell
from node.commands.asking import asker
from node.commands.calling import address_of_running, request
from node.commands.network import write_new
from node.data_directory import DataDirectory
from node.errors import NodeError
from node.identity import EMPTY, Identity
from node.network_file import kept_network
from node.wallet_files import Secrets, open_purse


@dataclass(frozen=True, slots=True)
class Wish:
    """How the retirement is to be made."""

    api: str | None  # of the node to ask; None: the one that runs on the data directory
    max_fee: int  # nanos per unit of gas
    out: Path | None  # write the transaction here, and do not hand it in
    is_sure: bool


def farewell(identity: Identity, chain_id: bytes, nonce: int, max_fee: int) -> Transaction:
    """The transaction that retires the identity's node; both its keys sign."""
    consent = node_farewell(chain_id, identity.node_public_key, identity.wallet_public_key)
    action = RetireNode(identity.node_public_key, ecdsa.sign(identity.node_secret, consent))
    draft = Transaction(identity.wallet_public_key, nonce, max_fee, 0, action, EMPTY)
    return identity.sign_transaction(draft, chain_id)


def retire(data_directory: Path, given: Secrets, wish: Wish, as_json: bool) -> None:
    """Retire the directory's node. Raises NodeError, WalletError or InvalidGenesis."""
    directory = DataDirectory(data_directory)
    directory.check_schema()
    for name in ("network", "keystore.json", "node-key"):
        if not (directory / name).exists():
            raise NodeError(f"{directory / name} is missing: only the directory of a node that has run can retire it")
    network = kept_network(directory / "network")
    identity = open_purse(directory, given, asker()).identity
    address = wish.api or address_of_running(data_directory)
    status = request(address, "GET", "/v1/status")
    if status.get("chain_id") != network.chain_id.hex():
        raise NodeError(f"the node at {address} is of another network than {data_directory}: name one of the same")
    account = request(address, "GET", f"/v1/accounts/{to_text(identity.address)}")
    _confirm(identity, wish.is_sure)
    transaction = farewell(identity, network.chain_id, int(account["nonce"]), wish.max_fee)
    text = transaction.encode().hex()
    facts = {"node": identity.node.hex(), "id": transaction.id(network.chain_id).hex(), "transaction": text}
    if wish.out is not None:
        write_new(wish.out, json.dumps({"transaction": text}).encode())
        said = f"{wish.out} holds the retirement. Hand it in with: curl -d @{wish.out} http://{address}/v1/transactions"
    else:
        request(address, "POST", "/v1/transactions", json.dumps({"transaction": text}))
        said = f"node {facts['node'][:16]} retires with one of the next blocks; what it earned goes on vesting"
    click.echo(json.dumps(facts | {"submitted": wish.out is None}) if as_json else said)


def _confirm(identity: Identity, is_sure: bool) -> None:
    """A node key can never be registered again. Raises NodeError unless somebody has said yes."""
    if is_sure:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise NodeError("a retired node can never come back: give --yes if that is what you want")
    if not click.confirm(f"Retire node {identity.node.hex()[:16]} for ever?", err=True):
        raise NodeError("nothing was changed")
