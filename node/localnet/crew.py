"""The node processes of a local network: started, asked how they are, and ended, all of them. Start at `Crew`."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from node.backends import CHOICES
from node.localnet.hosts import Place
from node.localnet.plan import Plan

ASK_SECONDS = 5.0
STOP_SECONDS = 20.0
PEERS_GIVEN = 8
TAIL_BYTES = 4096
ROOT = Path(__file__).parents[2]


@dataclass(slots=True)
class Member:
    """One node: its process, and what it said last."""

    number: int
    place: Place
    home: Path
    output: Path
    process: subprocess.Popen[bytes]
    status: Mapping[str, Any] = field(default_factory=dict)
    block: Mapping[str, Any] = field(default_factory=dict)
    answers: bool = False
    cpu_percent: float = 0.0
    memory_bytes: int = 0
    _watched: dict[int, psutil.Process] = field(default_factory=dict)

    @property
    def runs(self) -> bool:
        return self.process.poll() is None

    @property
    def failed(self) -> bool:
        """It has ended, and not because it was asked to."""
        return self.process.poll() not in (None, 0)

    @property
    def end(self) -> str:
        """How it ended, and the last that it said."""
        code = self.process.poll()
        if code is None:
            return ""
        how = f"status {code}" if code >= 0 else signal.Signals(-code).name
        return f"ended with {how}: {last_line(self.output) or 'it said nothing'}"

    def measure(self) -> None:
        """Processor and memory of the node and its trainer."""
        with suppress(psutil.Error):
            node = self._watched.setdefault(self.process.pid, psutil.Process(self.process.pid))
            family = [node, *(self._watched.setdefault(each.pid, each) for each in node.children(recursive=True))]
            self.cpu_percent = self.memory_bytes = 0
            for each in family:
                with suppress(psutil.Error):
                    self.cpu_percent += each.cpu_percent()
                    self.memory_bytes += each.memory_info().rss

    async def ask(self, session: aiohttp.ClientSession) -> None:
        """Get status and newest block; what it said before stays if it does not answer."""
        try:
            status = await _get(session, f"http://{self.place.api}/v1/status")
            page = await _get(session, f"http://{self.place.api}/v1/blocks?limit=1")
        except (OSError, TimeoutError, ValueError, aiohttp.ClientError):
            self.answers = False
            return
        self.status, self.answers = status, True
        if page.get("blocks"):
            self.block = page["blocks"][0]


async def _get(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    async with session.get(url, timeout=aiohttp.ClientTimeout(ASK_SECONDS)) as answer:
        found = await answer.json()
    if answer.status != 200 or not isinstance(found, dict):
        raise ValueError(f"{url} answered {answer.status}")
    return found


def last_line(path: Path) -> str:
    """The last line that a process wrote; nothing if it wrote none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    words = [line.strip() for line in lines if line.strip()]
    return "".join(character for character in words[-1] if character.isprintable()) if words else ""


class Crew:
    """All nodes of a plan, at their places. `options` are passed on to every node, `more` to single ones."""

    program = "node.localnet.member"

    def __init__(
        self, plan: Plan, places: Sequence[Place], options: Sequence[str], more: Mapping[int, list[str]]
    ) -> None:
        self.plan = plan
        self.places = places
        self.options = options
        self.more = more
        self.members: list[Member] = []

    def start(self) -> None:
        self.members = [self.spawn(number) for number in range(self.plan.nodes)]
        self.plan.keep([self._note(member) for member in self.members])

    def spawn(self, number: int, environment: Mapping[str, str] | None = None) -> Member:
        """Start one node. It ends when this process ends, however that is."""
        place, home, output = self.places[number], self.plan.home(number), self.plan.output(number)
        command = [*place.prefix, sys.executable, "-m", self.program, *self._arguments(number)]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("NEUROSHARD_")}
        clean |= {name: os.environ[name] for name in CHOICES if name in os.environ}
        with output.open("ab") as out:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**clean, **(environment or {})},
                stdin=subprocess.PIPE,  # Its end tells the node that we are gone.
                stdout=out,
                stderr=out,
                start_new_session=True,  # Ctrl-C is ours: we pass it on once.
            )
        return Member(number, place, home, output, process)

    def _arguments(self, number: int) -> list[str]:
        place = self.places[number]
        others = [self.places[(number + step) % len(self.places)] for step in range(1, len(self.places))]
        peers = [word for other in others[:PEERS_GIVEN] for word in ("--peer", other.peer)]
        where = ["--data-dir", str(self.plan.home(number)), "--network", str(self.plan.network), "--api", place.api]
        if place.reached:
            where += ["--advertise", place.reached]
        return [*where, "--listen", place.listen, *peers, "--allow-local", *self.options, *self.more.get(number, [])]

    def _note(self, member: Member) -> dict[str, Any]:
        place = member.place
        return {"listen": place.listen, "api": place.api, "data_dir": str(member.home), "pid": member.process.pid}

    async def look(self, session: aiohttp.ClientSession) -> None:
        """Ask all that run, at the same time."""
        running = [member for member in self.members if member.runs]
        for member in running:
            member.measure()
        await asyncio.gather(*(member.ask(session) for member in running))

    async def stop(self) -> None:
        """End all: as Ctrl-C does, and after a while at once. None is left running, nor any of their trainers."""
        for member in self.members:
            if member.runs:
                member.process.send_signal(signal.SIGINT)
                member.process.send_signal(signal.SIGCONT)  # One that somebody has paused would never hear of it.
        deadline = asyncio.get_running_loop().time() + STOP_SECONDS
        try:
            while any(member.runs for member in self.members) and asyncio.get_running_loop().time() < deadline:
                await asyncio.sleep(0.05)
        finally:
            self.kill()

    def kill(self) -> None:
        """End what still runs, at once."""
        for member in self.members:
            if member.runs:
                with suppress(ProcessLookupError):
                    os.killpg(member.process.pid, signal.SIGKILL)
            member.process.wait()
            if member.process.stdin is not None:
                member.process.stdin.close()
