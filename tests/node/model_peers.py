"""A few nodes over real HTTPS on the loopback and over connections in this process, which serve states of a model."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from chain.block import Outcome
from chain.crypto.hashing import ZERO
from chain.genesis import Network
from network.blob_client import FetchLimits
from network.blob_server import BlobServer, BlobSource
from network.kinds import PAGE
from network.peer import VALIDATOR, Peer
from network.tls import client_context
from node.blob_exchange import BlobExchange
from node.blob_messages import Page
from node.blobs import Blobs
from node.loop_runtime import LoopRuntime
from node.model_source import ModelSource
from node.model_store import ModelStore
from node.parts import Parts
from node.template import Learning, create_network, read_template, template_path
from tests.network.blob_servers import Loopback, loopback
from tests.node.lone_node import CREATED_MS, IDENTITY, TINY
from training.aggregate import encode8
from training.outer import OuterState
from training.trust import Trust

ROUND = 7
# HTTPS gets half of it. Whoever is too slow under a heavy load is asked again.
LIMITS = FetchLimits(reply_seconds=1.0, bytes_per_second_minimum=8 << 20)


def network_of_pages() -> Network:
    """A network whose model takes a few pages."""
    wide = {"model.width": 64, "model.ffn_width": 128, "model.vocabulary": 9_000, "model.heads": 2, "model.kv_heads": 2}
    template = read_template(template_path(), "lab")
    content = {**template, "parameters": template["parameters"] | TINY | wide}
    return create_network(content, "pages", CREATED_MS, (IDENTITY.bootstrap_validator(),))


def learning_of_pages() -> Learning:
    return Learning.of(network_of_pages())


def a_state(learning: Learning, seed: int) -> OuterState:
    """As if after a round."""
    chance = np.random.default_rng(seed)
    weights = chance.normal(0, 0.02, learning.parameters).astype(np.float32)
    momentum = chance.integers(-1_000, 1_000, learning.parameters, dtype=np.int32)
    aggregate = encode8(momentum, learning.fragment_sizes)
    trust = tuple(Trust(bytes([number]) * 32, 10 * number, number, 0, 250_000) for number in range(1, 5))
    return OuterState(weights, momentum, aggregate, trust)


def outcome_of(learning: Learning, state: OuterState) -> Outcome:
    return learning.outcome(ZERO, state)


def stored(folder: Path, learning: Learning, *states: OuterState, first: int = ROUND) -> ModelStore:
    """A store with these states as the newest ones."""
    folder.mkdir(parents=True)
    models = ModelStore(folder, learning)
    for number, state in enumerate(states, first):
        models.save(state, number, outcome_of(learning, state).outer_root)
    return models


@dataclass
class Wire:
    """A switch whose peers are in this process."""

    key: bytes
    nodes: dict[bytes, "Wire"]
    listens: str = ""
    parts: Parts | None = None
    blamed: dict[bytes, list[str]] = field(default_factory=dict)
    is_gone: bool = False
    lies: bool = False  # every page is sent with a wrong byte
    is_silent: bool = False
    sent: list[int] = field(default_factory=list)

    @property
    def peers(self) -> Mapping[bytes, Peer]:
        others = [each for each in self.nodes.values() if each is not self and not each.is_gone]
        return {each.key: Peer(each.key, "127.0.0.1:9", False, VALIDATOR, each.listens, b"", "") for each in others}

    def send(self, key: bytes, kind: int, payload: bytes) -> None:
        self.sent.append(kind)
        if self.lies and kind == PAGE:
            page = Page.decode(payload)
            payload = Page(page.root, page.index, page.content[:-1] + bytes([page.content[-1] ^ 1])).encode()
        other = self.nodes[key]
        if not (self.is_silent or self.is_gone or other.is_gone):
            assert other.parts is not None
            asyncio.get_running_loop().call_soon(other.parts.received, self.key, kind, payload)

    def blame(self, key: bytes, points: int, reason: str) -> None:
        self.blamed.setdefault(key, []).append(reason)

    def praise(self, key: bytes) -> None: ...

    def leave(self) -> None:
        """The connections of this node end."""
        self.is_gone = True
        for other in self.nodes.values():
            if other is not self and other.parts is not None:
                other.parts.left(self.key)


class Fading:
    """A source that is there for so many reads, and then has nothing any more; it notes the pages that it gave."""

    def __init__(self, source: BlobSource, reads: int = 1 << 30) -> None:
        self.source = source
        self.reads = reads
        self.given: list[tuple[bytes, int]] = []

    def size(self, root: bytes) -> int | None:
        return self.source.size(root) if self.reads else None

    def page_hashes(self, root: bytes) -> bytes | None:
        return self.source.page_hashes(root) if self.reads else None

    def read(self, root: bytes, offset: int, length: int) -> bytes | None:
        if not self.reads:
            return None
        self.reads -= 1
        self.given.append((root, offset))
        return self.source.read(root, offset, length)


@dataclass
class Meeting:
    """We, who want, and others, who have."""

    us: Wire
    blobs: Blobs
    net: Loopback
    stack: AsyncExitStack
    runtimes: list[LoopRuntime]

    async def peer(self, source: BlobSource, listens: bool = False, **nature: Any) -> Wire:
        """Another node, which serves over HTTPS too if it `listens`."""
        address = ""
        if listens:
            server = BlobServer(source)
            self.stack.callback(server.close)
            address = await self.net.listen(server.routes())
        wire = Wire(bytes([len(self.us.nodes) + 2]) * 33, self.us.nodes, address, **nature)
        self._wire(wire, source)
        return wire

    def _wire(self, wire: Wire, source: BlobSource) -> BlobExchange:
        runtime = LoopRuntime()
        runtime.switch = wire
        exchange = BlobExchange(runtime, source)
        wire.parts = Parts(runtime, [exchange])
        wire.nodes[wire.key] = wire
        self.runtimes.append(runtime)
        return exchange


@asynccontextmanager
async def meeting(folder: Path) -> AsyncIterator[Meeting]:
    """`folder`: where what we fetch comes."""
    runtimes: list[LoopRuntime] = []
    async with loopback() as net, AsyncExitStack() as stack:
        us = Wire(b"\x02" * 33, {})
        met = Meeting(us, None, net, stack, runtimes)  # type: ignore[arg-type]
        exchange = met._wire(us, ModelSource(ModelStore(folder / "nothing", learning_of_pages())))
        met.blobs = Blobs(runtimes[0], exchange, folder, client_context(), LIMITS)
        try:
            yield met
        finally:
            await met.blobs.stop()
            for runtime in runtimes:
                await runtime.stop()
