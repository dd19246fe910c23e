"""Blobs that are looked for come once, whoever waits for them."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from network.pages import Wanted
from node.bringing import Bringing
from node.payload_store import PayloadStore, payload_root

BLOB = b"what a round accepted"


class Network:
    """Notes what is asked for; `give` answers."""

    def __init__(self) -> None:
        self.asked: list[Callable[[bytes | Path | None], None]] = []

    def fetch(self, wanted: Wanted, done: Callable[[bytes | Path | None], None]) -> None:
        self.asked.append(done)

    async def until_asked(self) -> None:
        while not self.asked:
            await asyncio.sleep(0)


def brings(folder: Path, network: Network) -> tuple[Bringing, Wanted]:
    return Bringing(PayloadStore(folder), network.fetch), Wanted(payload_root(BLOB), 100)


async def test_who_is_called_away_does_not_lose_what_is_on_its_way(tmp_path: Path) -> None:
    network = Network()
    bringing, wanted = brings(tmp_path, network)
    waits = asyncio.create_task(bringing.bring(wanted))
    await network.until_asked()
    waits.cancel()
    with suppress(asyncio.CancelledError):
        await waits
    again = asyncio.create_task(bringing.bring(wanted))
    await asyncio.sleep(0)
    network.asked[0](BLOB)
    assert await again and bringing.store.get(wanted.root) == BLOB
    assert len(network.asked) == 1 and await bringing.bring(wanted)


async def test_what_comes_while_nobody_waits_is_kept(tmp_path: Path) -> None:
    network = Network()
    bringing, wanted = brings(tmp_path, network)
    waits = asyncio.create_task(bringing.bring(wanted))
    await network.until_asked()
    waits.cancel()
    network.asked[0](BLOB)
    assert await bringing.bring(wanted) and len(network.asked) == 1
