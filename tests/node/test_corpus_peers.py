"""A corpus from peers: every shard has the hash that the genesis covers, and who gives other bytes is found out."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.crypto.hashing import ZERO
from chain.genesis import Network
from network.kinds import CORPUS, CORPUS_REQUEST, PAGE, PAGE_REQUEST
from network.tls import client_context
from node import corpus_fetch
from node.blob_exchange import BlobExchange
from node.blobs import Blobs
from node.corpus_choice import fetched_path, is_here, open_corpus, with_own_corpus
from node.corpus_exchange import CorpusExchange
from node.corpus_fetch import CorpusFetch
from node.corpus_messages import INDEX_BYTES_MAXIMUM, CorpusName, CorpusRequest
from node.corpus_receipts import Provider
from node.corpus_source import CorpusSource
from node.corpus_store import OwnCorpus
from node.loop_runtime import LoopRuntime
from node.parts import Parts
from node.template import read_template, template_path
from tests.adversaries.false_shards import FalseShards, OtherCorpus
from tests.node.lone_node import tiny_network
from tests.node.model_peers import LIMITS, Fading, Wire
from tests.node.test_own_corpus import prose
from training.corpus import cache_path
from training.errors import CorpusError
from training.manifest import SPLITS


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of an operator with a text of his own, of five shards, cut into tokens."""
    root = tmp_path_factory.mktemp("host")
    text = root / "mine.txt"
    text.write_text("".join(f"{number} " + prose(number, 900) for number in range(6)))
    (root / "corpus").mkdir()
    (root / "tokens").mkdir()
    OwnCorpus(root / "corpus").add([text], "shipped", 4_096, lambda manifest: None, lambda *words: None)
    open_corpus(network_of(root), root, lambda done, total: None)
    return root


def network_of(root: Path) -> Network:
    template = with_own_corpus(read_template(template_path(), "lab"), root)
    plain = tiny_network()
    hashes = bytes.fromhex(template["tokenizer_sha256"]), bytes.fromhex(template["corpus_root"])
    numbers = tuple(
        replace(each, value=4_096) if each.name == b"model.vocabulary" else each for each in plain.parameters
    )
    return replace(plain, tokenizer_hash=hashes[0], corpus_root=hashes[1], parameters=numbers)


class Net:
    """Nodes that talk over connections within this process; the first one wants."""

    def __init__(self, network: Network, root: Path) -> None:
        self.network, self.root = network, root
        self.wires: dict[bytes, Wire] = {}
        self.runtimes: list[LoopRuntime] = []
        self.told: list[str] = []
        self.us, runtime, self.exchange, blobs = self._node(CorpusSource(network, root))
        self.blobs = Blobs(runtime, blobs, root / "tokens" / "incoming", client_context(), LIMITS)

    def _node(
        self, source: Any, named: Any = None, **nature: Any
    ) -> tuple[Wire, LoopRuntime, CorpusExchange, BlobExchange]:
        wire, runtime = Wire(bytes([len(self.wires) + 2]) * 33, self.wires, **nature), LoopRuntime()
        runtime.switch = wire  # type: ignore[assignment]
        blobs, exchange = (
            BlobExchange(runtime, source),
            CorpusExchange(runtime, self.network.corpus_root, named or source),
        )
        wire.parts = Parts(runtime, [blobs, exchange])
        self.wires[wire.key] = wire
        self.runtimes.append(runtime)
        return wire, runtime, exchange, blobs

    def peer(self, source: Any, named: Any = None, **nature: Any) -> Wire:
        return self._node(source, named, **nature)[0]

    def fetch(self, provider: Provider | None = None) -> CorpusFetch:
        place = self.network, self.root, (self.exchange, self.blobs)
        return CorpusFetch(*place, lambda: provider, self.told.append)


@asynccontextmanager
async def a_net(host: Path, root: Path) -> AsyncIterator[Net]:
    (root / "tokens").mkdir(parents=True)
    net = Net(network_of(host), root)
    try:
        yield net
    finally:
        await net.blobs.stop()
        for runtime in net.runtimes:
            await runtime.stop()


def run(host: Path, root: Path, story: Callable[[Net, CorpusSource], Coroutine[Any, Any, None]]) -> None:
    async def told() -> None:
        async with a_net(host, root) as net:
            await story(net, CorpusSource(net.network, host))

    asyncio.run(told())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_fetch, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(corpus_fetch, "PROVIDER_SECONDS", 0.0)


