"""`neuroshard checkpoint assemble`: a model's file from the pages of several nodes, over real HTTPS."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from click.testing import CliRunner, Result

from network import memory
from network.pages import pages_in
from node.cli import cli
from node.commands.checkpoint import light_folder
from node.model_source import ModelSource
from node.model_store import load_base
from tests.network.blob_servers import Loopback, loopback, until_the_end
from tests.node.archive_homes import stopped_home
from tests.node.lone_node import LoneNode, tiny_network, with_rounds
from tests.node.model_peers import Fading, network_of_pages
from tests.node.processes import hear_ctrl_c
from tests.node.served import make_past, serving

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> LoneNode:
    """Three closed rounds of a model of several pages; not to be changed."""
    node = LoneNode(tmp_path_factory.mktemp("assemble") / "node", network_of_pages())
    node.register()
    for _ in range(3):
        node.train()
        node.finish(0.0001)  # A larger model goes as far as its segments say with smaller steps.
        node.block()
        node.block()
    assert node.state.ledger.closed_rounds == 3
    return node


@pytest.fixture(scope="module")
def home(node: LoneNode, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger without its model."""
    home = stopped_home(node, tmp_path_factory.mktemp("assemble") / "home")
    for path in (home / "model").iterdir():
        path.unlink()
    return home


@pytest.fixture
async def net() -> AsyncIterator[Loopback]:
    async with loopback() as net:
        yield net


def source_of(node: LoneNode) -> ModelSource:
    return ModelSource(node.outcomes.models)


async def run(out: Path, home: Path, peers: list[str], *words: str) -> Result:
    options = [word for peer in peers for word in ("--peer", peer)]
    line = ["checkpoint", "assemble", str(out), *options, "--data-dir", str(home), *words]
    return await asyncio.to_thread(CliRunner().invoke, cli, line)


async def told(out: Path, home: Path, peers: list[str], *words: str) -> Any:
    result = await run(out, home, peers, "--json", *words)
    assert result.exit_code == 0, result.exception or result.output
    return json.loads(result.stdout)


def pages_of(node: LoneNode) -> int:
    parameters = node.learning.parameters
    assert node.outcomes.model is not None
    trust = bool(node.outcomes.model.trust)
    return 2 * pages_in(4 * parameters) + pages_in(len(node.outcomes.model.aggregate)) + trust


async def test_a_model_is_rebuilt_from_several_nodes_and_it_is_said_who_gave_what(
    net: Loopback, node: LoneNode, home: Path, tmp_path: Path
) -> None:
    sources = [Fading(source_of(node)) for _ in range(3)]
    peers = [await net.serve(source) for source in sources]  # type: ignore[arg-type]
    out = tmp_path / "model.safetensors"
    found = await told(out, home, peers)
    assert found["outer_root"] == node.outcomes.model_root.hex() and found["round"] == 3
    assert sum(found["pages"].values()) == pages_of(node) > 5 and found["pages"].keys() <= set(peers)
    assert len(found["pages"]) > 1 and found["pages_before"] == 0 and found["refused"] == {}
    assert load_base(out, node.learning).root == node.outcomes.model_root
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
    again = await run(out, home, peers)
    assert again.exit_code == 0 and "It was there already" in again.stdout


async def test_the_model_of_the_round_before_can_be_had_too(
    net: Loopback, node: LoneNode, home: Path, tmp_path: Path
) -> None:
    peer = await net.serve(source_of(node))  # type: ignore[arg-type]
    found = await told(tmp_path / "model", home, [peer], "--round", "2")
    assert load_base(tmp_path / "model", node.learning).root.hex() == found["outer_root"]
    assert found["outer_root"] != node.outcomes.model_root.hex() and found["round"] == 2
    for number in ("1", "4"):
        result = await run(tmp_path / "other", home, [peer], "--round", number)
        assert "has not ended or lies too far back: the last that has ended is 3" in str(result.exception)


async def test_a_liar_is_named_and_the_model_comes_from_the_others(
    net: Loopback, node: LoneNode, home: Path, tmp_path: Path
) -> None:
    class Lying(Fading):
        def read(self, root: bytes, offset: int, length: int) -> bytes | None:
            data = super().read(root, offset, length)
            return data and data[:-1] + bytes([data[-1] ^ 1])

    liar, peer = await net.serve(Lying(source_of(node))), await net.serve(source_of(node))  # type: ignore[arg-type]
    found = await told(tmp_path / "model", home, [liar, peer])
    assert found["refused"].keys() == {liar} and found["pages"] == {peer: pages_of(node)}


async def test_what_nobody_has_is_told_and_the_next_run_goes_on_with_others(
    net: Loopback, node: LoneNode, home: Path, tmp_path: Path
) -> None:
    fading = Fading(source_of(node), 9)  # A page is read in four pieces.
    first, second = await net.serve(fading), await net.serve(source_of(node))  # type: ignore[arg-type]
    out = tmp_path / "model"
    result = await run(out, home, [first])
    words = str(result.exception)
    assert "could not be had" in words and first in words and "name other nodes of this network" in words
    assert not out.exists()
    (tmp_path / "model.parts" / "mine.txt").write_text("not theirs")
    found = await told(out, home, [second])
    assert found["pages_before"] == 2 and found["pages"] == {second: pages_of(node) - 2}
    assert (tmp_path / "model.parts" / "mine.txt").exists()


