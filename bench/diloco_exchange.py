"""One peer that averages as our nodes do, without the ledger: driven by `bench.diloco_peers` over stdin and stdout.

.venv/bin/python -m bench.diloco_exchange VECTOR.npy

Its lines, each answered by one JSON object:
    encode                          the vector becomes a payload: its root
    step SECONDS ROOT@ADDRESS ...   payloads are fetched over HTTPS as nodes do it, then the outer step; who is not
                                    there after so many seconds is left out. The aggregate is written beside the vector.
"""

import asyncio
import hashlib
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.network import endpoint
from network.blob_client import BlobFetcher
from network.blob_errors import NoSourceLeft
from network.blob_server import BlobServer
from network.connection import Connection
from network.https_source import HttpsSource, new_session
from network.limits import GateLimits
from network.pages import Wanted
from network.tls import client_context, open_certificate
from network.transport import Gate
from node.blob_source import HASHING, FileSource
from node.payload_store import PayloadStore
from node.template import Learning, create_network, read_template, template_path
from training.aggregate import decode8
from training.outer import Entry, OuterState, genesis_state, outer_step
from training.payload import encode_payload, payload_size


def say(**content: object) -> None:
    print(json.dumps(content), flush=True)


class Exchange:
    """A payload store behind HTTPS, and the outer step over what it holds."""

    def __init__(self, vector: Path, folder: Path) -> None:
        self.path = vector
        self.vector: NDArray[np.float32] = np.load(vector)
        self.sizes = (self.vector.size,)
        self.folder = folder
        self.store = PayloadStore(folder)
        self.base = genesis_state(np.zeros(self.vector.size, dtype=np.float32))
        network = create_network(read_template(template_path(), "dev"), "bench", 0, ())
        self.spec = Learning.of(network).outer

    def encode(self) -> dict[str, object]:
        begun = time.perf_counter()
        # The payload is W - theta: with weights 0 and theta = -vector it is the vector.
        payload = encode_payload(self.base.weights, -self.vector, self.sizes)
        root = self.store.put(payload)
        return {"root": root.hex(), "bytes": len(payload), "seconds": time.perf_counter() - begun}

    async def fetch(self, root: bytes, address: str) -> None:
        if self.store.has(root):
            return
        wanted = Wanted(root, payload_size(self.sizes), payload_size(self.sizes))
        async with new_session() as session:
            source = HttpsSource(session, address, client_context())
            while True:
                try:
                    await BlobFetcher(HASHING).fetch(wanted, [source], self.store.path(root))
                    return
                except NoSourceLeft:
                    await asyncio.sleep(0.2)

    async def step(self, seconds: float, peers: list[str]) -> dict[str, object]:
        begun = time.perf_counter()
        named = [(bytes.fromhex(root), address) for root, _, address in (peer.partition("@") for peer in peers)]
        fetching = [asyncio.create_task(self.fetch(root, address)) for root, address in named]
        _, late = await asyncio.wait(fetching, timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        fetched = time.perf_counter()
        here = [(root, address) for root, address in named if self.store.has(root)]
        entries = [Entry(hashlib.sha256(address.encode()).digest(), self.store.get(root), self.spec.round_steps)
                   for root, address in here]  # fmt: skip
        state: OuterState = await asyncio.to_thread(outer_step, self.base, entries, self.sizes, self.spec)
        ended = time.perf_counter()
        numbers = decode8(state.aggregate, self.sizes).astype(np.float32) / np.float32(1 << 24)
        np.save(f"{self.path}.average.npy", numbers)
        return {"seconds": ended - begun, "fetching": fetched - begun, "outer_step": ended - fetched,
                "group": len(here), "aggregate": hashlib.sha256(state.aggregate).hexdigest(), "error": ""}  # fmt: skip


async def lines() -> Any:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode().strip():
        yield line.split()


async def serve(vector: Path, folder: Path) -> None:
    async def welcome(connection: Connection) -> None:
        await connection.close("this is a benchmark")

    exchange = Exchange(vector, folder / "payloads")
    exchange.folder.mkdir()
    server = BlobServer(FileSource(exchange.store.find))
    gate = Gate(endpoint(1), open_certificate(folder, datetime.now(UTC)), welcome, lambda _: None, GateLimits())
    gate.add_routes(server.routes())
    say(addresses=[await gate.start("127.0.0.1:0")])
    async for word, *rest in lines():
        if word == "encode":
            say(**exchange.encode())
        else:
            say(**await exchange.step(float(rest[0]), rest[1:]))
    await gate.stop()
    server.close()


def main() -> None:
    with TemporaryDirectory() as folder:
        asyncio.run(serve(Path(sys.argv[1]), Path(folder)))


if __name__ == "__main__":
    main()