def assert_whole(net: Net, host: Path) -> None:
    for split in SPLITS:
        mine, theirs = (cache_path(net.network.corpus_root, split, root / "tokens") for root in (net.root, host))
        assert mine.read_bytes() == theirs.read_bytes()
    assert is_here(net.network, net.root) and not net.blobs.folder.exists()
    opened = open_corpus(net.network, net.root, lambda done, total: None)
    assert opened.manifest.root == net.network.corpus_root


def test_a_node_gets_the_whole_corpus_and_serves_it_in_turn(host: Path, tmp_path: Path) -> None:
    async def story(net: Net, honest: CorpusSource) -> None:
        net.peer(honest)
        await net.fetch().bring()
        assert_whole(net, host)
        assert CorpusSource(net.network, net.root).name() == honest.name()
        sent = len(net.us.sent)
        await net.fetch().bring()
        assert len(net.us.sent) == sent

    run(host, tmp_path / "us", story)


def test_false_shards_are_refused_by_their_hash_and_whoever_named_them_is_reported(host: Path, tmp_path: Path) -> None:
    async def story(net: Net, honest: CorpusSource) -> None:
        liars = [net.peer(FalseShards(honest, 2)) for _ in range(2)]  # more than the honest: they are believed first
        true = net.peer(honest)
        await net.fetch().bring()
        assert_whole(net, host)
        for liar in liars:
            assert any("another SHA-256" in reason for reason in net.us.blamed[liar.key])
        assert true.key not in net.us.blamed

    run(host, tmp_path / "us", story)


def test_the_list_of_another_corpus_is_refused(host: Path, tmp_path: Path) -> None:
    async def story(net: Net, honest: CorpusSource) -> None:
        liars = [net.peer(OtherCorpus(honest)) for _ in range(2)]
        net.peer(honest)
        await net.fetch().bring()
        assert_whole(net, host)
        for liar in liars:
            assert any("its shards give the root" in reason for reason in net.us.blamed[liar.key])

    run(host, tmp_path / "us", story)


def test_a_provider_that_sends_wrong_bytes_is_reported_and_gets_no_receipt(host: Path, tmp_path: Path) -> None:
    async def story(net: Net, honest: CorpusSource) -> None:
        liar = net.peer(honest, lies=True)
        net.peer(honest)
        fetch = net.fetch(Provider(b"\x11" * 32, liar.key))
        await fetch.bring()
        assert_whole(net, host)
        assert any("is not the one that its list names" in reason for reason in net.us.blamed[liar.key])
        assert fetch.served.by_shard == {}

    run(host, tmp_path / "us", story)


def test_what_the_drawn_provider_gave_is_remembered_for_receipts(host: Path, tmp_path: Path) -> None:
    async def story(net: Net, honest: CorpusSource) -> None:
        net.peer(honest)
        drawn = net.peer(honest)
        fetch = net.fetch(Provider(b"\x11" * 32, drawn.key))
        await fetch.bring()
        shards = net.network.params.corpus_shards
        assert shards != 0 and set(fetch.served.by_shard.values()) == {b"\x11" * 32}
        assert net.fetch().served.by_shard == fetch.served.by_shard

    run(host, tmp_path / "us", story)


def test_a_fetch_goes_on_where_it_was_ended(host: Path, tmp_path: Path) -> None:
    async def story(net: Net, honest: CorpusSource) -> None:
        first = Fading(honest, 5)  # the list, and some of the rest
        net.peer(first, honest)
        task = asyncio.create_task(net.fetch().bring())
        while len(first.given) < 5:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        kept = {path.name for path in net.blobs.folder.iterdir() if "." not in path.name}
        assert kept
        second = Fading(honest)
        net.peer(second, honest)
        await net.fetch().bring()
        assert_whole(net, host)
        assert not kept & {root.hex() for root, _ in second.given}

    run(host, tmp_path / "us", story)


