"""`neuroshard node retire`: from a directory whose node is gone, through the API of another one."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from click.testing import CliRunner, Result

from chain.genesis import Network
from chain.state import NodeRecord, node_key
from node.cli import cli
from node.data_directory import DataDirectory
from node.declarations import Registration
from node.errors import NodeError
from node.identity import Identity, find_stamp
from node.key_value import open_key_value
from node.node_key import index_text
from tests.node.lone_node import IDENTITY, LoneNode, tiny_network
from tests.node.processes import PASSWORD
from tests.node.served import Served, a_transfer, remember_votes, serving
from wallet.keys import Wallet

pytestmark = pytest.mark.asyncio(loop_scope="module")
WALLET = Wallet(bytes(range(16)))
GONE = Identity.of(WALLET, 5)
STRANGER = Identity.of(WALLET, 6)


def past(folder: Path) -> Network:
    """A ledger on which our node is registered, and its wallet has something to pay the fee with."""
    directory = DataDirectory(folder)
    directory.create()
    database = open_key_value(directory / "ledger")
    node = LoneNode(folder, tiny_network(vest_rounds=2), database)
    node.register()
    while node.state.account(IDENTITY.address).balance < 10**7:
        node.close_round()
    nonce = node.state.account(IDENTITY.address).nonce
    node.mempool.add(a_transfer(node.network, nonce, 10**6, GONE.address), node.state)
    bits, chain_id = node.network.params.stamp_bits, node.network.chain_id
    stamp = find_stamp(GONE.node_public_key, GONE.wallet_public_key, chain_id, bits)
    wish = Registration(GONE, stamp, False).transaction(node.state, chain_id)
    assert wish is not None
    node.mempool.add(wish, node.state)
    remember_votes(folder, node.block())
    database.close()
    return node.network


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with serving(tmp_path_factory.mktemp("retire") / "home", past=past) as found:
        yield found


@pytest.fixture
def old(tmp_path: Path, served: Served, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data directory of the node that is gone, without its ledger."""
    defaults: Any = Wallet.to_keystore.__kwdefaults__
    monkeypatch.setitem(defaults, "scrypt_n", 2)
    root = tmp_path / "old"
    DataDirectory(root).create()
    (root / "network").write_bytes(served.network.file_bytes())
    (root / "node-key").write_text(index_text(5))
    WALLET.save(root / "keystore.json", PASSWORD)
    (tmp_path / "password").write_text(PASSWORD)
    return root


async def retire(old: Path, *arguments: str) -> Result:
    command = ["node", "retire", "--data-dir", str(old), "--password-file", str(old.parent / "password"), *arguments]
    return await asyncio.to_thread(CliRunner().invoke, cli, command)


async def test_nothing_happens_unless_somebody_is_sure(old: Path, served: Served) -> None:
    result = await retire(old, "--api", served.address)
    assert isinstance(result.exception, NodeError) and "give --yes" in str(result.exception)
    assert len(served.node.mempool) == 0


async def test_a_node_of_the_wallet_that_was_never_registered_is_refused_in_the_ledgers_words(
    old: Path, served: Served
) -> None:
    (old / "node-key").write_text(index_text(6))
    result = await retire(old, "--api", served.address, "--yes")
    words = f"node {STRANGER.node.hex()[:16]} is not an active node of this wallet"
    assert isinstance(result.exception, NodeError) and words in str(result.exception)


async def test_a_directory_of_another_network_or_without_its_key_or_without_a_running_node_is_refused(
    old: Path, served: Served
) -> None:
    (old / "network").write_bytes(tiny_network(vest_rounds=3).file_bytes())
    assert "of another network" in str((await retire(old, "--api", served.address, "--yes")).exception)
    (old / "network").write_bytes(served.network.file_bytes())
    assert "no node is running" in str((await retire(old, "--yes")).exception)
    assert "no node answers at 127.0.0.1:1 " in str((await retire(old, "--api", "127.0.0.1:1", "--yes")).exception)
    (old / "node-key").unlink()
    assert "node-key is missing" in str((await retire(old, "--api", served.address, "--yes")).exception)


async def test_a_retirement_that_was_written_down_can_be_handed_in_later(old: Path, served: Served) -> None:
    kept = old.parent / "retirement.json"
    result = await retire(old, "--api", served.address, "--yes", "--out", str(kept))
    assert result.exit_code == 0 and f"curl -d @{kept}" in result.output and len(served.node.mempool) == 0
    assert set(json.loads(kept.read_text())) == {"transaction"}
    assert "cannot write" in str((await retire(old, "--api", served.address, "--yes", "--out", str(kept))).exception)


async def test_a_node_that_is_gone_is_retired_through_another_nodes_api(old: Path, served: Served) -> None:
    result = await retire(old, "--api", served.address, "--yes", "--json")
    said = json.loads(result.output)
    assert (said["node"], said["submitted"]) == (GONE.node.hex(), True)
    async with served.blocks():
        await served.until(f"/v1/transactions/{said['id']}", lambda answer: answer["status"] == "final")
    record = served.node.store.state().need(NodeRecord, node_key(GONE.node))
    assert record.retired_height
