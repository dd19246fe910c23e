"""Switches of several nodes on this machine, and listeners that write down what they hear."""

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from chain.crypto import ecdsa
from network.connection import Connection
from network.peer import NodeKey, Peer
from network.switch import Switch
from network.switch_config import SwitchConfig
from network.transport import Dialer, Endpoint, Introduction

CHAIN = bytes(range(32))


def node_key(name: object) -> NodeKey:
    secret = hashlib.sha256(repr(name).encode()).digest()
    return NodeKey(ecdsa.public_key(secret), lambda digest: ecdsa.sign(secret, digest), ecdsa.verify)


def ordered_names() -> tuple[str, str]:
    """Two names of nodes, the one with the smaller key first."""
    small, large = sorted(("one", "two"), key=lambda name: node_key(name).public_key)
    return small, large


class Heard:
    """A listener with a memory; `now` are the peers that it believes to be connected."""

    def __init__(self) -> None:
        self.now: dict[bytes, Peer] = {}
        self.joins = 0
        self.messages: list[tuple[bytes, int, bytes]] = []

    def joined(self, peer: Peer) -> None:
        assert peer.key not in self.now, "joined twice without leaving"
        self.now[peer.key] = peer
        self.joins += 1

    def left(self, key: bytes) -> None:
        del self.now[key]

    def received(self, key: bytes, kind: int, payload: bytes) -> None:
        assert key in self.now, "a message of nobody"
        self.messages.append((key, kind, payload))


class Net:
    """Starts switches in folders of their own and stops all of them at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: dict[object, Switch] = {}
        self.heard: dict[object, Heard] = {}
        self.errors: list[BaseException] = []

    async def start(self, name: str, *seeds: str, listen: str | None = "127.0.0.1:0", **more: Any) -> Switch:
        config = SwitchConfig(CHAIN, self.folder / name, self.errors.append, listen, seeds=seeds, allow_local=True)
        heard = self.heard[name] = Heard()
        switch = Switch(replace(config, **more), node_key(name), heard, Random(name))
        self.running[name] = switch
        await switch.start()
        return switch

    async def stop(self, name: str) -> None:
        await self.running.pop(name).stop()

    def connected(self, name: str, *others: str) -> bool:
        """Whether exactly these are peers, in the switch's and in the listener's eyes."""
        wanted = {node_key(other).public_key for other in others}
        return set(self.running[name].peers) == set(self.heard[name].now) == wanted


@asynccontextmanager
async def network(folder: Path) -> Iterator[Net]:
    net = Net(folder)
    try:
        yield net
    finally:
        await asyncio.gather(*(switch.stop() for switch in net.running.values()))
    assert net.errors == []


async def until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait for what has to come; fails if it does not."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


class Stranger:
    """A node that only shakes hands, and then does what a test wants."""

    def __init__(self, name: object, voucher: bytes = b"", listen: str = "") -> None:
        introduction = Introduction(0, listen, voucher, "stranger")
        self.key = node_key(name)
        self._dialer = Dialer(Endpoint(CHAIN, self.key, lambda: introduction))
        self.heard: list[tuple[int, bytes]] = []
        self.ended = ""
        self._task: asyncio.Task[None] | None = None

    async def dial(self, address: str) -> Connection:
        connection = await self._dialer.dial(address)
        self._task = asyncio.create_task(self._run(connection))
        return connection

    async def _run(self, connection: Connection) -> None:
        self.ended = await connection.run(lambda kind, payload: self.heard.append((kind, payload)), lambda fault: None)

    async def close(self) -> None:
        await self._dialer.close()
        if self._task is not None:
            await self._task