def test_a_corpus_for_which_there_is_no_room_is_not_begun(
    host: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = corpus_fetch.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(corpus_fetch.shutil, "disk_usage", lambda path: usage._replace(free=1_000))

    async def story(net: Net, honest: CorpusSource) -> None:
        net.peer(honest)
        with pytest.raises(CorpusError, match="1,000 are free: make room"):
            await net.fetch().bring()
        assert not net.exchange.is_wanted

    run(host, tmp_path / "us", story)


def test_tokens_that_were_lost_are_fetched_again(host: Path, tmp_path: Path) -> None:
    async def story(net: Net, honest: CorpusSource) -> None:
        net.peer(honest)
        await net.fetch().bring()
        path = cache_path(net.network.corpus_root, "train", net.root / "tokens")
        path.write_bytes(path.read_bytes()[:-2] + b"\7\7")
        with pytest.raises(CorpusError, match="are lost or damaged: start with --peer"):
            open_corpus(net.network, net.root, lambda done, total: None)
        net.blobs.folder.mkdir()
        await net.fetch().bring()
        assert_whole(net, host)
        fetched_path(net.network, net.root).unlink()
        assert not is_here(net.network, net.root)

    run(host, tmp_path / "us", story)


def test_a_damaged_corpus_is_served_to_nobody(host: Path, tmp_path: Path) -> None:
    async def story(net: Net, honest: CorpusSource) -> None:
        net.peer(honest)
        await net.fetch().bring()
        source = CorpusSource(net.network, net.root)
        name = source.name()
        path = cache_path(net.network.corpus_root, "train", net.root / "tokens")
        path.write_bytes(path.read_bytes()[:-2] + b"\7\7")
        assert source.name() == CorpusName(net.network.corpus_root, ZERO, 0)
        assert source.size(name.index_root) is None and source.read(name.index_root, 0, 9) is None

    run(host, tmp_path / "us", story)


def test_nobody_tells_of_a_corpus_unasked_and_names_are_bounded(host: Path, tmp_path: Path) -> None:
    async def story(net: Net, honest: CorpusSource) -> None:
        peer = net.peer(honest)
        assert net.us.parts is not None
        root = net.network.corpus_root
        net.us.parts.received(peer.key, CORPUS, CorpusName(root, b"\1" * 32, 9).encode())
        assert "nobody asked for" in net.us.blamed[peer.key][-1] and net.exchange.best() is None
        net.exchange.ask()
        for name in (CorpusName(ZERO, b"\1" * 32, 9), CorpusName(root, b"\1" * 32, INDEX_BYTES_MAXIMUM + 1)):
            net.us.parts.received(peer.key, CORPUS, name.encode())
            assert "another corpus, or one that is too large" in net.us.blamed[peer.key][-1]
        for size in (8, 9, INDEX_BYTES_MAXIMUM):
            net.us.parts.received(peer.key, CORPUS, CorpusName(root, b"\1" * 32, size).encode())
            assert list(net.exchange.names) == [CorpusName(root, b"\1" * 32, size)]  # one for each peer
        net.us.parts.left(peer.key)
        assert net.exchange.best() is None

    run(host, tmp_path / "us", story)


def test_who_asks_for_another_corpus_is_told_that_it_is_not_here(host: Path, tmp_path: Path) -> None:
    async def story(net: Net, honest: CorpusSource) -> None:
        peer = net.peer(honest)
        assert peer.parts is not None
        peer.parts.received(net.us.key, CORPUS_REQUEST, CorpusRequest(b"\7" * 32).encode())
        assert peer.sent == [CORPUS] and PAGE not in peer.sent and PAGE_REQUEST not in peer.sent

    run(host, tmp_path / "us", story)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([CORPUS, CORPUS_REQUEST]), st.binary(max_size=80)), max_size=8))
def test_whatever_peers_send_nothing_breaks(messages: list[tuple[int, bytes]]) -> None:
    async def story() -> None:
        runtime = LoopRuntime()
        wires: dict[bytes, Wire] = {}
        us, them = (Wire(bytes([place]) * 33, wires) for place in (1, 2))
        runtime.switch = us  # type: ignore[assignment]
        wires.update({us.key: us, them.key: them})
        them.parts = Parts(runtime, [])
        exchange = CorpusExchange(runtime, b"\5" * 32, CorpusSource(tiny_network(), Path("/nonexistent")))
        us.parts = Parts(runtime, [exchange])
        exchange.ask()
        for kind, payload in messages:
            us.parts.received(them.key, kind, payload)
        assert len(exchange.names) <= 1
        await runtime.stop()

    asyncio.run(story())
