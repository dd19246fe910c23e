"""Blobs for a running node: over HTTPS where a peer can be reached so, else over its connection; and payloads."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from network.blob_client import FetchLimits
from network.kinds import PAGE, PAGE_REQUEST, PAGES
from network.pages import Wanted
from network.part_file import parts_of
from network.peer import VALIDATOR, Peer
from network.tls import client_context
from node import blobs as blobs_module
from node.blob_exchange import BlobExchange
from node.blob_messages import Page
from node.blobs import Blobs, https_address
from node.counted import Counted
from node.loop_runtime import LoopRuntime
from node.outcomes import Claimed, Outcomes
from node.parts import Parts
from node.payload_store import PayloadStore
from tests.network.blob_servers import BLOB, TRUE, Loopback, Memory, blob_of, liar, loopback, root_of, until_the_end
from tests.node.lone_node import LoneNode, with_rounds
from tests.node.test_payloads_and_models import a_payload

ROOT = root_of(BLOB)
PEER = b"\x02" * 33
US = b"\x03" * 33
# HTTPS gets half of it. Whoever is too slow under a heavy load is asked again.
LIMITS = FetchLimits(reply_seconds=1.0, bytes_per_second_minimum=8 << 20)


def peer(listen: str = "", outbound: bool = False, address: str = "127.0.0.1:9") -> Peer:
    return Peer(PEER, address, outbound, VALIDATOR, listen, b"", "")


@dataclass
class Wire:
    """A switch whose only peer is in this process; everything else is real."""

    key: bytes
    peers: Mapping[bytes, Peer]
    other: "Wire | None" = None
    parts: Parts | None = None
    sent: list[int] = field(default_factory=list)
    blamed: list[str] = field(default_factory=list)
    mutate: bool = False  # every page is sent with a wrong byte

    def send(self, key: bytes, kind: int, payload: bytes) -> None:
        self.sent.append(kind)
        if self.mutate and kind == PAGE:
            page = Page.decode(payload)
            payload = Page(page.root, page.index, page.content[:-1] + b"\0").encode()
        assert self.other is not None and self.other.parts is not None
        asyncio.get_running_loop().call_soon(self.other.parts.received, self.key, kind, payload)

    def blame(self, key: bytes, points: int, reason: str) -> None:
        self.blamed.append(reason)

    def praise(self, key: bytes) -> None: ...


@dataclass
class Pair:
    """We, and a peer that serves `source` over its connection."""

    us: Wire
    them: Wire
    blobs: Blobs
    source: Memory

    async def fetched(self, blob: bytes = BLOB) -> Path | bytes | None:
        answer: asyncio.Future[Path | bytes | None] = asyncio.get_running_loop().create_future()
        self.blobs.want(root_of(blob), 64 << 20, (PEER,), answer.set_result)
        return await answer

    @property
    def pages_over_connection(self) -> int:
        return self.us.sent.count(PAGE_REQUEST)


@asynccontextmanager
async def pair(folder: Path, found: Peer, source: Memory) -> AsyncIterator[Pair]:
    wires = Wire(US, {PEER: found}), Wire(PEER, {US: peer()})
    runtimes = []
    for wire, other, serves in zip(wires, reversed(wires), (Memory(), source), strict=True):
        runtime = LoopRuntime()
        runtime.switch, wire.other = wire, other
        exchange = BlobExchange(runtime, serves)
        wire.parts = Parts(runtime, [exchange])
        runtimes.append(runtime)
        if wire.key == US:
            blobs = Blobs(runtime, exchange, folder, client_context(), LIMITS)
    try:
        yield Pair(*wires, blobs, source)
    finally:
        await blobs.stop()
        for runtime in runtimes:
            await runtime.stop()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs_module, "RETRY_MS", 10)


@pytest.mark.parametrize(
    ("found", "address"),
    [
        (peer(), None),
        (peer("127.0.0.1:7"), "127.0.0.1:7"),
        (peer("192.0.2.1:7"), None),
        (peer("[2001:db8::1]:7", address="[2001:db8::1]:9"), "[2001:db8::1]:7"),
        (peer("[2001:db8::2]:7", address="[2001:db8::1]:9"), None),
        (peer(outbound=True), "127.0.0.1:9"),
        (peer("192.0.2.1:7", outbound=True), "127.0.0.1:9"),
    ],
)
def test_https_goes_where_we_have_dialled_or_to_the_host_that_a_peer_comes_from(found: Peer, address: str | None):
    assert https_address(found) == address


async def test_a_peer_that_listens_is_asked_over_https(tmp_path: Path):
    async with loopback() as net:
        address = await net.serve(Memory.of(BLOB))
        async with pair(tmp_path, peer(address), Memory()) as two:
            assert await two.fetched() == tmp_path / ROOT.hex()
            assert two.us.sent == [] and two.us.blamed == []
    assert (tmp_path / ROOT.hex()).read_bytes() == BLOB


async def test_a_peer_that_only_dials_out_is_asked_over_its_connection(tmp_path: Path):
    async with pair(tmp_path, peer(), Memory.of(BLOB)) as two:
        path = await two.fetched()
        assert isinstance(path, Path) and path.read_bytes() == BLOB
        assert two.pages_over_connection == 5


async def liars_server(net: Loopback) -> str:
    return await net.listen(liar(BLOB, page=lambda index: TRUE[index][:-1] + b"\0"))


async def silent_server(net: Loopback) -> str:
    async def wait(request: web.Request) -> web.StreamResponse:
        await until_the_end()
        raise web.HTTPNotFound

    return await net.listen([web.get("/{any:.*}", wait)])


async def nobody(net: Loopback) -> str:
    return "127.0.0.1:1"


@pytest.mark.parametrize("listens", [liars_server, silent_server, nobody])
async def test_where_https_fails_or_lies_the_connection_is_used_and_the_peer_not_blamed(tmp_path: Path, listens):
    async with loopback() as net, pair(tmp_path, peer(await listens(net)), Memory.of(BLOB, blob_of(1))) as two:
        assert await two.fetched() == tmp_path / ROOT.hex()
        assert two.us.blamed == [] and two.pages_over_connection >= 5
        assert await two.fetched(blob_of(1)) and PEER in two.blobs.without_https


async def test_who_lies_over_its_connection_is_blamed_and_not_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(blobs_module, "PATIENCE_MS", 100)
    async with pair(tmp_path, peer(), Memory.of(BLOB)) as two:
        two.them.mutate = True
        assert await two.fetched() is None
        assert len(two.us.blamed) == 1 and "is not the one that its list names" in two.us.blamed[0]
        assert two.them.sent.count(PAGES) == 1


async def test_who_gets_a_blob_later_is_asked_again(tmp_path: Path):
    async with pair(tmp_path, peer(), Memory()) as two:
        answer = asyncio.create_task(two.fetched())
        while PAGES not in two.them.sent:
            await asyncio.sleep(0)
        two.source.blobs[ROOT] = BLOB
        assert await answer == tmp_path / ROOT.hex()


async def test_a_forgotten_wish_is_told_nothing_and_the_next_goes_on_where_it_was(tmp_path: Path):
    two_pages, told, late = asyncio.Event(), [], []
    async with pair(tmp_path, peer(), Memory.of(BLOB)) as two:
        send = two.them.send

        def stopping(key: bytes, kind: int, payload: bytes) -> None:
            if kind == PAGE and Page.decode(payload).index == 2:
                late.append(payload)
                two_pages.set()
            else:
                send(key, kind, payload)

        two.them.send = stopping  # type: ignore[method-assign]
        two.blobs.want(ROOT, 64 << 20, (), told.append)
        await two_pages.wait()
        two.blobs.forget(ROOT)
        assert len(parts_of(tmp_path / ROOT.hex())) == 1
        two.them.send, two.us.sent = send, []  # type: ignore[method-assign]
        send(US, PAGE, late[0])
        assert await two.fetched() == tmp_path / ROOT.hex()
        assert two.pages_over_connection == 3 and told == [] and not two.us.blamed


async def test_blobs_that_are_withheld_do_not_keep_us_from_those_that_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A few liars who are silent would else decide whose payloads count."""
    monkeypatch.setattr(blobs_module, "TURN_SECONDS", 0.5)
    withheld = [blob_of(0.1, 100 + seed) for seed in range(2 * blobs_module.AT_ONCE)]
    told: list[object] = []
    async with pair(tmp_path, peer(), Memory.of(BLOB, *withheld)) as two:
        two.blobs.limits = FetchLimits(reply_seconds=600.0)
        send, silent = two.them.send, {root_of(blob) for blob in withheld}

        def giving(key: bytes, kind: int, payload: bytes) -> None:
            if not any(root in payload for root in silent):
                send(key, kind, payload)

        two.them.send = giving  # type: ignore[method-assign]
        for blob in withheld:
            two.blobs.want(root_of(blob), 64 << 20, (), told.append)
        assert await asyncio.wait_for(two.fetched(), 30) == tmp_path / ROOT.hex()
        assert told == [] and two.us.blamed == []


