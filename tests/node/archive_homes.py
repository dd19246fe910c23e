"""Data directories of stopped nodes, on the real database, for the commands that work on them."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from chain.address import address_of
from chain.crypto import bls, ecdsa
from chain.transactions import Bond, MultiTransfer, Payment, ServicePayment, Transfer, Unbond, bond_consent
from chain.transactions import Transaction as Signed
from node.cli import cli
from node.data_directory import DataDirectory
from node.identity import EMPTY
from node.key_value import KeyValue, open_key_value
from node.node import Node
from tests.node.lone_node import IDENTITY, LoneNode, named, with_rounds
from tests.node.served import PATIENCE_SECONDS

PAYEE = address_of(ecdsa.public_key(named("payee")))


def pay(node: LoneNode, *actions: Any) -> None:
    """Make a block in which the node's wallet does this."""
    nonce = node.state.account(IDENTITY.address).nonce
    for action in actions:
        draft = Signed(IDENTITY.wallet_public_key, nonce, 10, 1, action, EMPTY)
        node.mempool.add(IDENTITY.sign_transaction(draft, node.network.chain_id), node.state)
        nonce += 1
    node.block()


def lived(folder: Path, rounds: int = 8, **params: int) -> LoneNode:
    """A node with this many closed rounds, most of them released, that has paid in several ways."""
    node = with_rounds(folder, 3, **params)
    pay(node, Transfer(PAYEE, 1_000), ServicePayment(PAYEE, 999, named("invoice")))
    pay(node, MultiTransfer((Payment(PAYEE, 5), Payment(IDENTITY.address, 7))))
    for _ in range(rounds - 3):
        node.close_round()
    pay(node, Transfer(PAYEE, 1))
    return node


def stopped_home(node: LoneNode, root: Path) -> Path:
    """The node's data directory after it has stopped."""
    directory = DataDirectory(root)
    directory.create()
    (directory / "network").write_bytes(node.network.file_bytes())
    for name in ("payloads", "aggregates", "model"):
        shutil.copytree(node.folder / name, directory / name, dirs_exist_ok=True)
    database = open_key_value(directory / "ledger")
    database.write(dict(node.database.items(b"")))
    database.close()
    return root


class Opened:
    """The ledger of a home for a moment."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __enter__(self) -> KeyValue:
        self.database = open_key_value(self.root / "ledger")
        return self.database

    def __exit__(self, *_: object) -> None:
        self.database.close()


def run(*words: str, home: Path) -> Result:
    return CliRunner().invoke(cli, ["archive", *words, "--data-dir", str(home)])


def told(*words: str, home: Path) -> Any:
    """What a command that succeeds says with --json."""
    result = run(*words, "--json", home=home)
    assert result.exit_code == 0, result.exception or result.output
    return json.loads(result.stdout)


def refused(*words: str, home: Path) -> str:
    """The words with which a command fails."""
    result = run(*words, home=home)
    assert result.exit_code != 0, result.output
    return str(result.exception) if not isinstance(result.exception, SystemExit) else result.output


def go_on(home: Path, node: LoneNode, rounds: int = 1) -> LoneNode:
    """Start a node in a home and let it close rounds; its database is closed afterwards."""
    with Opened(home) as database:
        again = LoneNode(home, node.network, database)
        again.driver.follow(again.state, again.view.tip.height)
        for _ in range(rounds):
            again.close_round()
    return again


async def grows(node: Node, blocks: int) -> None:
    """Let the node's own engine make this many blocks."""
    stop, wanted = asyncio.Event(), node.store.height + blocks
    running = asyncio.create_task(node.run(stop))
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while node.store.height < wanted and not running.done():
                await asyncio.sleep(0.01)
    finally:
        stop.set()
        await running


def staked(folder: Path) -> LoneNode:
    """A node whose founder has bonded under his own key, so that sets change, and is taking a part of it back."""
    node = with_rounds(folder, 4, stake_minimum_nanos=1_000, stake_target_nanos=100_000, unbonding_epochs=2)
    key = IDENTITY.validator_public_key
    consent = bond_consent(node.network.chain_id, key, IDENTITY.address)
    pay(node, Bond(5_000, key, bls.sign(IDENTITY.validator_secret, consent)))
    for _ in range(3):
        node.close_round()
    pay(node, Unbond(2_000))
    for _ in range(20):
        if any(node.database.items(b"su")):
            return node
        node.close_round()
    raise AssertionError("the stake does not leave the set")
