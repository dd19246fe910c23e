"""One node of a local network with a meter in it: `python -m bench.diloco_member`, started by `bench.diloco_net`.

It writes one JSON object per line into the file that BENCH_METER names: what the trainer says and is asked, final
blocks, every blob request, and once in a while all bytes by kind. Bytes on a socket are those that the kernel counts
for it (TCP_INFO): TLS with its handshake, HTTP and WebSocket frames included, TCP and IP headers not.
"""

import json
import os
import socket
import struct
import sys
import threading
import time
import weakref
from collections import Counter
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import aiohttp

from chain.transition import Applied
from network.connection import Connection
from network.https_source import HttpsSource
from network.kinds import KINDS
from node.__main__ import main
from node.localnet.member import follow_parent, wake_without_parent
from node.readings import Readings
from node.trainer import Trainer

SAMPLE_SECONDS = 0.5
TCP_INFO_BYTES = 216  # Linux: struct tcp_info up to tcpi_bytes_retrans
RECEIVED, SENT, AGAIN = 128, 200, 208
INTERFACE = Path("/sys/class/net/eth0/statistics")

TAKEN: ContextVar[list[Any]] = ContextVar("taken")  # transports that a request came by
OPEN: "weakref.WeakSet[Connection]" = weakref.WeakSet()
LOCK = threading.Lock()


def write(kind: str, **content: Any) -> None:
    line = json.dumps({"t": time.time(), "kind": kind, **content})
    with LOCK, Path(os.environ["BENCH_METER"]).open("a", encoding="ascii") as file:
        file.write(line + "\n")


def on_socket(transport: Any) -> tuple[int, int]:
    """Bytes received and sent on a transport's socket since it was opened; sent once, whatever TCP had to repeat."""
    found = transport.get_extra_info("socket")
    try:
        info = found.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
    except (OSError, AttributeError):
        return 0, 0
    read = [struct.unpack_from("=Q", info, place)[0] for place in (RECEIVED, SENT, AGAIN)]
    return read[0], read[1] - read[2]


class Meter:
    """Bytes of connections between peers that have ended; those that are open are added when asked."""

    def __init__(self) -> None:
        self.ended: dict[str, Counter[int]] = {name: Counter() for name in ("in", "out", "frames_in", "frames_out")}
        self.ended_socket = [0, 0]

    def add(self, into: dict[str, Counter[int]], sizes: list[int], connection: Connection) -> None:
        report = connection.report()
        into["in"].update(report.bytes_in)
        into["out"].update(report.bytes_out)
        into["frames_in"].update(report.messages_in)
        into["frames_out"].update(report.messages_out)
        for index, size in enumerate(LAST.get(connection, (0, 0))):
            sizes[index] += size

    def sample(self) -> None:
        into = {name: Counter(counted) for name, counted in self.ended.items()}
        sizes = list(self.ended_socket)
        for connection in list(OPEN):
            look(connection)
            self.add(into, sizes, connection)
        kinds = {
            KINDS[number].name: [into[name][number] for name in ("frames_in", "in", "frames_out", "out")]
            for number in sorted(set(into["in"]) | set(into["out"]))
        }
        write("traffic", kinds=kinds, peers_socket=sizes, interface=interface())


LAST: "weakref.WeakKeyDictionary[Connection, tuple[int, int]]" = weakref.WeakKeyDictionary()
METER = Meter()


def look(connection: Connection) -> None:
    seen = on_socket(connection._transport)
    if seen != (0, 0):
        LAST[connection] = seen


def interface() -> list[int] | None:
    """Bytes in and out of this host with all headers, where the node has a host of its own."""
    if not INTERFACE.exists():
        return None
    return [int((INTERFACE / name).read_text()) for name in ("rx_bytes", "tx_bytes")]


def attach() -> None:
    """Put the meter into the places where a node hears and sends."""
    run, ask = Connection.run, Trainer.ask
    hear_trainer, hear_block = Readings.hear_trainer, Readings.hear_block

    async def metered_run(self: Connection, *arguments: Any) -> str:
        OPEN.add(self)
        try:
            return await run(self, *arguments)
        finally:
            OPEN.discard(self)
            METER.add(METER.ended, METER.ended_socket, self)

    def metered_ask(self: Trainer, command: Any) -> None:
        write("asked", what=type(command).__name__, round=command.round)
        ask(self, command)

    def metered_trainer(self: Readings, event: Any) -> None:
        values = {name: getattr(event, name, None) for name in ("round", "step", "segment", "tokens_per_second")}
        root = getattr(event, "payload_root", b"").hex()
        write("trainer", what=type(event).__name__, root=root, **values)
        hear_trainer(self, event)

    def metered_block(self: Readings, applied: Applied) -> None:
        header, body = applied.block.header, applied.block.body
        inputs = Counter(type(each).__name__ for each in body.rounds)
        receipts = [type(each).__name__ for each in applied.receipts if type(each).__name__.startswith("Round")]
        size = len(applied.block.encode())
        parts = {"proofs": sum(len(each.encode()) for each in body.proofs), "bytes": size}
        parts |= {"rounds": sum(len(each.encode()) for each in body.rounds)}
        current = applied.state.round(applied.state.ledger.round)
        where = [current.number, current.phase] if current is not None else None
        write("block", height=header.height, made_ms=header.time_ms, proofs=len(body.proofs), inputs=inputs,
              receipts=receipts, size=parts, round=where)  # fmt: skip
        hear_block(self, applied)

    Connection.run = metered_run  # type: ignore[method-assign]
    Trainer.ask = metered_ask  # type: ignore[method-assign]
    Readings.hear_trainer = metered_trainer  # type: ignore[method-assign]
    Readings.hear_block = metered_block  # type: ignore[method-assign]
    attach_blobs()


def attach_blobs() -> None:
    """Every HTTPS request for a blob: what the socket carried for it, and how long it took."""
    connect, get_once = aiohttp.TCPConnector.connect, HttpsSource._get_once
    known: dict[object, tuple[int, int]] = {}  # by the two ends of a connection

    async def noted_connect(self: aiohttp.TCPConnector, *arguments: Any, **named: Any) -> Any:
        connection = await connect(self, *arguments, **named)
        if (taken := TAKEN.get(None)) is not None:
            taken.append(connection.transport)
        return connection

    async def metered_get(self: HttpsSource, path: str, headers: dict[str, str], most: int) -> tuple[int, bytes]:
        taken: list[Any] = []
        TAKEN.set(taken)
        begun = time.time()
        status, body = await get_once(self, path, headers, most)
        for transport in taken:
            ends = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
            before, now = known.get(ends, (0, 0)), on_socket(transport)
            known[ends] = now
            moved = [max(0, new - old) for new, old in zip(now, before, strict=True)]
            line = {"path": path, "address": self.address, "status": status, "body": len(body)}
            line |= {"range": headers.get("Range"), "received": moved[0], "sent": moved[1]}
            write("https", **line, seconds=time.time() - begun, is_new=before == (0, 0))
        return status, body

    aiohttp.TCPConnector.connect = noted_connect  # type: ignore[method-assign]
    HttpsSource._get_once = metered_get  # type: ignore[method-assign]


def sample_for_ever() -> None:
    while True:
        time.sleep(SAMPLE_SECONDS)
        try:
            METER.sample()
        except RuntimeError:
            continue  # A table grew while it was read: the next look is soon.


if __name__ == "__main__":
    wake_without_parent()
    threading.Thread(target=follow_parent, name="parent", daemon=True).start()
    attach()
    threading.Thread(target=sample_for_ever, name="meter", daemon=True).start()
    sys.argv[0] = "neuroshard"
    main()