async def test_a_slow_blob_comes_although_others_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Each turn is longer than the one before, and what has come stays."""
    monkeypatch.setattr(blobs_module, "TURN_SECONDS", 0.001)
    monkeypatch.setattr(blobs_module, "AT_ONCE", 1)
    blobs = [blob_of(seed) for seed in (1, 2, 3)]
    async with pair(tmp_path, peer(), Memory.of(*blobs)) as two:
        send = two.them.send

        def slowly(key: bytes, kind: int, payload: bytes) -> None:
            asyncio.get_running_loop().call_later(0.02, send, key, kind, payload)

        two.them.send = slowly  # type: ignore[method-assign]
        found = await asyncio.gather(*(two.fetched(blob) for blob in blobs))
        assert found == [tmp_path / root_of(blob).hex() for blob in blobs] and two.us.blamed == []


# ---- Payloads of a round


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> LoneNode:
    return with_rounds(tmp_path_factory.mktemp("rounds") / "node", 1, vest_rounds=10)


@dataclass
class Network:
    """What `fetch` of Outcomes asks: notes the wishes, answers when told to."""

    asked: list[tuple[bytes, int]] = field(default_factory=list)
    answers: list = field(default_factory=list)

    def fetch(self, wanted: Wanted, done) -> None:
        assert wanted.size == wanted.bytes_maximum
        self.asked.append((wanted.root, wanted.size))
        self.answers.append(done)

    async def is_asked(self) -> None:
        while not self.answers:
            await asyncio.sleep(0.001)


def outcomes_of(node: LoneNode, folder: Path, network: Network) -> Outcomes:
    folder.with_name("aggregates").mkdir(exist_ok=True)
    outcomes = Outcomes(node.outcomes.models, PayloadStore(folder), network.fetch)
    outcomes.model, outcomes.model_root = node.outcomes.model, node.outcomes.model_root
    return outcomes


async def test_a_revealed_payload_that_is_not_here_is_fetched_before_it_is_judged(node: LoneNode, tmp_path: Path):
    network, payload = Network(), a_payload(node)
    outcomes = outcomes_of(node, tmp_path, network)
    claimed = Claimed(root_of(payload), len(payload), 2**60)
    checks = [asyncio.create_task(outcomes.check(claimed)) for _ in range(2)]
    await network.is_asked()
    assert outcomes.holds(claimed) is None and network.asked == [(claimed.payload_root, len(payload))]
    network.answers[0](payload)
    await asyncio.gather(*checks)
    assert outcomes.holds(claimed) is True and PayloadStore(tmp_path).get(claimed.payload_root) == payload
    assert len(network.asked) == 1


async def test_who_waits_for_a_payload_gets_it_when_the_one_who_looked_has_stopped(node: LoneNode, tmp_path: Path):
    network, payload = Network(), a_payload(node)
    outcomes = outcomes_of(node, tmp_path, network)
    first, second = (asyncio.create_task(outcomes.bring([root_of(payload)])) for _ in range(2))
    await network.is_asked()
    first.cancel()
    await asyncio.wait([first])
    network.answers[0](payload)
    assert await second and first.cancelled() and len(network.answers) == 1


async def test_a_fetched_file_takes_its_place_among_the_payloads(node: LoneNode, tmp_path: Path):
    network, payload = Network(), a_payload(node)
    (tmp_path / "payloads").mkdir()
    outcomes = outcomes_of(node, tmp_path / "payloads", network)
    (tmp_path / "file").write_bytes(payload)
    bringing = asyncio.create_task(outcomes.bring([root_of(payload), root_of(payload)]))
    await network.is_asked()
    network.answers[0](tmp_path / "file")
    assert await bringing and outcomes.payloads.has(root_of(payload)) and not (tmp_path / "file").exists()
    assert await outcomes.bring([root_of(payload)]) and len(network.asked) == 1


async def test_a_payload_that_nobody_has_is_not_held(node: LoneNode, tmp_path: Path):
    network, size = Network(), len(a_payload(node))
    outcomes = outcomes_of(node, tmp_path, network)
    claimed = Claimed(b"\x07" * 32, size, 2**60)
    check = asyncio.create_task(outcomes.check(claimed))
    await network.is_asked()
    assert outcomes.holds(claimed) is None
    network.answers[-1](None)
    await check
    assert outcomes.holds(claimed) is False


async def test_no_payload_of_a_length_that_this_network_does_not_have_is_asked_for(node: LoneNode, tmp_path: Path):
    network, size = Network(), len(a_payload(node))
    outcomes = outcomes_of(node, tmp_path, network)
    for length in (size - 1, size + 1, 2**63):
        await outcomes.check(Claimed(b"\x07" * 32, length, 2**60))
        assert outcomes.holds(Claimed(b"\x07" * 32, length, 2**60)) is False
    assert network.asked == []


async def test_an_outer_step_waits_for_payloads_that_only_others_held(node: LoneNode, tmp_path: Path):
    network, payload = Network(), a_payload(node)
    outcomes = outcomes_of(node, tmp_path, network)
    preparing = asyncio.create_task(outcomes.prepare(2, [Counted(node.driver.node, root_of(payload), 4)]))
    await network.is_asked()
    network.answers[0](payload)
    prepared = await preparing
    assert prepared is not None
    assert outcomes.prepared(prepared.outcome.counted_root, outcomes.model_root) == prepared.outcome
