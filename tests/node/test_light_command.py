"""`neuroshard light` over real connections: two nodes that serve a ledger, and what the command makes of them."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from chain.address import to_text
from chain.crypto import ecdsa
from network.peer import ARCHIVE, NodeKey
from network.switch import Switch
from network.switch_config import SwitchConfig
from node.cli import cli
from node.loop_runtime import LoopRuntime
from node.parts import Parts
from node.sync_server import SyncServer
from tests.builders import a_network, named
from tests.chain.played_chain import stakers
from tests.node.sync_chain import EPOCH, grown
from tests.node.test_light import Server, store_at

RICH = stakers(1)[0].wallet.address


class Host:
    """A node on a port of this machine that serves the chain up to a height."""

    def __init__(self, folder: Path, height: int, answer: Server | None = None) -> None:
        self.runtime = LoopRuntime()
        self.server = SyncServer(self.runtime, store_at(height))
        secret = named(f"{folder} {height}")
        key = NodeKey(ecdsa.public_key(secret), lambda digest: ecdsa.sign(secret, digest), ecdsa.verify)
        config = SwitchConfig(
            chain_id=grown().network.chain_id,
            folder=folder,
            on_error=self.runtime.fail,
            listen="127.0.0.1:0",
            roles=ARCHIVE,
            allow_local=True,
        )
        self.switch = self.runtime.switch = Switch(config, key, Parts(self.runtime, (self.server,)))
        self.address = ""

    async def open(self) -> None:
        await self.switch.start()
        self.address = str(self.switch.listen_address)

    async def close(self) -> None:
        await self.switch.stop()
        await self.runtime.stop()


@pytest.fixture
async def hosts(tmp_path: Path) -> AsyncIterator[list[Host]]:
    found = [Host(tmp_path / "one", 304), Host(tmp_path / "two", 296)]
    for host in found:
        await host.open()
    yield found
    for host in found:
        await host.close()


async def run(tmp_path: Path, peers: list[str], *words: str, before: tuple[str, ...] = ()) -> Result:
    file = tmp_path / "network"
    file.write_bytes(grown().network.file_bytes())
    options = [word for peer in peers for word in ("--peer", peer)]
    home = ("--data-dir", str(tmp_path / "light"))
    line = ["light", "--network", str(file), *options, *home, *before, *words]
    return await asyncio.to_thread(CliRunner().invoke, cli, line)


def told(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.exception or result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


async def test_a_balance_is_shown_with_the_block_that_proves_it(hosts: list[Host], tmp_path: Path) -> None:
    peers = [host.address for host in hosts]
    found = told(await run(tmp_path, peers, "account", to_text(RICH), "--json"))
    account = store_at(304).state().account(RICH)
    assert (found["balance_nanos"], found["nonce"]) == (str(account.balance), account.nonce)
    assert (found["height"], found["peers_agreeing"], found["warning"]) == (304, 2, "")
    # The next call goes on from there, and one peer alone is worth a warning.
    again = await run(tmp_path, peers[:1], "status")
    assert again.exit_code == 0, again.exception
    assert "nobody contradicts it" in again.stdout and "304" in again.stdout
    behind = await run(tmp_path, peers[1:], "status")
    assert behind.exit_code != 0 and "verified already" in str(behind.exception)


async def test_it_says_what_is_wrong_and_what_to_do(hosts: list[Host], tmp_path: Path) -> None:
    peers = [hosts[0].address]
    for wrong, words in (
        (("account", "nsd1qqqq"), ""),
        (("status",), "give the network's file"),
    ):
        result = await run(tmp_path, [] if words else peers, *wrong)
        assert result.exit_code != 0 and words in result.output
    gone = await run(tmp_path, ["127.0.0.1:1"], "status", before=("--seconds", "1"))
    assert "none of the peers could be reached" in str(gone.exception)
    height = 20 * EPOCH
    other = await run(tmp_path, peers, "status", before=("--checkpoint", f"{height}:{'00' * 32}"))
    assert "not the one of the checkpoint" in str(other.exception)
    late = await run(
        tmp_path, peers, "status", before=("--checkpoint", f"{height}:{grown().blocks[height - 1].header.hash().hex()}")
    )
    assert "the block of the checkpoint" in str(late.exception) and "days old" in str(late.exception)
    assert not (tmp_path / "light" / "trusted").exists()


async def test_a_file_of_another_network_meets_nobody(hosts: list[Host], tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(a_network().file_bytes())
    words = ["light", "--network", str(tmp_path / "other"), "--peer", hosts[0].address, "--seconds", "1"]
    line = [*words, "--data-dir", str(tmp_path / "light"), "status"]
    result = await asyncio.to_thread(CliRunner().invoke, cli, line)
    assert result.exit_code != 0 and "none of the peers" in str(result.exception)
