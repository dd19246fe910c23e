"""The processes of the chaos test: started, killed, paused, started again, and asked over their API."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from node.localnet.crew import Crew, Member, last_line
from node.localnet.hosts import Place
from node.localnet.plan import Plan
from tests.chaos.links import Links, Proxies

UP_SECONDS = 90
ASK_SECONDS = 5.0
TOO_MANY_REQUESTS = 429
DISK_BYTES = 48 << 20


class ChaosCrew(Crew):
    program = "tests.chaos.member"


@dataclass
class Broken(Exception):
    """A promise that did not hold, in words."""

    words: str


@dataclass
class Fleet:
    """All nodes. `alive` are those that should be running; who is in `held` is in the hands of a fault."""

    plan: Plan
    places: Sequence[Place]
    links: Links
    session: aiohttp.ClientSession
    options: Sequence[str]
    more: dict[int, list[str]]
    small_disks: tuple[int, ...] = ()
    members: dict[int, Member] = field(default_factory=dict)
    held: set[int] = field(default_factory=set)
    started: dict[int, float] = field(default_factory=dict)
    up_seconds: list[float] = field(default_factory=list)
    kills: int = 0
    clocks: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.crew = ChaosCrew(self.plan, self.places, self.options, self.more)

    @property
    def numbers(self) -> list[int]:
        """Who takes part by now."""
        return sorted(self.members)

    def free(self) -> list[int]:
        """Who may be struck: it runs, and no other fault has hold of it."""
        return [number for number in self.numbers if number not in self.held and self.members[number].runs]

    def start(self, number: int) -> None:
        clock = self.clocks.get(number, 0)
        self.members[number] = self.crew.spawn(number, {"CHAOS_CLOCK_MS": str(clock)} if clock else None)
        self.started[number] = time.monotonic()
        if isinstance(self.links, Proxies):
            self.links.pids[self.members[number].process.pid] = number

    def kill(self, number: int) -> None:
        member = self.members[number]
        if member.runs:
            self.kills += 1
            with suppress(ProcessLookupError):
                os.killpg(member.process.pid, signal.SIGKILL)
        self.buried(number)

    def buried(self, number: int) -> int:
        """Wait for the end of a process; its status."""
        member = self.members[number]
        status = member.process.wait(UP_SECONDS)
        if member.process.stdin is not None:
            member.process.stdin.close()
        return status

    def said(self, number: int) -> str:
        """How a node ended, without the name of the folder that all are in."""
        return self.members[number].end.replace(f"{self.plan.root}/", "")

    async def ended(self, number: int, seconds: float) -> int | None:
        """The status with which a process ends by itself; None if it does not."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not self.members[number].runs:
                return self.buried(number)
            await asyncio.sleep(0.05)
        return None

    async def up(self, number: int) -> None:
        """Wait until a node that was started answers. Raises Broken if it ends, or takes too long."""
        while True:
            if await self.get(number, "/v1/status") is not None:
                self.up_seconds.append(time.monotonic() - self.started[number])
                return
            member = self.members[number]
            if not member.runs:
                raise Broken(f"node {number} did not come up: {member.end}")
            if time.monotonic() - self.started[number] > UP_SECONDS:
                raise Broken(f"node {number} did not answer within {UP_SECONDS} s: {last_line(member.output)}")
            await asyncio.sleep(0.05)

    async def get(self, number: int, path: str) -> dict[str, Any] | None:
        """What a node answers; None if it does not, or has nothing of the kind."""
        return await self._ask("GET", number, path, None)

    async def post(self, number: int, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        return await self._ask("POST", number, path, body)

    async def _ask(self, method: str, number: int, path: str, body: dict[str, Any] | None) -> dict[str, Any] | None:
        url, limit = f"http://{self.places[number].api}{path}", aiohttp.ClientTimeout(ASK_SECONDS)
        try:
            while True:
                async with self.session.request(method, url, json=body, timeout=limit) as answer:
                    found: dict[str, Any] = await answer.json()
                if answer.status != TOO_MANY_REQUESTS:
                    return found if answer.status < 300 else None
                await asyncio.sleep(0.2)
        except (OSError, TimeoutError, ValueError, aiohttp.ClientError):
            return None

    async def height(self, number: int) -> int:
        """The newest final block; -1 if the node does not answer."""
        status = await self.get(number, "/v1/status")
        return -1 if status is None else int(status["height"])

    def fell(self) -> list[str]:
        """Nodes that have ended although no fault has hold of them."""
        members = [self.members[number] for number in self.numbers if number not in self.held]
        return [f"node {member.number} {member.end}" for member in members if not member.runs]

    def end(self) -> None:
        for member in self.members.values():
            if member.runs:
                with suppress(ProcessLookupError):
                    os.killpg(member.process.pid, signal.SIGKILL)
            self.buried(member.number)
        for number in self.small_disks:
            subprocess.run(["umount", "-l", str(self.plan.home(number))], check=False, capture_output=True)


def mounted(folder: Path) -> bool:
    """Give a folder a small disk of its own, where this process may."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return False
    folder.mkdir(parents=True, mode=0o700)
    words = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=700", "tmpfs", str(folder)]
    return subprocess.run(words, check=False, capture_output=True).returncode == 0
