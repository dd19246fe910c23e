"""One peer that averages as our nodes do, without the ledger: driven by `bench.diloco_peers` over stdin and stdout.

.venv/bin/python -m bench.diloco_exchange VECTOR.npy

Its lines, each answered by one JSON object:
    encode                            the vector becomes a payload: its root
    fetch SECONDS ROOT@ADDRESS ...    over HTTPS as nodes do it; which are here after at most so many seconds
    outer ROOT@ADDRESS ...            the outer step over these; the aggregate is written beside the vector
Who counts is decided by who drives it, as the ledger does: what more than two thirds of the peers hold.
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

from bench.diloco_parts import learning_of
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
from training.aggregate import decode8
from training.outer import Entry, OuterState, genesis_state, outer_step
from training.payload import encode_payload, payload_size


def say(**content: object) -> None:
    print(json.dumps(content), flush=True)


class Exchange:
    """A payload store behind HTTPS, and the outer step over what it holds."""

    def __init__(self, vector: Path, folder: Path) -> None:
        self.path = vector
        self.sizes = (np.load(vector).size,)
        self.folder = folder
        self.store = PayloadStore(folder)
        self.base = genesis_state(np.zeros(self.sizes[0], dtype=np.float32))
        self.spec = learning_of("dev").outer

    def encode(self) -> dict[str, object]:
        begun = time.perf_counter()
        vector: NDArray[np.float32] = np.load(self.path)
        # The payload is W - theta: with weights 0 and theta = -vector it is the vector.
        payload = encode_payload(self.base.weights, -vector, self.sizes)
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

    async def bring(self, seconds: float, peers: list[str]) -> dict[str, object]:
        begun = time.perf_counter()
        fetching = [asyncio.create_task(self.fetch(*split(peer))) for peer in peers]
        _, late = await asyncio.wait(fetching, timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        held = [peer for peer in peers if self.store.has(split(peer)[0])]
        return {"held": held, "seconds": time.perf_counter() - begun}

    async def outer(self, peers: list[str]) -> dict[str, object]:
        begun = time.perf_counter()
        await asyncio.gather(*(self.fetch(*split(peer)) for peer in peers))
        steps = self.spec.round_steps
        entries = [Entry(split(peer)[0], self.store.get(split(peer)[0]), steps) for peer in peers]
        state: OuterState = await asyncio.to_thread(outer_step, self.base, entries, self.sizes, self.spec)
        seconds = time.perf_counter() - begun
        numbers = decode8(state.aggregate, self.sizes).astype(np.float32) / np.float32(1 << 24)
        np.save(f"{self.path}.average.npy", numbers)
        return {"seconds": seconds, "aggregate": hashlib.sha256(state.aggregate).hexdigest()}


def split(peer: str) -> tuple[bytes, str]:
    root, _, address = peer.partition("@")
    return bytes.fromhex(root), address


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
        match word:
            case "encode":
                say(**exchange.encode())
            case "fetch":
                say(**await exchange.bring(float(rest[0]), rest[1:]))
            case _:
                say(**await exchange.outer(rest))
    await gate.stop()
    server.close()


def main() -> None:
    with TemporaryDirectory() as folder:
        asyncio.run(serve(Path(sys.argv[1]), Path(folder)))


if __name__ == "__main__":
    main()
