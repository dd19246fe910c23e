"""Lines between nodes that can be cut: blackholes in network namespaces where allowed, else proxies that drop."""

import asyncio
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

import psutil

from node.localnet.hosts import Namespaces, Place

CHUNK_BYTES = 1 << 16
Pair = tuple[int, int]


class Links(Protocol):
    """`cut` drops whatever two nodes send to each other, from now on, until `heal`."""

    async def cut(self, pairs: Iterable[Pair]) -> None: ...

    async def heal(self) -> None: ...


class Blackholes:
    """Routes in the nodes' namespaces that lead nowhere: packets vanish, in both directions."""

    def __init__(self, hosts: Namespaces, places: list[Place]) -> None:
        self.hosts = hosts
        self.addresses = [place.listen.rpartition(":")[0] for place in places]
        self.cuts: set[Pair] = set()

    async def cut(self, pairs: Iterable[Pair]) -> None:
        for a, b in pairs:
            if (a, b) not in self.cuts:
                self.cuts |= {(a, b), (b, a)}
                self._route("add", a, b)
                self._route("add", b, a)

    async def heal(self) -> None:
        for a, b in self.cuts:
            self._route("del", a, b)
        self.cuts.clear()

    def _route(self, verb: str, at: int, to: int) -> None:
        words = f"ip -n {self.hosts.name(at)} route {verb} blackhole {self.addresses[to]}/32"
        done = subprocess.run(words.split(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}: {done.stderr}"


@dataclass(eq=False)
class _Line:
    """One connection through a proxy, between two nodes."""

    ends: Pair
    open: asyncio.Event


class Proxies:
    """Before each node a proxy, which others are given as its address. Who dials is known by the port they have."""

    def __init__(self, places: list[Place]) -> None:
        self.listens = [place.listen for place in places]
        self.pids: dict[int, int] = {}  # process → node; kept by whoever starts nodes
        self.cuts: set[Pair] = set()
        self.lines: set[_Line] = set()
        self.servers: list[asyncio.Server] = []
        self.tasks: set[asyncio.Task[None]] = set()

    async def start(self, places: list[Place]) -> list[Place]:
        """Open the proxies; the places with the addresses that others are to use."""
        found = []
        for number, place in enumerate(places):

            async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, to: int = number) -> None:
                await self._carry(reader, writer, to)

            server = await asyncio.start_server(accept, "127.0.0.1", 0)
            self.servers.append(server)
            found.append(replace(place, reached=f"127.0.0.1:{server.sockets[0].getsockname()[1]}"))
        return found

    async def stop(self) -> None:
        for server in self.servers:
            server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def cut(self, pairs: Iterable[Pair]) -> None:
        self.cuts |= {pair for a, b in pairs for pair in ((a, b), (b, a))}
        for line in self.lines:
            if line.ends in self.cuts:
                line.open.clear()

    async def heal(self) -> None:
        self.cuts.clear()
        for line in self.lines:
            line.open.set()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, to: int) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        line = _Line((self._dialler(writer.get_extra_info("peername")[1]), to), asyncio.Event())
        self.lines.add(line)
        if line.ends not in self.cuts:
            line.open.set()
        out: asyncio.StreamWriter | None = None
        try:
            await line.open.wait()
            host, _, port = self.listens[to].rpartition(":")
            into, out = await asyncio.open_connection(host, int(port))
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, out, line.open))
                group.create_task(_pump(into, writer, line.open))
        except (OSError, ExceptionGroup, asyncio.CancelledError):
            pass  # An end has gone, or the test is over; nobody waits for this task.
        finally:
            self.lines.discard(line)
            for stream in (writer, out):
                if stream is not None:
                    stream.transport.abort()

    def _dialler(self, port: int) -> int:
        """Whose connection this is; -1 for somebody else's, which is never cut."""
        for pid, number in list(self.pids.items()):
            with suppress(psutil.Error):
                for connection in psutil.Process(pid).net_connections("tcp4"):
                    if connection.laddr and connection.laddr.port == port:
                        return number
        return -1


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, may_pass: asyncio.Event) -> None:
    """Carry bytes while the line is open; what comes meanwhile waits, as TCP would send it again."""
    while chunk := await reader.read(CHUNK_BYTES):
        await may_pass.wait()
        writer.write(chunk)
        await writer.drain()
    raise ConnectionResetError("one end has closed")