async def test_a_run_that_was_interrupted_is_gone_on_with(
    net: Loopback, node: LoneNode, home: Path, tmp_path: Path
) -> None:
    """Ctrl-C on the real program, while a node does not answer for a page."""
    source, slow = Fading(source_of(node)), asyncio.Event()
    root = node.state.ledger.model.weights_root.hex()

    async def give_list(request: web.Request) -> web.StreamResponse:
        name = bytes.fromhex(request.match_info["root"])
        size, hashes = source.size(name), source.page_hashes(name)
        return web.Response(body=(size or 0).to_bytes(8, "big") + (hashes or b""))

    async def give_page(request: web.Request) -> web.StreamResponse:
        first = int(request.headers["Range"].removeprefix("bytes=").partition("-")[0])
        if request.match_info["root"] != root or first:
            slow.set()
            await until_the_end()
        return web.Response(status=206, body=source.read(bytes.fromhex(root), first, 1 << 20))

    peer = await net.listen([web.get("/blob/{root}", give_page), web.get("/blob/{root}/pages", give_list)])
    out = tmp_path / "model"
    line = [sys.executable, "-m", "node", "checkpoint", "assemble", str(out), "--peer", peer, "--data-dir", str(home)]
    process = await asyncio.create_subprocess_exec(
        *line, cwd=ROOT, stderr=subprocess.DEVNULL, env=dict(os.environ), start_new_session=True,
        # Tests that run in the background of a shell would hand on that Ctrl-C is to be ignored.
        preexec_fn=hear_ctrl_c,
    )  # fmt: skip
    await slow.wait()
    process.send_signal(signal.SIGINT)
    assert await process.wait() != 0 and not out.exists()
    honest = await net.serve(source_of(node))  # type: ignore[arg-type]
    found = await told(out, home, [honest])
    assert found["pages_before"] == 1 and found["pages"] == {honest: pages_of(node) - 1}


async def test_without_addresses_the_nodes_that_were_met_are_asked(
    net: Loopback, node: LoneNode, home: Path, tmp_path: Path
) -> None:
    peer = await net.serve(source_of(node))  # type: ignore[arg-type]
    result = await run(tmp_path / "model", home, [])
    assert "name some with --peer" in str(result.exception)
    (home / "peers").mkdir()
    rows = [["127.0.0.1:1", "us", False, "", 0, 0], [peer, "us", False, "02" * 33, 7, 0]]
    memory.save(home / "peers", {"addresses": rows})
    assert (await told(tmp_path / "model", home, []))["pages"] == {peer: pages_of(node)}


async def test_something_else_under_that_name_stays_as_it_is(
    net: Loopback, node: LoneNode, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "model").write_bytes(b"mine")
    result = await run(tmp_path / "model", home, ["127.0.0.1:1"])
    assert "is not this model" in str(result.exception) and (tmp_path / "model").read_bytes() == b"mine"


async def test_a_disk_that_cannot_be_written_is_told_in_words(
    net: Loopback, node: LoneNode, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = await net.serve(source_of(node))  # type: ignore[arg-type]

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    result = await run(tmp_path / "model", home, [peer])
    assert "No space left on device" in str(result.exception) and "free some disk space" in str(result.exception)


async def test_of_another_network_no_node_has_anything(
    net: Loopback, node: LoneNode, home: Path, tmp_path: Path
) -> None:
    other = await asyncio.to_thread(with_rounds, tmp_path / "other", 1)
    peer = await net.serve(source_of(other))  # type: ignore[arg-type]
    result = await run(tmp_path / "model", home, [peer])
    assert "does not have it" in str(result.exception) and "of this network" in str(result.exception)


async def test_a_running_node_says_which_model_it_is(net: Loopback, tmp_path: Path) -> None:
    async with serving(tmp_path / "home", past=make_past) as served, served.blocks():
        await served.until("/v1/status", lambda status: status["closed_rounds"])
        newest = (await served.get("/v1/rounds?limit=100"))["rounds"]
        closed = next(each for each in newest if each["outcome"])
        (tmp_path / "home" / "api.json").write_text(
            json.dumps({"address": served.address, "chain_id": served.network.chain_id.hex()})
        )
        (tmp_path / "home" / "network").write_bytes(served.network.file_bytes())
        await served.until("/v1/status", lambda status: served.node.outcomes.models.files())
        peer = await net.serve(ModelSource(served.node.outcomes.models))  # type: ignore[arg-type]
        found = await told(tmp_path / "model", tmp_path / "home", [peer])
    assert (found["round"], found["outer_root"]) == (closed["round"], closed["outcome"]["outer_root"])


def test_what_was_proven_of_two_networks_does_not_get_in_each_others_way() -> None:
    one, other = tiny_network(), network_of_pages()
    assert light_folder(one) != light_folder(other) and light_folder(one) == light_folder(tiny_network())
